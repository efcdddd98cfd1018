/** `config.json` of a checkpoint (docs/checkpoints.md), checked: every refusal names the file, the key and what was expected. */

import { MagnetsError } from './errors.js';
import { type ModelShape, tokenCount, type Width } from './shape.js';

export interface SamplingDefaults {
  readonly steps: number;
  readonly guidanceScale: number;
  readonly temperature: number;
  readonly choiceTemperature: number;
  /** 0: all */
  readonly topK: number;
}

export interface GeneratorConfig extends ModelShape {
  readonly preNorm: boolean;
  readonly geluTanh: boolean;
  readonly layerNormEps: number;
  readonly classes: number;
  /** One name a class, or none. */
  readonly classLabels: readonly string[];
  readonly sampling: SamplingDefaults;
}

export interface TokenizerConfig {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly geluTanh: boolean;
  readonly layerNormEps: number;
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [frames, height, width] in pixels. */
  readonly sampleShape: readonly [number, number, number];
  readonly patchShape: readonly [number, number, number];
  readonly channels: number;
}

type Json = Record<string, unknown>;
type Shape3 = [number, number, number];

/** Reads typed keys of one JSON object. */
class Reader {
  constructor(
    private readonly file: string,
    private readonly json: Json,
    private readonly prefix = '',
  ) {}

  fail(key: string, expected: string): never {
    const received = JSON.stringify(this.json[key]) ?? 'nothing';
    const message = `${this.file}: expected ${expected} for ${this.prefix}${key} but received ${received}`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }

  has(key: string): boolean {
    return this.json[key] !== undefined;
  }

  integer(key: string, least = 1, most = 2 ** 20): number {
    const value = this.json[key];
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) {
      return value;
    }
    return this.fail(key, `an integer in ${least} .. ${most}`);
  }

  number(key: string, least = 0): number {
    const value = this.json[key];
    if (typeof value === 'number' && Number.isFinite(value) && value >= least) return value;
    return this.fail(key, `a number of at least ${least}`);
  }

  oneOf<T extends string>(key: string, ...values: T[]): T {
    const found = values.find((value) => value === this.json[key]);
    return found ?? this.fail(key, values.map((value) => JSON.stringify(value)).join(' or '));
  }

  match(key: string, pattern: RegExp, expected: string): string {
    const value = this.json[key];
    return typeof value === 'string' && pattern.test(value) ? value : this.fail(key, expected);
  }

  shape(key: string): Shape3 {
    const value = this.json[key];
    const valid =
      Array.isArray(value) &&
      value.length === 3 &&
      value.every((extent) => Number.isInteger(extent) && extent > 0 && extent <= 4096);
    return valid ? (value as Shape3) : this.fail(key, 'three positive integers');
  }

  list(key: string): unknown[] {
    const value = this.json[key];
    return Array.isArray(value) ? value : this.fail(key, 'a list');
  }

  child(key: string): Reader {
    return Reader.of(this.file, this.json[key], `${this.prefix}${key}.`);
  }

  static of(file: string, json: unknown, prefix = ''): Reader {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      const what = prefix === '' ? 'a JSON object' : `an object for ${prefix.slice(0, -1)}`;
      throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected ${what}`);
    }
    return new Reader(file, json as Json, prefix);
  }
}

function transformer(reader: Reader) {
  const hiddenSize = reader.integer('hidden_size');
  const heads = reader.integer('num_attention_heads');
  if (!reader.has('head_dim') && hiddenSize % heads !== 0) {
    reader.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize}) or a head_dim`);
  }
  return {
    hiddenSize,
    heads,
    headDim: reader.has('head_dim') ? reader.integer('head_dim') : hiddenSize / heads,
    intermediateSize: reader.integer('intermediate_size'),
    geluTanh: reader.oneOf('hidden_act', 'gelu', 'gelu_tanh') === 'gelu_tanh',
    layerNormEps: reader.number('layer_norm_eps'),
  };
}

