/** `config.json` of a checkpoint (docs/checkpoints.md), checked. */

import { mostNumber } from '../errors.js';
import { maskingScheduleNames, mostSteps } from '../plan/masking.js';
import {
  confidences,
  guidanceScheduleNames,
  leastPositive,
  orders,
  plainRecipe,
  type Range,
  type Recipe,
  type Refresh,
} from '../plan/recipe.js';
import { fraction } from '../plan/schedule.js';
import {
  type Head,
  headKinds,
  type MlpGate,
  type ModelShape,
  type Modulation,
  mlpGates,
  modulations,
  mostTokens,
  sequenceLength,
  tokenCount,
  type Width,
} from '../plan/shape.js';
import { classRows, digitCount, vocabularySize } from '../plan/vocabulary.js';
import { type ConvTokenizerConfig, readConvTokenizer } from './conv-tokenizer.js';
import { Reader, type Shape3 } from './reader.js';
import { checkSizes, mostSampleValues, product } from './sizes.js';
import { readTitokTokenizer, type TitokTokenizerConfig } from './titok-tokenizer.js';
import {
  type Activation,
  checkTransformerSizes,
  readTransformer,
  type TransformerConfig,
} from './transformer-config.js';

/** Pre-LN: a norm before each half of a block; post-LN: after the residual sum (BERT, MaskGIT). */
export const normPlaces = ['pre', 'post'] as const;
export type NormPlace = (typeof normPlaces)[number];

/** Of the blocks and after the last one; those of embeddings and head are layer norms. */
export const normKinds = ['layer_norm', 'rms_norm'] as const;
export type NormKind = (typeof normKinds)[number];

/** Queries and keys as they are, or divided by their root mean square over the heads in use. */
export const qkNorms = ['none', 'rms'] as const;
export type QkNorm = (typeof qkNorms)[number];

/** How a generator is built, where it can differ from BERT and MaskGIT. */
export interface Architecture {
  readonly normKind: NormKind;
  readonly mlpGate: MlpGate;
  readonly qkNorm: QkNorm;
  readonly modulation: Modulation;
  /** The linear layers of the blocks have biases. */
  readonly biases: boolean;
  /** A norm after the embeddings. */
  readonly embeddingNorm: boolean;
  readonly head: Head;
  /** The output matrix of the LM head is the embedding table. */
  readonly tied: boolean;
  /** There is a null class, so that there can be guidance. */
  readonly nullClass: boolean;
}

/** Where a config says nothing. */
export const defaultArchitecture: Architecture = {
  normKind: 'layer_norm',
  mlpGate: 'none',
  qkNorm: 'none',
  modulation: 'none',
  biases: true,
  embeddingNorm: true,
  head: 'dense',
  tied: true,
  nullClass: true,
};

export interface GeneratorConfig extends ModelShape, Architecture {
  // Of ModelShape, where they are optional.
  readonly subTokens: number;
  readonly tied: boolean;
  readonly mlpGate: MlpGate;
  readonly modulation: Modulation;
  readonly head: Head;
  readonly normPlace: NormPlace;
  readonly activation: Activation;
  readonly normEps: number;
  /** K, the number of classes. */
  readonly classes: number;
  /** One name for each class, or none. */
  readonly classLabels: readonly string[];
  /** For a model that predicts frames: how many it is given. */
  readonly prediction?: { readonly frames: number };
  readonly sampling: Recipe;
}

export interface VitTokenizerConfig extends TransformerConfig {
  readonly kind: 'vit';
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [frames, height, width] in pixels. */
  readonly sampleShape: readonly [number, number, number];
  readonly patchShape: readonly [number, number, number];
  readonly channels: number;
}

/** A vision transformer on patches, convolutions, or both around a line of latent tokens. */
export type TokenizerConfig = VitTokenizerConfig | ConvTokenizerConfig | TitokTokenizerConfig;

