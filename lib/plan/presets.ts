/**
 * Sizes from the literature, for plans and benchmarks. Images: MaskGIT's vocabulary of 1024 codes, 1000 classes and
 * [MASK], 16 x 16 tokens. Videos: MAGVIT's 4 x 16 x 16 tokens with 1024 codes, 102 classes (UCF101 and none) and [MASK].
 */

import type { ModelShape, Width } from './shape.js';

function nested(heads: number, hidden: number): Width[] {
  // Twelve heads do not divide by eight: 1/8 of B takes one head (of 64) and an eighth of the MLP.
  return [8, 4, 2, 1].map((p) => ({
    name: p === 1 ? '1' : `1/${p}`,
    heads: Math.max(1, Math.floor(heads / p)),
    hidden: hidden / p,
  }));
}

function preset(
  name: string,
  layers: number,
  hiddenSize: number,
  heads: number,
  kind: 'image' | 'video',
): ModelShape {
  return {
    name,
    layers,
    hiddenSize,
    heads,
    headDim: hiddenSize / heads,
    intermediateSize: 4 * hiddenSize,
    codebookSize: 1024,
    vocabSize: kind === 'image' ? 2025 : 1127,
    latentShape: kind === 'image' ? [1, 16, 16] : [4, 16, 16],
    widths: nested(heads, 4 * hiddenSize),
  };
}

export const presets: Readonly<Record<'B' | 'L' | 'XL' | 'video-B' | 'video-L', ModelShape>> = {
  B: preset('B', 12, 768, 12, 'image'),
  L: preset('L', 24, 1024, 16, 'image'),
  XL: preset('XL', 28, 1152, 16, 'image'),
  'video-B': preset('video-B', 12, 768, 12, 'video'),
  'video-L': preset('video-L', 24, 1024, 16, 'video'),
};
