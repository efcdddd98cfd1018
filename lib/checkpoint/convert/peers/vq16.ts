/** LlamaGen's VQ-16 (PyTorch), which Halton-MaskGIT's tokens are of. */

import { pytorch } from '../conv-names.js';
import { convTokenizer } from '../conv-tokenizer.js';
import type { Peer, Weights } from '../translation.js';

const block = (half: string, index: number) => `${half}.conv_blocks.${index}`;

function translate(weights: Weights, grid: readonly [number, number]) {
  const levels = weights.count((l) => `${block('encoder', l)}.res.0.conv1.weight`);
  const middle = (half: string) => [0, 1, 2].map((i) => `${half}.mid.${i}`);
  /** The decoder counts from the coarsest level. */
  const up = (level: number) => block('decoder', levels - 1 - level);
  return convTokenizer(
    weights,
    {
      dialect: pytorch,
      encoder: {
        input: 'encoder.conv_in',
        block: (level, at) => `${block('encoder', level)}.res.${at}`,
        resample: (level) => `${block('encoder', level)}.downsample.conv`,
        attention: (at) => `${block('encoder', levels - 1)}.attn.${at}`,
        middle: middle('encoder'),
        norm: 'encoder.norm_out',
        output: 'encoder.conv_out',
        code: 'quant_conv',
      },
      codebook: 'quantize.embedding.weight',
      decoder: {
        code: 'post_quant_conv',
        input: 'decoder.conv_in',
        block: (level, at) => `${up(level)}.res.${at}`,
        resample: (level) => `${up(level)}.upsample.conv`,
        attention: (at) => `${up(levels - 1)}.attn.${at}`,
        middle: middle('decoder'),
        norm: 'decoder.norm_out',
        output: 'decoder.conv_out',
      },
    },
    { biases: true, shortcut: 'projection', pixels: [-1, 1], normalizedCodes: true, grid },
  );
}

export const vq16: Peer = {
  part: 'tokenizer',
  format: 'torch',
  recognizes: (names) =>
    names.has('post_quant_conv.weight') && names.has('decoder.conv_blocks.0.res.0.conv1.weight'),
  translate: (weights, { grid = [16, 16] }) => ({
    origin: {
      name: "LlamaGen's VQ-16",
      url: 'https://github.com/FoundationVision/LlamaGen',
      licence: 'MIT',
    },
    tokens: "LlamaGen's VQ-16",
    ...translate(weights, grid),
    dropped: ['quantize.codebook_used']
      .filter((name) => weights.has(name))
      .map((name) => ({ name, why: 'a count of how often codes were used in training' })),
    same: [],
    notes: ['Its pixels are in [-1, 1]; here they are in [0, 1].'],
  }),
};
