/** `config.json` of a checkpoint (docs/checkpoints.md), checked. */

import { type ModelShape, tokenCount, type Width } from '../plan/shape.js';
import { Reader, type Shape3 } from './reader.js';

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
  /** Of a model that predicts: how many frames it is given. */
  readonly prediction?: { readonly frames: number };
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
    prediction: reader.has('prediction')
      ? { frames: reader.child('prediction').integer('frames', 1, 4096) }
      : undefined,
    sampling: {
      steps: or('steps', 12, () => sampling.integer('steps', 1, 1000)),
      guidanceScale: or('guidance', 0, () => sampling.number('guidance')),
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
    encoderLayers: reader.integer('encoder_layers', 0, 1024),
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
