/** `config.json` of a checkpoint (docs/checkpoints.md), checked. */

import { type ModelShape, sequenceLength, tokenCount, type Width } from '../plan/shape.js';
import { vocabularySize } from '../plan/vocabulary.js';
import { type ConvTokenizerConfig, readConvTokenizer } from './conv-tokenizer.js';
import { Reader, type Shape3 } from './reader.js';
import { checkSizes, mostSampleValues, mostTokens, product } from './sizes.js';

/** The exact GELU, or its tanh approximation. */
export const activations = ['gelu', 'gelu_tanh'] as const;
export type Activation = (typeof activations)[number];

/** Pre-LN: a norm before each half of a block; post-LN: after the residual sum (BERT, MaskGIT). */
export const normPlaces = ['pre', 'post'] as const;
export type NormPlace = (typeof normPlaces)[number];

/** What `generate` and `predict` use where the caller says nothing. */
export interface SamplingDefaults {
  readonly steps: number;
  /** w in (1 + w) · conditional - w · unconditional. */
  readonly guidance: number;
  readonly temperature: number;
  readonly choiceTemperature: number;
  /** Draw among the k most likely; 0: among all. */
  readonly topK: number;
}

export interface GeneratorConfig extends ModelShape {
  readonly normPlace: NormPlace;
  readonly activation: Activation;
  readonly normEps: number;
  /** K, the number of classes. */
  readonly classes: number;
  /** One name for each class, or none. */
  readonly classLabels: readonly string[];
  /** For a model that predicts frames: how many it is given. */
  readonly prediction?: { readonly frames: number };
  readonly sampling: SamplingDefaults;
}

export interface VitTokenizerConfig {
  readonly kind: 'vit';
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly activation: Activation;
  readonly normEps: number;
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [frames, height, width] in pixels. */
  readonly sampleShape: readonly [number, number, number];
  readonly patchShape: readonly [number, number, number];
  readonly channels: number;
}

/** A vision transformer on patches, or convolutions. */
export type TokenizerConfig = VitTokenizerConfig | ConvTokenizerConfig;

interface TransformerSizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
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
    activation: reader.oneOf('hidden_act', ...activations),
    normEps: reader.number('layer_norm_eps'),
  };
}

/** Weights of a layer, and what one sequence of `rows` rows needs in each. */
function checkTransformerSizes(reader: Reader, sizes: TransformerSizes, rows: number): void {
  const { hiddenSize, intermediateSize } = sizes;
  const inner = sizes.heads * sizes.headDim;
  checkSizes(reader, [
    ['num_attention_heads', 'the attention projections', 3 * inner * hiddenSize],
    ['intermediate_size', 'a matrix of the MLP', intermediateSize * hiddenSize],
    ['hidden_size', 'the rows of one sample', rows * hiddenSize],
    ['num_attention_heads', 'the queries, keys and values of one sample', 3 * rows * inner],
    ['intermediate_size', 'the hidden units of one sample', rows * intermediateSize],
  ]);
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

const samplingKeys = ['steps', 'guidance', 'temperature', 'choice_temperature', 'top_k'];

function readSampling(parent: Reader, file: string): SamplingDefaults {
  const reader = parent.has('sampling') ? parent.child('sampling') : Reader.of(file, {});
  // A misspelt key would quietly leave the default in its place.
  const unknown = reader.keys().find((key) => !samplingKeys.includes(key));
  if (unknown !== undefined) reader.fail(unknown, `none but ${samplingKeys.join(', ')}`);
  const or = (key: string, fallback: number, read: () => number) =>
    reader.has(key) ? read() : fallback;
  return {
    steps: or('steps', 12, () => reader.integer('steps', 1, 1000)),
    guidance: or('guidance', 0, () => reader.number('guidance')),
    temperature: or('temperature', 1, () => reader.number('temperature')),
    choiceTemperature: or('choice_temperature', 4.5, () => reader.number('choice_temperature')),
    topK: or('top_k', 0, () => reader.integer('top_k', 0)),
  };
}

export function parseGeneratorConfig(file: string, name: string, json: unknown): GeneratorConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets');
  const sizes = transformer(reader);
  const layers = reader.integer('num_hidden_layers', 1, 1024);
  const codebookSize = reader.integer('codebook_size', 2);
  const classes = reader.integer('num_classes', 0);
  const vocabSize = vocabularySize({ codebookSize, classes });
  const latentShape = reader.shape('latent_shape');
  if (tokenCount({ latentShape }) > mostTokens) {
    reader.fail('latent_shape', `at most ${mostTokens} tokens`);
  }
  const rows = sequenceLength({ latentShape });
  checkTransformerSizes(reader, sizes, rows);
  checkSizes(reader, [
    ['hidden_size', 'a matrix of the LM head', sizes.hiddenSize ** 2],
    ['codebook_size', 'the embeddings', vocabSize * sizes.hiddenSize],
    ['codebook_size', 'the logits of one sample', vocabSize * rows],
    [
      'num_hidden_layers',
      'the K/V cache of one sample',
      2 * layers * rows * sizes.heads * sizes.headDim,
    ],
  ]);

  const classLabels = reader.has('class_labels') ? reader.list('class_labels') : [];
  const valid = classLabels.every((label) => typeof label === 'string');
  if (!valid || (classLabels.length !== 0 && classLabels.length !== classes)) {
    reader.fail('class_labels', `${classes} names`);
  }
  return {
    name,
    layers,
    ...sizes,
    normPlace: reader.oneOf('norm_position', ...normPlaces),
    codebookSize,
    classes,
    classLabels: classLabels as string[],
    vocabSize,
    latentShape,
    widths: readWidths(reader, file, sizes.heads, sizes.intermediateSize),
    prediction: reader.has('prediction')
      ? { frames: reader.child('prediction').integer('frames', 1, 4096) }
      : undefined,
    sampling: readSampling(reader, file),
  };
}

