/** `config.json` of a checkpoint (docs/checkpoints.md), checked. */

import type { Recipe } from '../plan/recipe.js';
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
  mostWidths,
  sequenceLength,
  tokenCount,
  type Width,
} from '../plan/shape.js';
import { classRows, digitCount, vocabularySize } from '../plan/vocabulary.js';
import { type ConvTokenizerConfig, patchSideOf, readConvTokenizer } from './conv-tokenizer.js';
import { Reader, type Shape3 } from './reader.js';
import { readSampling } from './sampling.js';
import { checkSizes } from './sizes.js';
import { readTitokTokenizer, type TitokTokenizerConfig } from './titok-tokenizer.js';
import { type Activation, checkTransformerSizes, readTransformer } from './transformer-config.js';
import { readVitTokenizer, type VitTokenizerConfig } from './vit-tokenizer.js';

/** Pre-LN: a norm before each half of a block; post-LN: after the residual sum (BERT, MaskGIT). */
export const normPlaces = ['pre', 'post'] as const;
export type NormPlace = (typeof normPlaces)[number];

/** Of the blocks and after the last one; those of embeddings and head are layer norms. */
const normKinds = ['layer_norm', 'rms_norm'] as const;
export type NormKind = (typeof normKinds)[number];

/** Queries and keys as they are, or divided by their root mean square over the heads in use. */
const qkNorms = ['none', 'rms'] as const;
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
  const list = reader.list('widths');
  if (list.length > mostWidths) reader.fail('widths', `at most ${mostWidths} widths`);
  const widths = list.map((entry, i) => {
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

/** A name for each class, or none. */
function readClassLabels(reader: Reader, classes: number): string[] {
  const labels = reader.has('class_labels') ? reader.list('class_labels') : [];
  const valid = labels.every((label) => typeof label === 'string');
  if (valid && (labels.length === 0 || labels.length === classes)) return labels;
  return reader.fail('class_labels', `${classes} names`);
}

/** The config of a generator, of `file`, as the model called `name`. @throws MagnetsError ERR_CHECKPOINT */
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

  return {
    name,
    layers,
    ...sizes,
    ...architecture,
    normPlace,
    codebookSize,
    subTokens,
    classes,
    classLabels: readClassLabels(reader, classes),
    vocabSize,
    latentShape,
    widths: readWidths(reader, file, sizes.heads, sizes.intermediateSize),
    prediction: reader.has('prediction')
      ? { frames: reader.child('prediction').integer('frames', 1, 4096) }
      : undefined,
    sampling: readSampling(reader, latentShape[0], architecture.nullClass),
  };
}

const tokenizerReaders = {
  vit: readVitTokenizer,
  conv: readConvTokenizer,
  titok: readTitokTokenizer,
};
const tokenizerKinds = Object.keys(tokenizerReaders) as (keyof typeof tokenizerReaders)[];

/** The config of a tokenizer, of `file`. @throws MagnetsError ERR_CHECKPOINT */
export function parseTokenizerConfig(file: string, json: unknown): TokenizerConfig {
  const reader = Reader.of(file, json);
  reader.oneOf('model_type', 'magnets_tokenizer');
  const kind = reader.has('kind') ? reader.oneOf('kind', ...tokenizerKinds) : 'vit';
  return tokenizerReaders[kind](reader);
}

/** The pixels that a token, or a patch beside the tokens, stands for: [frames, height, width]. */
export function patchShapeOf(config: TokenizerConfig): Shape3 {
  if (config.kind !== 'conv') return config.patchShape;
  const side = patchSideOf(config);
  return [1, side, side];
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
