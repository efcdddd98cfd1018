/** How steps draw and reveal: the options, and a model's own defaults for them. */

import {
  elements,
  integer,
  isList,
  number,
  oneOf,
  within,
  wrongType,
  wrongValue,
} from '../errors.js';
import { type MaskingSchedule, maskingScheduleNames, mostSteps } from './masking.js';

/** The least number that logits may be multiplied by, and the least power of progress. */
export const leastPositive = 1e-6;

/** A share at a progress with a power, which are checked. */
const share =
  (of: (progress: number, power: number) => number) =>
  (progress: number, power = 1): number =>
    of(within('progress', progress, 0, 1), number('power', power, leastPositive));

/** How guidance changes from step to step: the share of w at progress t / T. */
export const guidanceSchedules = {
  constant: share(() => 1),
  linear: share((progress) => progress),
  cosine: share((progress, power) => (1 - Math.cos(Math.PI * progress ** power)) / 2),
} as const;

export type GuidanceSchedule = keyof typeof guidanceSchedules;

export const guidanceScheduleNames = Object.keys(guidanceSchedules) as GuidanceSchedule[];

/**
 * Which masked positions a step reveals: those of the highest confidence, or the next ones of the Halton order, which for
 * `'halton-rolled'` begins at a place of its own for every sample.
 */
export const orders = ['confidence', 'halton', 'halton-rolled'] as const;
export type Order = (typeof orders)[number];

/** What noise is added to for the confidence: a number of the token that was drawn, under guidance, at temperature 1. */
export const confidences = ['log-probability', 'probability', 'logit'] as const;
export type Confidence = (typeof confidences)[number];

/** Besides step 0 and changes of width: no refresh, one at every n-th step, or at these steps. */
export type Refresh = 'switch' | number | readonly number[];

/**
 * A number for all steps, or two or more that lie at equal distances from the first step to the last, with straight lines
 * between: as many as there are steps are one for each.
 */
export type Range = number | readonly number[];

/** How tokens are drawn and revealed. */
export interface SamplingOptions {
  /** How the masked positions shrink from step to step. Default: the model's, or `'cosine'`. */
  readonly maskingSchedule?: MaskingSchedule;
  /**
   * Which steps compute every row and rewrite the cache, besides step 0 and those of a new width: none (`'switch'`),
   * every n-th, or a list of steps. Default: the model's, or `'switch'`.
   */
  readonly refresh?: Refresh;
  /**
   * Which masked positions a step reveals: those of the highest confidence, or the next ones of the Halton order, which
   * with `'halton-rolled'` begins at a place of its own for every sample; then the LM head computes only what is revealed.
   * Default: the model's, or `'confidence'`.
   */
  readonly order?: Order;
  /**
   * Temperature of the softmax that tokens are drawn from, or [first, …, last] of the steps; 0 takes the most likely
   * token. Default: the model's, or 1.
   */
  readonly temperature?: Range;
  /** Instead of a temperature: what the logits are multiplied by, above 0, or [first, …, last] of the steps. */
  readonly inverseTemperature?: Range;
  /**
   * Scale of the Gumbel noise on the confidence that chooses which tokens to reveal: a number falls linearly to 0 at the
   * last step, a list is [first, …, last] of the steps. Default: the model's, or 4.5.
   */
  readonly choiceTemperature?: Range;
}

export interface GuidanceOptions {
  /**
   * w in (1 + w) · conditional - w · unconditional; above 0 the unconditional branches are computed too. Default: the
   * model's, or 0.
   */
  readonly guidance?: number;
  /**
   * w of step t of T: always w, `'linear'` w · t/T, or `'cosine'` w · (1 - cos(π (t/T)^p)) / 2. Default: the model's, or
   * `'constant'`.
   */
  readonly guidanceSchedule?: GuidanceSchedule;
  /** p of the cosine. Default: the model's, or 1. */
  readonly guidancePower?: number;
}

/** A model's own way to sample: what plans and requests do where the caller says nothing. */
export interface Recipe {
  readonly steps: number;
  readonly guidance: number;
  readonly guidanceSchedule: GuidanceSchedule;
  readonly guidancePower: number;
  readonly maskingSchedule: MaskingSchedule;
  readonly refresh: Refresh;
  readonly order: Order;
  /** Undefined where there is an `inverseTemperature`. */
  readonly temperature?: Range;
  readonly inverseTemperature?: Range;
  readonly choiceTemperature: Range;
  readonly confidence: Confidence;
  /** Draw among the k most likely tokens; 0: among all. */
  readonly topK: number;
}