export function parseTokenizerConfig(file: string, json: unknown): TokenizerConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets_tokenizer');
  const kind = reader.has('kind') ? reader.oneOf('kind', 'vit', 'conv') : 'vit';
  return kind === 'vit' ? readVitTokenizer(reader) : readConvTokenizer(reader);
}

function readVitTokenizer(reader: Reader): VitTokenizerConfig {
  const sampleShape = reader.shape('sample_shape');
  const patchShape = reader.shape('patch_shape');
  const channels = reader.integer('channels', 1, 4);
  if (product(sampleShape) * channels > mostSampleValues) {
    reader.fail('sample_shape', `at most ${mostSampleValues} values with ${channels} channels`);
  }
  if (sampleShape.some((extent, axis) => extent % patchShape[axis]! !== 0)) {
    reader.fail('patch_shape', `a patch that divides ${sampleShape.join(' x ')}`);
  }
  const tokens = product(sampleShape) / product(patchShape);
  if (tokens > mostTokens) reader.fail('patch_shape', `at most ${mostTokens} patches`);
  const sizes = transformer(reader);
  const codebookSize = reader.integer('codebook_size', 2);
  const codebookDim = reader.integer('codebook_dim');
  checkTransformerSizes(reader, sizes, tokens);
  checkSizes(reader, [
    ['patch_shape', 'the patch embedding', product(patchShape) * channels * sizes.hiddenSize],
    ['codebook_dim', 'the projection of codes', codebookDim * sizes.hiddenSize],
    ['codebook_size', 'the codebook', codebookSize * codebookDim],
    ['codebook_size', 'the distances of one sample', codebookSize * tokens],
  ]);
  return {
    kind: 'vit',
    ...sizes,
    encoderLayers: reader.integer('encoder_layers', 0, 1024),
    decoderLayers: reader.integer('decoder_layers', 1, 1024),
    codebookSize,
    codebookDim,
    sampleShape,
    patchShape,
    channels,
  };
}

/** The pixels that a token stands for: [frames, height, width]. */
export function patchShapeOf(config: TokenizerConfig): readonly [number, number, number] {
  if (config.kind === 'vit') return config.patchShape;
  const extent = 2 ** (config.multipliers.length - 1);
  return [1, extent, extent];
}

/** The token grid of a tokenizer: [frames, height, width]. */
export function latentShapeOf(config: TokenizerConfig): Shape3 {
  const patchShape = patchShapeOf(config);
  return config.sampleShape.map((extent, axis) => extent / patchShape[axis]!) as Shape3;
}
