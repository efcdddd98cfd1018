/**
 * Plans: a schedule made concrete for a model, a number of steps and the masked positions of every sample, with its
 * FLOPs. Pure float64 arithmetic without a device; native code receives these numbers and computes none of them anew.
 */

import { boolean, elements, integer, isList, number, readOptions, wrongValue } from '../errors.js';
import { bestWithin, mostStepsOfBudget } from './budget.js';
import { type FlopsByPart, modulationFlops, stepFlopsOf, totalFlops } from './flops.js';
import { maskCounts, mostSteps } from './masking.js';
import {
  type GuidanceOptions,
  type Order,
  plainRecipe,
  type Sampling,
  type SamplingOptions,
  samplingOf,
} from './recipe.js';
import {
  formatSchedule,
  parseSchedule,
  phasesOf,
  type ScheduleInput,
  scheduleSteps,
} from './schedule.js';
import {
  checkWholeShape,
  fullWidth,
  type ModelShape,
  sequenceLength,
  subTokenCount,
  tokenCount,
  type Width,
} from './shape.js';

export interface PlanOptions extends SamplingOptions, GuidanceOptions {
  /** The size of the model: one of `presets`, or the `config` of a loaded one, whose recipe is the default. */
  readonly model: ModelShape;
  /** Steps, 1 .. 1000. Default: as many as the schedule spells out, else the model's, or 12. */
  readonly steps?: number;
  /** Default `'paper'`. */
  readonly schedule?: ScheduleInput;
  /**
   * Instead of a schedule: the best ascending one that costs at most this share of the baseline's FLOPs, such as 0.33. It
   * is searched for a sample with all positions masked, whatever `masked` says, and has at most 64 steps.
   */
  readonly budget?: number;
  /** Keep keys and values of known tokens between refreshes. Default true, but false with `schedule: 'baseline'`. */
  readonly cache?: boolean;
  /** Masked positions at the start, one number for each sample, or one number for one sample. Default: one, all masked. */
  readonly masked?: number | readonly number[];
}

/** One step of a batch. Rows, positions and FLOPs are those of all samples; rows and FLOPs of both branches. */
export interface StepPlan {
  /** From 0. */
  readonly step: number;
  readonly width: Width;
  /** Every row is computed and the cache rewritten. */
  readonly refresh: boolean;
  /** Rows that go through the layers. */
  readonly activeRows: number;
  /** Rows that go through the LM head. */
  readonly logitsRows: number;
  /** Positions masked when the step begins; of tokens with sub-tokens these, as in `maskedAfter`. */
  readonly masked: number;
  /** Positions still masked after the step, one number for each sample. */
  readonly maskedAfter: readonly number[];
  /** w of this step. */
  readonly guidance: number;
  readonly temperature: number;
  readonly choiceTemperature: number;
  readonly flops: number;
  readonly parts: FlopsByPart;
}

/** The steps of a batch of samples. Every number of FLOPs is that of all samples and both branches. */
export interface BatchPlan {
  readonly model: ModelShape;
  /** The widths of the steps, such as `'1/8x3,1/4x3,1/2x3,1x3'`. */
  readonly schedule: string;
  readonly cache: boolean;
  readonly order: Order;
  readonly samples: number;
  /** Sequences computed: as many as samples, or twice as many with guidance. */
  readonly branches: number;
  readonly steps: readonly StepPlan[];
  readonly flops: number;
  /** The full width at the same number of steps, every row through every layer and the LM head, nothing cached. */
  readonly baselineFlops: number;
  /** baselineFlops / flops */
  readonly flopsRatio: number;
}

/** More samples than one request has. */
export const mostSamples = 2 ** 16;

/** Options after all checks, all defaults filled in. */
interface Settings {
  readonly model: ModelShape;
  readonly cache: boolean;
  readonly sampling: Sampling;
}

/**
 * The widths of n steps taken evenly from those of N: step i takes that of step floor((2 i + 1) N / (2 n)), which is the
 * middle of the i-th of n equal parts.
 */
