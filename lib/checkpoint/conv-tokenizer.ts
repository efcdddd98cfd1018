/** `config.json` of a convolutional tokenizer (docs/checkpoints.md), checked. */

import { mostTokens } from '../plan/shape.js';
import { elementCount } from '../tensor.js';
import type { Reader, Shape3 } from './reader.js';
import { checkSizes, leastEps, mostSampleValues } from './sizes.js';

/** What a residual block adds where its channels change: nothing, or a projection of its input. */
const shortcuts = ['none', 'projection'] as const;
export type Shortcut = (typeof shortcuts)[number];

/** How the encoder halves a picture: by the mean of 2 x 2 pixels, or by a convolution. */
const downsamples = ['mean', 'conv'] as const;
export type Downsample = (typeof downsamples)[number];

/** How a latent becomes a token: the nearest code, the code of the largest cosine, or the signs of its numbers as bits. */
const quantizers = ['nearest', 'cosine', 'bits'] as const;
export type Quantizer = (typeof quantizers)[number];

/** From `codeChannels` on the coarsest level to pixels. */
export interface ConvDecoderConfig {
  readonly baseChannels: number;
  /** For each level, from that of the pixels to the coarsest: its channels, in multiples of `baseChannels`. */
  readonly multipliers: readonly number[];
  readonly decoderBlocks: number;
  readonly attention: boolean;
  readonly shortcut: Shortcut;
  readonly codeChannels: number;
  readonly normGroups: number;
  readonly normEps: number;
}

export interface ConvTokenizerConfig extends ConvDecoderConfig {
  readonly kind: 'conv';
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [1, height, width] in pixels. */
  readonly sampleShape: Shape3;
  readonly channels: number;
  readonly encoderBlocks: number;
  readonly downsample: Downsample;
  readonly encoderOutputKernel: 1 | 3;
  readonly quantizer: Quantizer;
  /** The encoder sees pixels of [-1, 1]. */
  readonly signedPixels: boolean;
}

const mostLevels = 8;
const mostBits = 20;

function readMultipliers(reader: Reader): number[] {
  const multipliers = reader.list('multipliers');
  const valid = multipliers.every(
    (value) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 64,
  );
  if (!valid || multipliers.length < 1 || multipliers.length > mostLevels) {
    reader.fail('multipliers', `1 .. ${mostLevels} integers in 1 .. 64`);
  }
  return multipliers as number[];
}

function readQuantizer(reader: Reader, codebookSize: number, codebookDim: number): Quantizer {
  const normalized = reader.has('normalized_codes') && reader.boolean('normalized_codes');
  const type = reader.has('code_type') ? reader.oneOf('code_type', 'vectors', 'bits') : 'vectors';
  if (type === 'vectors') return normalized ? 'cosine' : 'nearest';
  if (normalized) reader.fail('normalized_codes', 'no normalization of bits');
  if (codebookDim > mostBits || codebookSize !== 2 ** codebookDim) {
    reader.fail('codebook_size', `2 to the power of codebook_dim (at most ${mostBits})`);
  }
  return 'bits';
}

function readSignedPixels(reader: Reader): boolean {
  if (!reader.has('pixel_range')) return false;
  const range = reader.list('pixel_range').join();
  return range === '-1,1' || (range !== '0,1' && reader.fail('pixel_range', '[0, 1] or [-1, 1]'));
}

/** The size of pictures: `sample_shape`, of one frame, and `channels`. */
export function readPictures(reader: Reader) {
  const sampleShape = reader.shape('sample_shape');
  const channels = reader.integer('channels', 1, 4);
  if (sampleShape[0] !== 1) reader.fail('sample_shape', 'one frame');
  if (elementCount(sampleShape) * channels > mostSampleValues) {
    reader.fail('sample_shape', `at most ${mostSampleValues} values with ${channels} channels`);
  }
  return { sampleShape, channels };
}

/** The side of the patch that a pixel of the coarsest level stands for, in pixels. */
export function patchSideOf({ multipliers }: Pick<ConvDecoderConfig, 'multipliers'>): number {
  return 2 ** (multipliers.length - 1);
}

/** How many pixels the coarsest level has; refuses pictures that its levels do not divide or that are too large. */
export function readCoarsest(
  reader: Reader,
  [, height, width]: Shape3,
  decoder: ConvDecoderConfig,
): number {
  const side = patchSideOf(decoder);
  if (height % side !== 0 || width % side !== 0) {
    reader.fail('sample_shape', `a height and a width that ${side} divides`);
  }
  const pixels = (height / side) * (width / side);
  if (pixels > mostTokens) reader.fail('sample_shape', `at most ${mostTokens} tokens`);
  const { multipliers, baseChannels } = decoder;
  const pictures = multipliers.map((multiplier, level) => {
    const beside = multipliers[Math.min(level + 1, multipliers.length - 1)]!;
    return ((height * width) / 4 ** level) * baseChannels * Math.max(multiplier, beside);
  });
  checkSizes(reader, [['sample_shape', 'the pictures of a level', Math.max(...pictures)]]);
  return pixels;
}

export function readConvDecoder(reader: Reader): ConvDecoderConfig {
  const multipliers = readMultipliers(reader);
  const baseChannels = reader.integer('base_channels', 1, 4096);
  const normGroups = reader.has('norm_groups') ? reader.integer('norm_groups') : 32;
  if (multipliers.some((multiplier) => (baseChannels * multiplier) % normGroups !== 0)) {
    reader.fail('norm_groups', 'a divisor of the channels of every level');
  }
  const codeChannels = reader.integer('code_channels');
  const widest = baseChannels * Math.max(...multipliers);
  checkSizes(reader, [
    ['multipliers', 'a convolution', 16 * widest ** 2],
    ['code_channels', 'a convolution', 9 * widest * codeChannels],
  ]);
  return {
    baseChannels,
    multipliers,
    decoderBlocks: reader.integer('decoder_blocks', 1, 64),
    attention: reader.has('attention') && reader.boolean('attention'),
    shortcut: reader.oneOf('shortcut', ...shortcuts),
    codeChannels,
    normGroups,
    normEps: reader.has('norm_eps') ? reader.number('norm_eps', leastEps) : 1e-6,
  };
}

export function readConvTokenizer(reader: Reader): ConvTokenizerConfig {
  const { sampleShape, channels } = readPictures(reader);
  const decoder = readConvDecoder(reader);
  const tokens = readCoarsest(reader, sampleShape, decoder);
  const codebookSize = reader.integer('codebook_size', 2);
  const codebookDim = reader.integer('codebook_dim');
  const kernel = reader.has('encoder_output_kernel')
    ? reader.integer('encoder_output_kernel', 1, 3)
    : 1;
  if (kernel === 2) reader.fail('encoder_output_kernel', '1 or 3');
  checkSizes(reader, [
    ['codebook_dim', 'the projection of codes', codebookDim * decoder.codeChannels],
    ['codebook_size', 'the codebook', codebookSize * Math.max(codebookDim, decoder.codeChannels)],
    ['codebook_size', 'the distances of one sample', codebookSize * tokens],
  ]);
  return {
    kind: 'conv',
    codebookSize,
    codebookDim,
    sampleShape,
    channels,
    ...decoder,
    encoderBlocks: reader.integer('encoder_blocks', 1, 64),
    downsample: reader.oneOf('downsample', ...downsamples),
    encoderOutputKernel: kernel as 1 | 3,
    quantizer: readQuantizer(reader, codebookSize, codebookDim),
    signedPixels: readSignedPixels(reader),
  };
}
