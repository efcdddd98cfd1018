/**
 * Plans: a schedule made concrete for a token count and a step count, with its FLOPs. Pure float64 arithmetic, no
 * device; native code receives these numbers and recomputes none of them.
 */

import { integer, number, wrongType, wrongValue } from '../errors.js';
import { type FlopsByPart, stepFlops, totalFlops } from './flops.js';
import {
  formatSchedule,
  type Phase,
  parseSchedule,
  type ScheduleInput,
  scheduleSteps,
} from './schedule.js';
import { fullWidth, type ModelShape, tokenCount } from './shape.js';

/** Share of tokens that is still masked at progress r in [0, 1] (MaskGIT, mask_schedule; arccos: Halton-MaskGIT). */
export const maskingSchedules = {
  cosine: (r: number) => Math.cos((Math.PI / 2) * r),
  linear: (r: number) => 1 - r,
  square: (r: number) => 1 - r ** 2,
  cubic: (r: number) => 1 - r ** 3,
  arccos: (r: number) => Math.acos(r) / (Math.PI / 2),
} as const;

export type MaskingSchedule = keyof typeof maskingSchedules;

export interface PlanOptions {
  readonly model: ModelShape;
  /** Default: the schedule's own, else 12. */
  readonly steps?: number;
  /** Default `'paper'`. */
  readonly schedule?: ScheduleInput;
  /** Instead of a schedule: the best ascending one of at most this share of the baseline's FLOPs (`bestWithin`). */
  readonly budget?: number;
  /** Default `'cosine'`. */
  readonly maskingSchedule?: MaskingSchedule;
  /** Keep keys and values of known tokens between refreshes. Default true, but false with `schedule: 'full'`. */
  readonly cache?: boolean;
  /** Sampling temperature, or from the first to the last step. Default 1. */
  readonly temperature?: number | readonly [number, number];
  /** Of the Gumbel noise on the confidence; falls linearly to 0 at the last step. Default 4.5. */
  readonly choiceTemperature?: number;
  /** Tokens masked at the start. Default all. */
  readonly masked?: number;
}

export interface PlanRow {
  /** From 0. */
  readonly step: number;
  readonly width: string;
  readonly heads: number;
  readonly hidden: number;
  /** Every row is computed and the cache rewritten. */
  readonly refresh: boolean;
  /** Rows through the layers. */
  readonly rows: number;
  /** Rows through the head. */
  readonly headRows: number;
  /** Positions masked when the step begins. */
  readonly masked: number;
  /** Positions that become known after it. */
  readonly reveal: number;
  readonly temperature: number;
  readonly choiceTemperature: number;
  readonly flops: number;
  readonly parts: FlopsByPart;
}

/** One sample's plan. With guidance, every number of FLOPs counts twice. */
export interface DecodePlan {
  readonly model: string;
  readonly steps: number;
  readonly schedule: string;
  readonly cache: boolean;
  readonly flops: number;
  /** The full width at every step, every row through every layer and the head, nothing cached. */
  readonly baselineFlops: number;
  /** baselineFlops / flops */
  readonly ratio: number;
  readonly rows: readonly PlanRow[];
}

/**
 * Positions still masked after each step, the last 0 (MaskGIT, parallel_decode). At least one is revealed and one kept
 * in every step but the last, as far as there are that many.
 */
export function maskCounts(masked: number, steps: number, schedule: MaskingSchedule): number[] {
  let left = masked;
  return Array.from({ length: steps }, (_, step) => {
    const ratio = Math.min(1, Math.max(1e-6, maskingSchedules[schedule]((step + 1) / steps)));
    const wanted = Math.max(1, Math.min(left - 1, Math.floor(masked * ratio)));
    left = step === steps - 1 ? 0 : Math.min(left, wanted);
    return left;
  });
}