function takeEvenly(widths: readonly Width[], count: number): Width[] {
  const { length } = widths;
  return Array.from(
    { length: count },
    (_, i) => widths[Math.floor(((2 * i + 1) * length) / (2 * count))]!,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** [1 + steps][samples] masked sub-tokens before the first step, then after each. */
function maskedCounts(
  masked: readonly number[],
  steps: number,
  { maskingSchedule, order }: Sampling,
): readonly (readonly number[])[] {
  const rounding = order === 'confidence' ? 'down' : 'up';
  const known = new Map<number, number[]>(); // most samples are alike
  for (const start of masked) {
    if (!known.has(start)) known.set(start, maskCounts(start, steps, maskingSchedule, rounding));
  }
  const after = (step: number) => masked.map((start) => known.get(start)![step]!);
  return [masked, ...Array.from({ length: steps }, (_, step) => after(step))];
}

/** What the steps of a batch are computed from. */
interface Course extends Settings {
  /** One for each step. */
  readonly widths: readonly Width[];
  /** [1 + steps][samples] masked sub-tokens before the first step, then after each. */
  readonly counts: readonly (readonly number[])[];
  readonly branches: number;
}

function isRefresh({ cache, widths, sampling }: Course, step: number): boolean {
  return !cache || step === 0 || widths[step - 1] !== widths[step] || sampling.refreshes(step);
}

/** Rows of all branches through the layers and through the LM head. */
function rowsOf(course: Course, step: number): { activeRows: number; logitsRows: number } {
  const { model, cache, sampling, counts, branches } = course;
  const before = counts[step]!;
  const after = counts[step + 1]!;
  const length = tokenCount(model);
  const branchesOfSample = branches / before.length;
  /** The rows for this many sub-tokens of each sample: no more than it has positions. */
  const rows = (wanted: readonly number[]) =>
    sum(wanted.map((count) => Math.min(length, count))) * branchesOfSample;
  const allRows = sequenceLength(model) * branches;
  // By confidence every masked position is drawn, in an order only what the step reveals.
  const drawn = sampling.order === 'confidence' ? before : before.map((n, i) => n - after[i]!);
  return {
    // Without a refresh: what is masked now, and what the step before revealed, whose keys and values are not cached yet.
    activeRows: isRefresh(course, step) ? allRows : rows(counts[step - 1]!),
    logitsRows: cache ? rows(drawn) : allRows,
  };
}

function planStep(course: Course, step: number): StepPlan {
  const { model, sampling, widths, counts, branches } = course;
  const width = widths[step]!;
  const { activeRows, logitsRows } = rowsOf(course, step);
  const pass = stepFlopsOf(model, width, activeRows, logitsRows);
  const modulation = step === 0 ? modulationFlops(model, branches) : 0;
  const parts = { ...pass, projections: pass.projections + modulation };
  return {
    step,
    width,
    refresh: isRefresh(course, step),
    activeRows,
    logitsRows,
    masked: sum(counts[step]!),
    maskedAfter: counts[step + 1]!,
    guidance: sampling.guidance(step, widths.length),
    temperature: sampling.temperature(step, widths.length),
    choiceTemperature: sampling.choiceTemperature(step, widths.length),
    flops: totalFlops(parts),
    parts,
  };
}

/** The FLOPs of `steps` steps of the full width over every row. The class modulates once, as in a plan. */
function baselineFlopsOf(model: ModelShape, steps: number, branches: number): number {
  if (steps === 0) return 0;
  const rows = sequenceLength(model) * branches;
  const step = totalFlops(stepFlopsOf(model, fullWidth(model), rows, rows));
  return steps * step + modulationFlops(model, branches);
}

/** The plan of samples with these numbers of masked sub-tokens, at these widths. */
function planAt(
  settings: Settings,
  schedule: readonly Width[],
  masked: readonly number[],
): BatchPlan {
  const { model, cache, sampling } = settings;
  const samples = masked.length;
  const branches = samples * (sampling.guided ? 2 : 1);
  // A step reveals at least one token, so more steps than masked positions would have nothing to do.
  const most = masked.reduce((a, b) => Math.max(a, b), 0);
  const widths = most < schedule.length ? takeEvenly(schedule, most) : schedule;
  const counts = maskedCounts(masked, widths.length, sampling);
  const course = { ...settings, widths, counts, branches };
  const steps = widths.map((_, step) => planStep(course, step));
  const flops = sum(steps.map((step) => step.flops));
  const baselineFlops = baselineFlopsOf(model, steps.length, branches);
  return {
    model,
    schedule: formatSchedule(phasesOf(widths)),
    cache,
    order: sampling.order,
    samples,
    branches,
    steps,
    flops,
    baselineFlops,
    flopsRatio: flops === 0 ? 1 : baselineFlops / flops,
  };
}

/** The best ascending schedule of at most `steps` steps for a whole sample. */
function searchWithin(budget: number, settings: Settings, steps: number): readonly Width[] {
  const { model, sampling } = settings;
  const masked = subTokenCount(model);
  const count = Math.min(steps, masked); // a whole sample takes no more
  const refreshing: Settings = { ...settings, sampling: { ...sampling, refreshes: () => true } };
  const plansOf = (each: Settings) =>
    model.widths.map((width) => planAt(each, Array<Width>(count).fill(width), [masked]));
  const [continued, refreshed] = [plansOf(settings), plansOf(refreshing)];
  const choices = continued[0]!.steps.map((step, t) => ({
    revealed: step.masked - step.maskedAfter[0]!,
    continued: continued.map((plan) => plan.steps[t]!.flops),
    refreshed: refreshed.map((plan) => plan.steps[t]!.flops),
  }));
  return bestWithin(budget, model, choices, continued[0]!.baselineFlops);
}

/** The options that requests share with plans. */
export const plannedOptionNames = [
  'steps',
  'schedule',
  'budget',
  'cache',
  'maskingSchedule',
  'refresh',
  'order',
  'temperature',
  'inverseTemperature',
  'choiceTemperature',
  'guidance',
  'guidanceSchedule',
  'guidancePower',
] as const satisfies readonly (keyof PlanOptions)[];

const optionNames = [
  'model',
  ...plannedOptionNames,
  'masked',
] as const satisfies readonly (keyof PlanOptions)[];

/** Options that have been checked and a schedule that has been found, once for all batches of a request. */
export interface Planner {
  /** Steps of a sample that has at least as many masked positions. */
  readonly steps: number;
  readonly order: Order;
  /** The unconditional branches are computed too. */
  readonly guided: boolean;
  /** Plans a batch of samples with these numbers of masked sub-tokens. */
  planBatch(masked: readonly number[]): BatchPlan;
}

/** @throws TypeError, RangeError when an option is not what it should be. */
export function planner(options: Omit<PlanOptions, 'masked'>): Planner {
  const { model, schedule, budget } = options;
  checkWholeShape(model);
  const { sampling: recipe = plainRecipe } = model;
  const steps = integer(
    'steps',
    options.steps ?? scheduleSteps(schedule, model) ?? recipe.steps,
    1,
    mostSteps,
  );
  const cache = boolean('cache', options.cache ?? schedule !== 'baseline');
  if (!cache && options.refresh !== undefined) {
    throw wrongValue('refresh', 'none without a cache, where every step is one,', options.refresh);
  }
  const sampling = samplingOf(options, recipe, steps, model.latentShape[0]);
  const settings: Settings = { model, cache, sampling };
  let widths: readonly Width[];
  if (budget === undefined) {
    const phases = parseSchedule(schedule ?? 'paper', model, steps);
    widths = phases.flatMap((phase) => Array<Width>(phase.steps).fill(phase.width));
  } else {
    number('budget', budget, 0);
    if (schedule !== undefined) throw wrongValue('budget', 'no schedule beside it', schedule);
    integer('steps with a budget', steps, 1, mostStepsOfBudget);
    widths = searchWithin(budget, settings, steps);
  }
  const { order, guided } = sampling;
  const planBatch = (masked: readonly number[]) => planAt(settings, widths, masked);
  return { steps: widths.length, order, guided, planBatch };
}

/**
 * Plans a batch of samples: what each step computes and what it costs, beside the full-size baseline.
 * @throws TypeError, RangeError when an option is not what it should be.
 */
export function plan(options: PlanOptions): BatchPlan {
  const { masked: given, ...planned } = readOptions<PlanOptions>(options, optionNames);
  const { planBatch } = planner(planned);
  const { model } = planned;
  const length = tokenCount(model);
  const masked: readonly number[] = isList(given)
    ? elements('masked', given, mostSamples)
    : [given ?? length];
  integer('samples in masked', masked.length, 1, mostSamples);
  for (const count of masked) integer('masked', count, 0, length);
  return planBatch(masked.map((count) => count * (model.subTokens ?? 1)));
}
