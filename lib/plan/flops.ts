/**
 * FLOPs by formula; a multiply-add counts 2. Per layer, n rows, S keys, inner width a = heads · head_dim and f hidden
 * units: 4·n·d·a + 2·n·d·f + 2·n·S·a multiply-adds; the head on o rows: o·(d² + V·d).
 */

import type { ModelShape, Width } from './shape.js';
import { tokenCount } from './shape.js';

export interface FlopsByPart {
  /** Query, key, value and output. */
  readonly projections: number;
  /** Scores and the mix of values. */
  readonly attention: number;
  readonly mlp: number;
  readonly head: number;
}

/** One sequence, one pass: `rows` rows through the layers, `headRows` of them through the head. */
export function stepFlops(
  shape: ModelShape,
  width: Width,
  rows: number,
  headRows: number,
): FlopsByPart {
  const d = shape.hiddenSize;
  const inner = width.heads * shape.headDim;
  const positions = tokenCount(shape) + 1;
  return {
    projections: 2 * shape.layers * 4 * rows * d * inner,
    attention: 2 * shape.layers * 2 * rows * positions * inner,
    mlp: 2 * shape.layers * 2 * rows * d * width.hidden,
    head: 2 * headRows * (d * d + shape.vocabSize * d),
  };
}

export function totalFlops(parts: FlopsByPart): number {
  return parts.projections + parts.attention + parts.mlp + parts.head;
}
