/**
 * FLOPs by formula; a multiply-add counts 2. With n active rows, S rows of a sequence, o logits rows, hidden size d, inner
 * size a = heads · head_dim and f hidden units, the multiply-adds are:
 *
 * - each layer: projections 4·n·d·a, attention 2·n·S·a, MLP 2·n·d·f (3·n·d·f where it has a gate);
 * - LM head: o·(d² + V·d); a plain one has no d², and one with a matrix of its own C·d in place of V·d;
 * - modulation: (6·L + 2)·d², once for each branch.
 */

import { integer, isObject, number, wrongType } from '../errors.js';
import {
  checkShape,
  checkWholeShape,
  type ModelShape,
  sequenceLength,
  type Width,
} from './shape.js';
import { logitsColumns } from './vocabulary.js';

/** More rows than a batch has: 65536 samples of two branches. */
const mostRows = 2 ** 34;

export interface FlopsByPart {
  /** Query, key, value and output projections, and modulation. */
  readonly projections: number;
  /** Attention scores and the weighted sum of values. */
  readonly attention: number;
  readonly mlp: number;
  readonly lmHead: number;
}

/** `stepFlops` of what has been checked before. */
export function stepFlopsOf(
  shape: ModelShape,
  width: Pick<Width, 'heads' | 'hidden'>,
  activeRows: number,
  logitsRows: number,
): FlopsByPart {
  const d = shape.hiddenSize;
  const inner = width.heads * shape.headDim;
  return {
    projections: 2 * shape.layers * 4 * activeRows * d * inner,
    attention: 2 * shape.layers * 2 * activeRows * sequenceLength(shape) * inner,
    mlp: 2 * shape.layers * (shape.mlpGate === 'multiply' ? 3 : 2) * activeRows * d * width.hidden,
    lmHead: 2 * logitsRows * ((shape.head === 'plain' ? 0 : d * d) + logitsColumns(shape) * d),
  };
}

/** One pass: `activeRows` rows through the layers, `logitsRows` of them through the LM head, of one or more sequences. */
export function stepFlops(
  shape: ModelShape,
  width: Pick<Width, 'heads' | 'hidden'>,
  activeRows: number,
  logitsRows: number,
): FlopsByPart {
  checkWholeShape(shape);
  if (!isObject(width)) throw wrongType('width', 'a width', width);
  number('width.heads', width.heads, 0); // a formula takes fractions, too
  number('width.hidden', width.hidden, 0);
  integer('activeRows', activeRows, 0, mostRows);
  integer('logitsRows', logitsRows, 0, mostRows);
  return stepFlopsOf(shape, width, activeRows, logitsRows);
}

/** The vectors by which classes modulate: of each branch once, before its first step. */
export function modulationFlops(shape: ModelShape, branches: number): number {
  checkShape(shape, 'modulation', 'layers', 'hiddenSize');
  integer('branches', branches, 0, mostRows);
  if (shape.modulation !== 'class') return 0;
  return 2 * branches * (6 * shape.layers + 2) * shape.hiddenSize ** 2;
}

export function totalFlops(parts: FlopsByPart): number {
  if (!isObject(parts)) {
    throw wrongType('parts', 'the FLOPs of each part', parts);
  }
  const { projections, attention, mlp, lmHead } = parts;
  number('projections', projections, 0);
  number('attention', attention, 0);
  number('mlp', mlp, 0);
  number('lmHead', lmHead, 0);
  return projections + attention + mlp + lmHead;
}
