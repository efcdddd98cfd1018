/**
 * The best schedule within a budget of FLOPs: dynamic programming over step and width. Of all beginnings that end at a
 * step with a width only those are kept that no other beats in cost and score, and whose best end can still win.
 */

import { wrongValue } from '../errors.js';
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

/** The best end after a step, whose width is the index: its value, and its FLOPs. */
interface Ends {
  readonly value: Float64Array;
  readonly flops: Float64Array;
}

class Search {
  readonly #weights: readonly number[];
  readonly #beginnings = new Beginnings();

  constructor(
    private readonly steps: readonly StepChoice[],
    private readonly most: number,
    { widths, headDim, mlpGate }: ModelShape,
  ) {
    const products = mlpGate === 'multiply' ? 3 : 2;
    this.#weights = widths.map(({ heads, hidden }) => 4 * heads * headDim + products * hidden);
  }

  #score(step: StepChoice, width: number): number {
    return step.revealed * this.#weights[width]!;
  }

  /**
   * The best end after each step, where the value of an end is `worth` times its score less `price` times its FLOPs; and
   * that of whole schedules.
   */
  ends(worth: number, price: number): { ends: Ends[]; value: number; flops: number } {
    const count = this.#weights.length;
    let after: Ends = { value: new Float64Array(count), flops: new Float64Array(count) };
    const ends = [after];
    const whole = { value: Number.NEGATIVE_INFINITY, flops: 0 };
    for (let at = this.steps.length - 1; at >= 0; --at) {
      const step = this.steps[at]!;
      const before: Ends = { value: new Float64Array(count), flops: new Float64Array(count) };
      // The best end that begins with a width wider than `width`.
      const wider = { value: Number.NEGATIVE_INFINITY, flops: 0 };
      for (let width = count - 1; width >= 0; --width) {
        const gain = worth * this.#score(step, width) + after.value[width]!;
        const stays = step.continued[width]! + after.flops[width]!;
        const stayed = gain - price * step.continued[width]!;
        before.value[width] = Math.max(stayed, wider.value);
        before.flops[width] = stayed >= wider.value ? stays : wider.flops;
        const changed = gain - price * step.refreshed[width]!;
        if (changed > wider.value) {
          wider.value = changed;
          wider.flops = step.refreshed[width]! + after.flops[width]!;
        }
      }
      if (at === 0)
        Object.assign(whole, wider); // the first step has none before it
      else ends.unshift(before);
      after = before;
    }
    return { ends, ...whole };
  }

  /** The price of a FLOP at which the best schedule just fits, about: it bounds well what an end can still bring. */
  #price(): { price: number; score: number } {
    let [low, high] = [0, 0];
    let found = { price: 0, score: 0 };
    let scale = 1 / this.most;
    for (let round = 0; round < 32; ++round) {
      const price = high > 0 ? (low + high) / 2 : low;
      const { value, flops } = this.ends(1, price);
      if (flops <= this.most) {
        const score = value + price * flops;
        if (score >= found.score) found = { price, score };
        if (price === 0) break;
        high = price;
      } else if (high > 0) low = price;
      else {
        low = scale;
        scale *= 4;
      }
    }
    return found;
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

  /** The widths of the best schedule; undefined where none fits. */
  best(): number[] | undefined {
    const { price, score: reached } = this.#price();
    const { ends } = this.ends(1, price);
    const cheapest = this.ends(0, 1).ends;
    const least = reached * (1 - 1e-12) - 0.5; // the bounds are rounded, the scores are whole numbers
    const start: Front = { flops: [0], score: [0], beginning: [none] };
    let fronts: Front[] = this.#weights.map(emptyFront);
    this.steps.forEach((step, at) => {
      let narrower = at === 0 ? start : emptyFront();
      fronts = fronts.map((front, width) => {
        const gain = this.#score(step, width);
        const left = cheapest[at]!.value[width]!;
        const value = ends[at]!.value[width]! + gain;
        const canWin = (flops: number, score: number) =>
          flops - left <= this.most && score + price * (this.most - flops) + value >= least;
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
    const smallest = -search.ends(0, 1).value / baselineFlops;
    throw wrongValue('budget', `at least ${smallest.toFixed(4)} for this model and steps`, budget);
  }
  return best.map((width) => model.widths[width]!);
}