function readArchitecture(reader: Reader): Architecture {
  const oneOf = <T extends string>(key: string, values: readonly T[], fallback: T): T =>
    reader.has(key) ? reader.oneOf(key, ...values) : fallback;
  const flag = (key: string, fallback: boolean): boolean =>
    reader.has(key) ? reader.boolean(key) : fallback;
  const usual = defaultArchitecture;
  return {
    normKind: oneOf('norm_type', normKinds, usual.normKind),
    mlpGate: oneOf('mlp_gate', mlpGates, usual.mlpGate),
    qkNorm: oneOf('qk_norm', qkNorms, usual.qkNorm),
    modulation: oneOf('modulation', modulations, usual.modulation),
    biases: flag('bias', usual.biases),
    embeddingNorm: flag('embedding_norm', usual.embeddingNorm),
    head: oneOf('head', headKinds, usual.head),
    tied: flag('tied', usual.tied),
    nullClass: flag('null_class', usual.nullClass),
  };
}

/** Refuses what has no meaning together. */
function checkArchitecture(
  reader: Reader,
  { modulation, nullClass }: Architecture,
  { normPlace, classes }: Pick<GeneratorConfig, 'normPlace' | 'classes'>,
): void {
  if (modulation === 'class' && normPlace !== 'pre') {
    reader.fail('norm_position', '"pre", where modulation acts,');
  }
  if (nullClass) return;
  if (classes === 0) reader.fail('num_classes', 'at least one class without a null class');
  if (reader.has('prediction')) {
    reader.fail('null_class', 'a null class, which frames are predicted with,');
  }
}