function readWidths(reader: Reader, file: string, heads: number, hidden: number): Width[] {
  const widths = reader.list('widths').map((entry, i) => {
    const width = Reader.of(file, entry, `widths[${i}].`);
    return {
      name: width.match('name', /^\d+(\/\d+)?$/, "a name such as '1/8'"),
      heads: width.integer('heads', 1, heads),
      hidden: width.integer('hidden', 1, hidden),
    };
  });
  const ascending = widths.every(
    (width, i) =>
      i === 0 || (width.heads >= widths[i - 1]!.heads && width.hidden >= widths[i - 1]!.hidden),
  );
  const last = widths[widths.length - 1];
  if (!ascending || last?.heads !== heads || last.hidden !== hidden) {
    reader.fail('widths', `widths from narrow to the full one (${heads} heads, ${hidden} hidden)`);
  }
  if (new Set(widths.map((width) => width.name)).size !== widths.length) {
    reader.fail('widths', 'a name of its own for every width');
  }
  return widths;
}

export function parseGeneratorConfig(file: string, name: string, json: unknown): GeneratorConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets');
  const base = transformer(reader);
  const codebookSize = reader.integer('codebook_size', 2);
  const classes = reader.integer('num_classes', 0);
  const latentShape = reader.shape('latent_shape');
  if (tokenCount({ latentShape }) > 2 ** 16) reader.fail('latent_shape', 'at most 65536 tokens');
  const classLabels = reader.has('class_labels') ? reader.list('class_labels') : [];
  const valid = classLabels.every((label) => typeof label === 'string');
  if (!valid || (classLabels.length !== 0 && classLabels.length !== classes)) {
    reader.fail('class_labels', `${classes} names`);
  }
  const sampling = reader.has('sampling') ? reader.child('sampling') : Reader.of(file, {});
  const or = <T>(key: string, fallback: T, read: () => T) =>
    sampling.has(key) ? read() : fallback;
  return {
    name,
    layers: reader.integer('num_hidden_layers', 1, 1024),
    ...base,
    preNorm: reader.oneOf('norm_position', 'pre', 'post') === 'pre',
    codebookSize,
    classes,
    classLabels: classLabels as string[],
    vocabSize: codebookSize + classes + 2,
    latentShape,
    widths: readWidths(reader, file, base.heads, base.intermediateSize),
    sampling: {
      steps: or('steps', 12, () => sampling.integer('steps', 1, 1000)),
      guidanceScale: or('guidance_scale', 0, () => sampling.number('guidance_scale')),
      temperature: or('temperature', 1, () => sampling.number('temperature')),
      choiceTemperature: or('choice_temperature', 4.5, () => sampling.number('choice_temperature')),
      topK: or('top_k', 0, () => sampling.integer('top_k', 0)),
    },
  };
}

export function parseTokenizerConfig(file: string, json: unknown): TokenizerConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets_tokenizer');
  const sampleShape = reader.shape('sample_shape');
  const patchShape = reader.shape('patch_shape');
  if (sampleShape.some((extent, axis) => extent % patchShape[axis]! !== 0)) {
    reader.fail('patch_shape', `a patch that divides ${sampleShape.join(' x ')}`);
  }
  return {
    ...transformer(reader),
    encoderLayers: reader.integer('encoder_layers', 1, 1024),
    decoderLayers: reader.integer('decoder_layers', 1, 1024),
    codebookSize: reader.integer('codebook_size', 2),
    codebookDim: reader.integer('codebook_dim'),
    sampleShape,
    patchShape,
    channels: reader.integer('channels', 1, 4),
  };
}

/** Token grid of a tokenizer. */
export function latentShapeOf(config: TokenizerConfig): Shape3 {
  return config.sampleShape.map((extent, axis) => extent / config.patchShape[axis]!) as Shape3;
}
