/** `config.json` of a tokenizer that is a vision transformer on patches (docs/checkpoints.md), checked. */

import { mostTokens } from '../plan/shape.js';
import { elementCount } from '../tensor.js';
import type { Reader, Shape3 } from './reader.js';
import { checkSizes, mostSampleValues } from './sizes.js';
import {
  checkTransformerSizes,
  readTransformer,
  type TransformerConfig,
} from './transformer-config.js';

export interface VitTokenizerConfig extends TransformerConfig {
  readonly kind: 'vit';
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly codebookSize: number;
  readonly codebookDim: number;
  /** [frames, height, width] in pixels. */
  readonly sampleShape: Shape3;
  readonly patchShape: Shape3;
  readonly channels: number;
}

export function readVitTokenizer(reader: Reader): VitTokenizerConfig {
  const sampleShape = reader.shape('sample_shape');
  const patchShape = reader.shape('patch_shape');
  const channels = reader.integer('channels', 1, 4);
  if (elementCount(sampleShape) * channels > mostSampleValues) {
    reader.fail('sample_shape', `at most ${mostSampleValues} values with ${channels} channels`);
  }
  if (sampleShape.some((extent, axis) => extent % patchShape[axis]! !== 0)) {
    reader.fail('patch_shape', `a patch that divides ${sampleShape.join(' x ')}`);
  }
  const tokens = elementCount(sampleShape) / elementCount(patchShape);
  if (tokens > mostTokens) reader.fail('patch_shape', `at most ${mostTokens} patches`);
  const sizes = readTransformer(reader);
  const codebookSize = reader.integer('codebook_size', 2);
  const codebookDim = reader.integer('codebook_dim');
  checkTransformerSizes(reader, sizes, tokens);
  checkSizes(reader, [
    ['patch_shape', 'the patch embedding', elementCount(patchShape) * channels * sizes.hiddenSize],
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