function readWidths(reader: Reader, file: string, heads: number, hidden: number): Width[] {
  const widths = reader.list('widths').map((entry, i) => {
    const width = Reader.of(file, entry, `widths[${i}].`);
    return {
      name: width.match('name', /^[1-9]\d{0,8}(\/[1-9]\d{0,8})?$/, "a name such as '1/8'"),
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
  // A schedule may say a width as a number, so that 2/16 is 1/8.
  if (new Set(widths.map((width) => fraction(width.name))).size !== widths.length) {
    reader.fail('widths', 'a name of its own for every width');
  }
  return widths;
}

/** A number, or [first, …, last]. */
function readRange(reader: Reader, key: string, least: number): Range {
  if (!Array.isArray(reader.value(key))) return reader.number(key, least);
  const valid = (point: unknown) =>
    typeof point === 'number' && point >= least && point <= mostNumber;
  const points = reader.list(key);
  return points.length >= 2 && points.length <= mostSteps && points.every(valid)
    ? (points as number[])
    : reader.fail(key, `a number of at least ${least} or [first, …, last]`);
}

function readRefresh(reader: Reader, key: string): Refresh {
  if (reader.value(key) === 'switch') return 'switch';
  if (!Array.isArray(reader.value(key))) return reader.integer(key, 1, mostSteps);
  const valid = (step: unknown) =>
    typeof step === 'number' && Number.isInteger(step) && step >= 0 && step < mostSteps;
  const steps = reader.list(key);
  return steps.every(valid)
    ? (steps as number[])
    : reader.fail(key, "'switch', a number of steps or a list of steps");
}

/** How each key of `sampling` is read, by its name in a recipe. */
const readersOfSampling: {
  readonly [name in keyof Recipe]-?: (reader: Reader, key: string) => Recipe[name];
} = {
  steps: (reader, key) => reader.integer(key, 1, mostSteps),
  guidance: (reader, key) => reader.number(key),
  guidanceSchedule: (reader, key) => reader.oneOf(key, ...guidanceScheduleNames),
  guidancePower: (reader, key) => reader.number(key, leastPositive),
  maskingSchedule: (reader, key) => reader.oneOf(key, ...maskingScheduleNames),
  refresh: readRefresh,
  order: (reader, key) => reader.oneOf(key, ...orders),
  temperature: (reader, key) => readRange(reader, key, 0),
  inverseTemperature: (reader, key) => readRange(reader, key, leastPositive),
  choiceTemperature: (reader, key) => readRange(reader, key, 0),
  confidence: (reader, key) => reader.oneOf(key, ...confidences),
  topK: (reader, key) => reader.integer(key, 0),
};

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function readSampling(parent: Reader, file: string, frames: number, nullClass: boolean): Recipe {
  const reader = parent.has('sampling') ? parent.child('sampling') : Reader.of(file, {});
  const names = Object.keys(readersOfSampling) as (keyof Recipe)[];
  const keys = names.map(snakeCase);
  // A misspelt key would quietly leave the default in its place.
  const unknown = reader.keys().find((key) => !keys.includes(key));
  if (unknown !== undefined) reader.fail(unknown, `none but ${keys.join(', ')}`);
  const said = Object.fromEntries(
    names
      .filter((name) => reader.has(snakeCase(name)))
      .map((name) => [name, readersOfSampling[name](reader, snakeCase(name))]),
  ) as Partial<Recipe>;
  if (said.inverseTemperature !== undefined && said.temperature !== undefined) {
    reader.fail('inverse_temperature', 'no temperature beside it');
  }
  if (!nullClass && (said.guidance ?? 0) > 0) reader.fail('guidance', '0 without a null class');
  if (said.order !== undefined && said.order !== 'confidence' && frames !== 1) {
    reader.fail('order', `'confidence' on a grid of ${frames} frames`);
  }
  const temperature = said.inverseTemperature === undefined ? plainRecipe.temperature : undefined;
  return { ...plainRecipe, temperature, ...said };
}

export function parseGeneratorConfig(file: string, name: string, json: unknown): GeneratorConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets');
  const sizes = readTransformer(reader);
  const layers = reader.integer('num_hidden_layers', 1, 1024);
  const codebookSize = reader.integer('codebook_size', 2);
  const classes = reader.integer('num_classes', 0);
  const normPlace = reader.oneOf('norm_position', ...normPlaces);
  const architecture = readArchitecture(reader);
  checkArchitecture(reader, architecture, { normPlace, classes });
  const subTokens = reader.has('sub_tokens') ? reader.integer('sub_tokens', 1, 8) : 1;
  const vocabulary = { codebookSize, classes, subTokens, ...architecture };
  if (digitCount(vocabulary) ** subTokens !== codebookSize) {
    reader.fail('sub_tokens', `a number whose power ${codebookSize} is`);
  }
  const vocabSize = vocabularySize(vocabulary);
  const latentShape = reader.shape('latent_shape');
  if (tokenCount({ latentShape }) > mostTokens) {
    reader.fail('latent_shape', `at most ${mostTokens} tokens`);
  }
  const rows = sequenceLength({ latentShape });
  checkTransformerSizes(reader, sizes, rows);
  checkSizes(reader, [
    ['hidden_size', 'a matrix of the LM head', sizes.hiddenSize ** 2],
    ['hidden_size', 'the modulation of a layer', 6 * sizes.hiddenSize ** 2],
    ['num_classes', 'the classes', classRows(vocabulary) * sizes.hiddenSize],
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
    ...architecture,
    normPlace,
    codebookSize,
    subTokens,
    classes,
    classLabels: classLabels as string[],
    vocabSize,
    latentShape,
    widths: readWidths(reader, file, sizes.heads, sizes.intermediateSize),
    prediction: reader.has('prediction')
      ? { frames: reader.child('prediction').integer('frames', 1, 4096) }
      : undefined,
    sampling: readSampling(reader, file, latentShape[0], architecture.nullClass),
  };
}

export function parseTokenizerConfig(file: string, json: unknown): TokenizerConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets_tokenizer');
  const kind = reader.has('kind') ? reader.oneOf('kind', ...tokenizerKinds) : 'vit';
  return tokenizerReaders[kind](reader);
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
  const sizes = readTransformer(reader);
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

const tokenizerReaders = {
  vit: readVitTokenizer,
  conv: readConvTokenizer,
  titok: readTitokTokenizer,
};
const tokenizerKinds = Object.keys(tokenizerReaders) as (keyof typeof tokenizerReaders)[];

/** The pixels that a token, or a patch beside the tokens, stands for: [frames, height, width]. */
export function patchShapeOf(config: TokenizerConfig): readonly [number, number, number] {
  if (config.kind !== 'conv') return config.patchShape;
  const extent = 2 ** (config.multipliers.length - 1);
  return [1, extent, extent];
}

/** Whether a token stands for a patch of pixels. Those of TiTok lie on no grid: each stands for the whole picture. */
export function tokensArePatches(config: TokenizerConfig): boolean {
  return config.kind !== 'titok';
}

/** The token grid of a tokenizer: [frames, height, width]. */
export function latentShapeOf(config: TokenizerConfig): Shape3 {
  if (config.kind === 'titok') return [1, 1, config.latents]; // in a row, on no grid
  const patchShape = patchShapeOf(config);
  return config.sampleShape.map((extent, axis) => extent / patchShape[axis]!) as Shape3;
}