/** MaskGIT's: that of a model which says none. */
export const plainRecipe: Recipe = {
  steps: 12,
  guidance: 0,
  guidanceSchedule: 'constant',
  guidancePower: 1,
  maskingSchedule: 'cosine',
  refresh: 'switch',
  order: 'confidence',
  temperature: 1,
  choiceTemperature: 4.5,
  confidence: 'log-probability',
  topK: 0,
};

/** A recipe as a plan follows it, step by step. `steps` and `t` are those of the plan. */
export interface Sampling {
  readonly maskingSchedule: MaskingSchedule;
  readonly order: Order;
  readonly guided: boolean;
  refreshes(t: number): boolean;
  guidance(t: number, steps: number): number;
  temperature(t: number, steps: number): number;
  choiceTemperature(t: number, steps: number): number;
}

type Curve = (t: number, steps: number) => number;

/** The value at each step: a number, scaled by `alone`, or the line through the points of a list. */
function checkRange(name: string, value: Range, least: number, alone: Curve = () => 1): Curve {
  if (!isList(value)) {
    const constant = number(name, value, least);
    return (t, steps) => constant * alone(t, steps);
  }
  if (value.length < 2) throw wrongValue(name, 'a number or [first, …, last]', value);
  const points = elements(name, value, mostSteps).map((point) => number(name, point, least));
  return (t, steps) => {
    const at = steps > 1 ? (t * (points.length - 1)) / (steps - 1) : 0;
    const before = Math.min(Math.floor(at), points.length - 2);
    return points[before]! + (points[before + 1]! - points[before]!) * (at - before);
  };
}

function checkRefresh(value: Refresh, steps: number): (t: number) => boolean {
  if (value === 'switch') return () => false;
  if (typeof value === 'number') {
    const every = integer('refresh', value, 1);
    return (t) => t % every === 0;
  }
  if (!isList(value)) {
    throw wrongType('refresh', "'switch', a number of steps or a list of steps", value);
  }
  const listed = new Set(
    elements('refresh', value, mostSteps).map((t) => integer('step in refresh', t, 0, steps - 1)),
  );
  return (t) => listed.has(t);
}

/**
 * The sampling that `options` ask for, with the defaults of `recipe`, for a plan of at most `steps` steps on a grid of
 * `frames` frames.
 * @throws TypeError, RangeError when an option is not what it should be.
 */
export function samplingOf(
  options: SamplingOptions & GuidanceOptions,
  recipe: Recipe,
  steps: number,
  frames: number,
): Sampling {
  const { temperature, inverseTemperature } = options;
  if (temperature !== undefined && inverseTemperature !== undefined) {
    throw wrongValue('inverseTemperature', 'no temperature beside it', temperature);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const said: Recipe = { ...recipe, ...Object.fromEntries(given) };
  // A temperature of either form takes the place of the recipe's, whatever its form.
  const form = (temperature ?? inverseTemperature) === undefined ? recipe : options;
  const inverse =
    form.inverseTemperature === undefined
      ? undefined
      : checkRange('inverseTemperature', form.inverseTemperature, leastPositive);
  const order = oneOf('order', said.order, orders);
  if (order !== 'confidence' && frames !== 1) {
    throw wrongValue('order', `'confidence' on a grid of ${frames} frames`, order);
  }
  const w = number('guidance', said.guidance, 0);
  const curve =
    guidanceSchedules[oneOf('guidanceSchedule', said.guidanceSchedule, guidanceScheduleNames)];
  const power = number('guidancePower', said.guidancePower, leastPositive);
  // A recipe may name later steps than this plan has.
  const most = options.refresh === undefined ? mostSteps : steps;
  return {
    maskingSchedule: oneOf('maskingSchedule', said.maskingSchedule, maskingScheduleNames),
    order,
    guided: w > 0,
    refreshes: checkRefresh(said.refresh, most),
    guidance: (t, steps) => w * curve(t / steps, power),
    temperature:
      inverse === undefined
        ? checkRange('temperature', form.temperature ?? 1, 0)
        : (t, steps) => 1 / inverse(t, steps),
    choiceTemperature: checkRange(
      'choiceTemperature',
      said.choiceTemperature,
      0,
      (t, steps) => 1 - (t + 1) / steps,
    ),
  };
}