function planPhases(options: PlanOptions, phases: readonly Phase[], cache: boolean): DecodePlan {
  const { model, maskingSchedule = 'cosine', choiceTemperature = 4.5 } = options;
  const temperatures = options.temperature ?? 1;
  const [first, last] =
    typeof temperatures === 'number' ? [temperatures, temperatures] : temperatures;
  const masked = options.masked ?? tokenCount(model);
  const positions = tokenCount(model) + 1;
  const widths = phases.flatMap((phase) => Array<Phase['width']>(phase.steps).fill(phase.width));
  const steps = widths.length;
  const after = maskCounts(masked, steps, maskingSchedule);

  const rows = widths.map((width, step): PlanRow => {
    const refresh = !cache || step === 0 || widths[step - 1] !== width;
    const before = step === 0 ? masked : after[step - 1]!;
    const beforeThat = step <= 1 ? masked : after[step - 2]!;
    const computed = refresh ? positions : beforeThat;
    const headRows = cache ? before : positions;
    const parts = stepFlops(model, width, computed, headRows);
    return {
      step,
      width: width.name,
      heads: width.heads,
      hidden: width.hidden,
      refresh,
      rows: computed,
      headRows,
      masked: before,
      reveal: before - after[step]!,
      temperature: steps > 1 ? first + ((last - first) * step) / (steps - 1) : first,
      choiceTemperature: choiceTemperature * (1 - (step + 1) / steps),
      flops: totalFlops(parts),
      parts,
    };
  });
  const flops = rows.reduce((sum, row) => sum + row.flops, 0);
  const baselineFlops =
    steps * totalFlops(stepFlops(model, fullWidth(model), positions, positions));
  return {
    model: model.name,
    steps,
    schedule: formatSchedule(phases),
    cache,
    flops,
    baselineFlops,
    ratio: baselineFlops / flops,
    rows,
  };
}

/** All ways to give `steps` steps to the widths `from` on, in order; a width may get none. */
export function* ascending(
  widths: ModelShape['widths'],
  steps: number,
  from = 0,
): Generator<Phase[]> {
  const width = widths[from]!;
  if (from === widths.length - 1) {
    yield steps > 0 ? [{ width, steps }] : [];
    return;
  }
  for (let count = 0; count <= steps; ++count) {
    for (const rest of ascending(widths, steps - count, from + 1)) {
      yield count > 0 ? [{ width, steps: count }, ...rest] : rest;
    }
  }
}

/**
 * The ascending schedule that makes the most of a budget: of those with at most `budget · baseline` FLOPs, the one that
 * gives the predictions the most capacity, the sum over steps of tokens revealed times the share of the full width's
 * weights that revealed them; of equals the cheaper.
 */
function bestWithin(
  options: PlanOptions,
  steps: number,
  budget: number,
  cache: boolean,
): DecodePlan {
  const { model } = options;
  const weights = (width: { heads: number; hidden: number }) =>
    2 * width.heads * model.headDim + width.hidden;
  const full = weights(fullWidth(model));
  let best: { plan: DecodePlan; score: number } | undefined;
  let smallest = Number.POSITIVE_INFINITY;
  for (const phases of ascending(model.widths, steps)) {
    const plan = planPhases(options, phases, cache);
    smallest = Math.min(smallest, plan.flops / plan.baselineFlops);
    if (plan.flops > budget * plan.baselineFlops) continue;
    const score = plan.rows.reduce((sum, row) => sum + (row.reveal * weights(row)) / full, 0);
    const better =
      best === undefined ||
      score > best.score ||
      (score === best.score && plan.flops < best.plan.flops);
    if (better) best = { plan, score };
  }
  if (best === undefined) {
    throw wrongValue('budget', `at least ${smallest.toFixed(4)} for this model and steps`, budget);
  }
  return best.plan;
}

/** @throws TypeError, RangeError when an option is not what it should be. */
export function plan(options: PlanOptions): DecodePlan {
  const { model, schedule, budget, maskingSchedule = 'cosine' } = options;
  const steps = integer('steps', options.steps ?? scheduleSteps(schedule, model) ?? 12, 1, 1000);
  if (!Object.hasOwn(maskingSchedules, maskingSchedule)) {
    throw wrongValue(
      'maskingSchedule',
      `one of ${Object.keys(maskingSchedules).join(', ')}`,
      maskingSchedule,
    );
  }
  if (options.masked !== undefined) integer('masked', options.masked, 0, tokenCount(model));
  for (const temperature of [options.temperature ?? 1].flat())
    number('temperature', temperature, 0);
  if (Array.isArray(options.temperature) && options.temperature.length !== 2) {
    throw wrongValue('temperature', 'a number or [first, last]', options.temperature);
  }
  number('choiceTemperature', options.choiceTemperature ?? 0, 0);
  if (options.cache !== undefined && typeof options.cache !== 'boolean') {
    throw wrongType('cache', 'a boolean', options.cache);
  }
  if (budget !== undefined) {
    if (schedule !== undefined) throw wrongValue('budget', 'no schedule beside it', schedule);
    integer('steps with a budget', steps, 1, 64); // the search is exhaustive
    return bestWithin(options, steps, number('budget', budget, 0), options.cache ?? true);
  }
  const phases = parseSchedule(schedule ?? 'paper', model, steps);
  return planPhases(options, phases, options.cache ?? schedule !== 'full');
}
