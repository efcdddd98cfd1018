/** `config.json` of a tokenizer whose tokens lie on no grid (TiTok; docs/checkpoints.md), checked. */

import { mostTokens } from '../plan/shape.js';
import {
  type ConvDecoderConfig,
  patchSideOf,
  readCoarsest,
  readConvDecoder,
  readPictures,
} from './conv-tokenizer.js';
import type { Reader, Shape3 } from './reader.js';
import { checkSizes } from './sizes.js';
import {
  checkTransformerSizes,
  readTransformer,
  type TransformerConfig,
} from './transformer-config.js';

/** From the rows of the patches to pixels. */
export interface PixelDecoderConfig extends ConvDecoderConfig {
  /** Vectors that each pixel of the coarsest level is mixed of. */
  readonly codebookSize: number;
}

export interface TitokTokenizerConfig extends TransformerConfig {
  readonly kind: 'titok';
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  /** N, the tokens of a picture. */
  readonly latents: number;
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [1, height, width] in pixels. */
  readonly sampleShape: Shape3;
  /** What a pixel of the coarsest level stands for. */
  readonly patchShape: Shape3;
  readonly channels: number;
  readonly pixelDecoder: PixelDecoderConfig;
}

export function readTitokTokenizer(reader: Reader): TitokTokenizerConfig {
  const { sampleShape, channels } = readPictures(reader);
  const pixels = reader.child('pixel_decoder');
  const decoder = readConvDecoder(pixels);
  const patches = readCoarsest(reader, sampleShape, decoder);
  const side = patchSideOf(decoder);
  const sizes = readTransformer(reader);
  const latents = reader.integer('latent_tokens', 1, mostTokens);
  const codebookSize = reader.integer('codebook_size', 2);
  const codebookDim = reader.integer('codebook_dim');
  const pixelCodes = pixels.integer('codebook_size');
  checkTransformerSizes(reader, sizes, 1 + patches + latents);
  checkSizes(reader, [
    ['pixel_decoder', 'the patches of one sample', (1 + patches + latents) * side ** 2 * channels],
    ['pixel_decoder', 'the patch embedding', side ** 2 * channels * sizes.hiddenSize],
    ['hidden_size', 'the layer before the mixture', 2 * sizes.hiddenSize ** 2],
    ['codebook_dim', 'the projection of codes', codebookDim * sizes.hiddenSize],
    ['codebook_size', 'the codebook', codebookSize * codebookDim],
    ['codebook_size', 'the inputs of the codes', (codebookSize + 1) * sizes.hiddenSize],
    ['codebook_size', 'the distances of one sample', codebookSize * latents],
  ]);
  checkSizes(pixels, [
    ['codebook_size', 'the layer of the mixture', 2 * sizes.hiddenSize * pixelCodes],
    ['codebook_size', 'the codebook', pixelCodes * decoder.codeChannels],
    ['codebook_size', 'the mixtures of one sample', pixelCodes * patches],
  ]);
  return {
    kind: 'titok',
    ...sizes,
    encoderLayers: reader.integer('encoder_layers', 1, 1024),
    decoderLayers: reader.integer('decoder_layers', 1, 1024),
    latents,
    codebookSize,
    codebookDim,
    sampleShape,
    patchShape: [1, side, side],
    channels,
    pixelDecoder: { ...decoder, codebookSize: pixelCodes },
  };
}
