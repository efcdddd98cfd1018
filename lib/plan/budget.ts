/**
 * The best schedule within a budget of FLOPs: dynamic programming over step and width. Of all beginnings that end at a
 * step with a width only those are kept that no other beats in cost and score, and that some end may still make the best:
 * the curves above all ends say how much they score at most with the FLOPs that are left.
 */

import { wrongValue } from '../errors.js';
import { above, type Curve, emptyCurve, height, reached } from './curve.js';
import type { ModelShape, Width } from './shape.js';

/** More steps than a search is worth. */
export const mostStepsOfBudget = 64;

/** What one step of a sample reveals, and its FLOPs at each width from the narrowest on. */
export interface StepChoice {
  readonly revealed: number;
  /** With every row, as at a change of width. */
  readonly refreshed: readonly number[];
  /** At the width of the step before. */
  readonly continued: readonly number[];
}

/** No other beginning. */
const none = -1;

/** The beginnings of schedules that have been looked at: each is one before it and the width of one more step. */
class Beginnings {
  readonly #before: number[] = [];
  readonly #width: number[] = [];

  add(before: number, width: number): number {
    this.#width.push(width);
    return this.#before.push(before) - 1;
  }

  widths(last: number): number[] {
    const widths: number[] = [];
    for (let at = last; at !== none; at = this.#before[at]!) widths.push(this.#width[at]!);
    return widths.reverse();
  }

  /** Whether the first steps of `a` are wider than those of `b`, which has as many steps. */
  comesFirst(a: number, b: number): boolean {
    let wider = false;
    let own = a;
    let other = b;
    while (own !== other) {
      const width = this.#width[own]!;
      const instead = this.#width[other]!;
      if (width !== instead) wider = width > instead; // the first step that differs comes last
      own = this.#before[own]!;
      other = this.#before[other]!;
    }
    return wider;
  }
}

/** Beginnings that end at the same step, by ascending FLOPs and score, none of which another beats. */
interface Front {
  readonly flops: number[];
  readonly score: number[];
  readonly beginning: number[];
}

const emptyFront = (): Front => ({ flops: [], score: [], beginning: [] });

class Search {
  readonly #weights: readonly number[];
  readonly #beginnings = new Beginnings();
  /** Above the ends that follow a step, for each width of that step. */
  readonly #ends: Curve[][] = [];
  /** Above whole schedules. */
  readonly schedules: Curve;

  constructor(
    private readonly steps: readonly StepChoice[],
    private readonly most: number,
    { widths, headDim, mlpGate }: ModelShape,
  ) {
    const products = mlpGate === 'multiply' ? 3 : 2;
    this.#weights = widths.map(({ heads, hidden }) => 4 * heads * headDim + products * hidden);
    let ends: Curve[] = widths.map(() => ({ flops: [0], score: [0] }));
    let wider = emptyCurve();
    for (let at = steps.length - 1; at >= 0; --at) {
      const { continued, refreshed } = steps[at]!;
      this.#ends[at] = ends;
      const longer: Curve[] = [];
      wider = emptyCurve();
      for (let width = widths.length - 1; width >= 0; --width) {
        const score = this.#score(steps[at]!, width);
        longer[width] = above(ends[width]!, continued[width]!, score, wider);
        wider = above(ends[width]!, refreshed[width]!, score, wider);
      }
      ends = longer;
    }
    this.schedules = wider; // the first step has none before it
  }

  #score(step: StepChoice, width: number): number {
    return step.revealed * this.#weights[width]!;
  }

  /** Both fronts, with what one more step costs each; only those are kept that `canWin`. */
  #merge(
    a: Front,
    costA: number,
    b: Front,
    costB: number,
    canWin: (flops: number, score: number) => boolean,
  ): Front {
    // A plain loop, because it runs a hundred thousand times before anything is compiled.
    const result = emptyFront();
    let i = 0;
    let j = 0;
    let last = -1;
    while (i < a.flops.length || j < b.flops.length) {
      let from = a;
      let at = i;
      let flops = i < a.flops.length ? a.flops[i]! + costA : Number.POSITIVE_INFINITY;
      if (j < b.flops.length && b.flops[j]! + costB < flops) {
        from = b;
        at = j++;
        flops = b.flops[at]! + costB;
      } else ++i;
      const score = from.score[at]!;
      if (!canWin(flops, score)) continue;
      const beginning = from.beginning[at]!;
      if (last >= 0 && score <= result.score[last]!) {
        if (score < result.score[last]! || flops > result.flops[last]!) continue;
        if (!this.#beginnings.comesFirst(beginning, result.beginning[last]!)) continue;
      }
      if (last < 0 || flops > result.flops[last]!) ++last;
      result.flops[last] = flops;
      result.score[last] = score;
      result.beginning[last] = beginning;
    }
    return result;
  }

  /** The widths of the best schedule; undefined where none scores `least`. */
  #atLeast(least: number): number[] | undefined {
    const start: Front = { flops: [0], score: [0], beginning: [none] };
    let fronts: Front[] = this.#weights.map(emptyFront);
    this.steps.forEach((step, at) => {
      let narrower = at === 0 ? start : emptyFront();
      fronts = fronts.map((front, width) => {
        const gain = this.#score(step, width);
        const ends = this.#ends[at]![width]!;
        const canWin = (flops: number, score: number) =>
          score + gain + height(ends, this.most - flops) >= least;
        const { continued, refreshed } = step;
        const result = this.#merge(front, continued[width]!, narrower, refreshed[width]!, canWin);
        for (let i = 0; i < result.flops.length; ++i) {
          result.score[i]! += gain;
          result.beginning[i] = this.#beginnings.add(result.beginning[i]!, width);
        }
        if (at > 0) narrower = this.#merge(narrower, 0, front, 0, () => true);
        return result;
      });
    });
    const all = fronts.reduce((a, b) => this.#merge(a, 0, b, 0, () => true), emptyFront());
    const best = all.beginning.at(-1);
    return best === undefined ? undefined : this.#beginnings.widths(best);
  }

  /** The widths of the best schedule; undefined where none fits. */
  best(): number[] | undefined {
    const most = height(this.schedules, this.most);
    const surely = reached(this.schedules, this.most);
    if (surely === Number.NEGATIVE_INFINITY) return undefined;
    // Few beginnings can still score almost as much as the curve allows, so less is asked only where nothing does.
    for (let share = 1 / 256; share <= 1; share *= 4) {
      const least = most - share * (most - surely);
      const found = this.#atLeast(least * (1 - 1e-12) - 0.5); // curves are rounded, scores are whole numbers
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/**
 * The widths of the ascending schedule that makes the most of a budget: of those with at most `budget · baseline` FLOPs
 * the one that gives the predictions the most capacity, the sum over steps of the tokens revealed times the weights of
 * the width that reveals them; of equals the cheaper, of these the one with the wider first steps.
 */
export function bestWithin(
  budget: number,
  model: ModelShape,
  steps: readonly StepChoice[],
  baselineFlops: number,
): readonly Width[] {
  const search = new Search(steps, budget * baselineFlops, model);
  const best = search.best();
  if (best === undefined) {
    const smallest = search.schedules.flops[0]! / baselineFlops;
    throw wrongValue('budget', `at least ${smallest.toFixed(4)} for this model and steps`, budget);
  }
  return best.map((width) => model.widths[width]!);
}
