/** Keys that generators and tokenizers of transformers share, checked. */

import type { Reader } from './reader.js';
import { checkSizes, leastEps } from './sizes.js';

/** The exact GELU, its tanh approximation, or SiLU. */
export const activations = ['gelu', 'gelu_tanh', 'silu'] as const;
export type Activation = (typeof activations)[number];

export interface TransformerConfig {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly normEps: number;
}

export function readTransformer(reader: Reader): TransformerConfig {
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
    normEps: reader.number('layer_norm_eps', leastEps),
  };
}

/** Weights of a layer, and what one sequence of `rows` rows needs in each. */
export function checkTransformerSizes(
  reader: Reader,
  sizes: TransformerConfig,
  rows: number,
): void {
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
