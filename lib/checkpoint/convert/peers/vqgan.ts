/**
 * MaskGIT's tokenizer in PyTorch (open-muse, TiTok, MaskBit), and MaskBit's own VQGAN+, whose code is the signs of the
 * encoder's output: one family of names.
 */

import { type HalfNames, pytorch } from '../conv-names.js';
import { convTokenizer } from '../conv-tokenizer.js';
import type { Peer, Weights } from '../translation.js';
import { foldedNote } from './maskgit.js';

/** What a level's residual blocks are called, and those of the middle. */
const lists = ['block', 'res_blocks'];
const middles = ['mid', 'mid.res_blocks'];

const origins = {
  port: {
    name: "MaskGIT's tokenizer in PyTorch",
    url: 'https://github.com/google-research/maskgit, through https://github.com/huggingface/open-muse, https://github.com/bytedance/1d-tokenizer or https://github.com/markweberdev/maskbit',
    licence: 'Apache-2.0',
  },
  vqganPlus: {
    name: "MaskBit's tokenizer",
    url: 'https://github.com/markweberdev/maskbit',
    licence: 'Apache-2.0; its authors ask that the weights be used for research only',
  },
};

const codebook = 'quantize.embedding.weight';

function translate(weights: Weights, grid: readonly [number, number]) {
  const list = lists.find((name) => weights.has(`encoder.down.0.${name}.0.conv1.weight`))!;
  const levels = weights.count((l) => `encoder.down.${l}.${list}.0.conv1.weight`);
  const mid = middles.find((name) => weights.has(`decoder.${name}.0.conv1.weight`))!;
  const middle = (half: string) => [0, 1].map((i) => `${half}.${mid}.${i}`);
  // The level without an upsampling is that of full resolution: the last in newer files of MaskBit, else the first.
  const reversed = weights.has('decoder.up.0.upsample_conv.weight');
  const up = (level: number) => `decoder.up.${reversed ? levels - 1 - level : level}`;
  const learnt = weights.has('encoder.down.0.down_conv.weight');
  const encoder: HalfNames = {
    input: 'encoder.conv_in',
    block: (level, at) => `encoder.down.${level}.${list}.${at}`,
    resample: learnt ? (level) => `encoder.down.${level}.down_conv` : undefined,
    middle: middle('encoder'),
    norm: 'encoder.norm_out',
    output: 'encoder.conv_out',
  };
  const decoder: HalfNames = {
    input: 'decoder.conv_in',
    block: (level, at) => `${up(level)}.${list}.${at}`,
    resample: (level) => `${up(level)}.upsample_conv`,
    middle: middle('decoder'),
    norm: 'decoder.norm_out',
    output: 'decoder.conv_out',
  };
  return convTokenizer(
    weights,
    { dialect: pytorch, encoder, decoder, codebook: weights.has(codebook) ? codebook : undefined },
    { biases: false, shortcut: 'folded', pixels: [0, 1], normalizedCodes: false, grid },
  );
}

export const vqgan: Peer = {
  part: 'tokenizer',
  format: 'torch',
  recognizes: (names) =>
    lists.some((list) => names.has(`encoder.down.0.${list}.0.conv1.weight`)) &&
    middles.some((middle) => names.has(`decoder.${middle}.0.conv1.weight`)),
  translate: (weights, { grid = [16, 16] }) => ({
    origin: weights.has(codebook) ? origins.port : origins.vqganPlus,
    tokens: weights.has(codebook) ? "MaskGIT's VQGAN" : "MaskBit's VQGAN+",
    ...translate(weights, grid),
    dropped: ['quantize.bits_to_indices', 'quantize.codebook']
      .filter((name) => weights.has(name))
      .map((name) => ({ name, why: 'a table that follows from the number of bits' })),
    same: [],
    notes: [foldedNote],
  }),
};
