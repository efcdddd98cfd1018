/** The best schedule within a budget of FLOPs. */

import { wrongValue } from '../errors.js';
import { fullWidth, type ModelShape, type Width } from './shape.js';

/** The search looks at every ascending schedule, of which there are too many with more steps than this. */
export const mostStepsOfBudget = 64;

/** What a candidate schedule costs and reveals. */
export interface Candidate {
  readonly flops: number;
  readonly baselineFlops: number;
  readonly steps: readonly {
    readonly width: Width;
    readonly masked: number;
    readonly maskedAfter: readonly number[];
  }[];
}

/** All ways to give `steps` steps to the widths `from` on, in order; a width may get none. */
export function* ascending(
  widths: readonly Width[],
  steps: number,
  from = 0,
): Generator<readonly Width[]> {
  const width = widths[from]!;
  if (from === widths.length - 1) {
    yield Array<Width>(steps).fill(width);
    return;
  }
  for (let count = 0; count <= steps; ++count) {
    for (const rest of ascending(widths, steps - count, from + 1)) {
      yield [...Array<Width>(count).fill(width), ...rest];
    }
  }
}

/**
 * The widths of the ascending schedule that makes the most of a budget: of those with at most `budget · baseline` FLOPs
 * the one that gives the predictions the most capacity, the sum over steps of the tokens revealed times the share of the
 * full width's weights that revealed them; of equals the cheaper. `planOf` plans one whole sample.
 */
export function bestWithin(
  budget: number,
  model: ModelShape,
  steps: number,
  planOf: (widths: readonly Width[]) => Candidate,
): readonly Width[] {
  const products = model.mlpGate === 'multiply' ? 3 : 2;
  const weights = (width: Width) => 4 * width.heads * model.headDim + products * width.hidden;
  const full = weights(fullWidth(model));
  let best: { widths: readonly Width[]; flops: number; score: number } | undefined;
  let smallest = Number.POSITIVE_INFINITY;
  for (const widths of ascending(model.widths, steps)) {
    const { flops, baselineFlops, steps: planned } = planOf(widths);
    smallest = Math.min(smallest, flops / baselineFlops);
    if (flops > budget * baselineFlops) continue;
    const score = planned.reduce(
      (sum, { width, masked, maskedAfter }) =>
        sum + ((masked - maskedAfter[0]!) * weights(width)) / full,
      0,
    );
    const better =
      best === undefined || score > best.score || (score === best.score && flops < best.flops);
    if (better) best = { widths, flops, score };
  }
  if (best === undefined) {
    throw wrongValue('budget', `at least ${smallest.toFixed(4)} for this model and steps`, budget);
  }
  return best.widths;
}
