/**
 * A request: the options of `generate` or `predict`, checked, with the model's defaults where the caller says nothing,
 * and a plan for every batch. It knows no device: what a generation needs to run is here, as plain values.
 */

import type { GeneratorConfig } from '../checkpoint/config.js';
import { checkSignal, integer, oneOf, readOptions, wrongType, wrongValue } from '../errors.js';
import { haltonOrder, orderShift, turnsOf } from '../plan/halton.js';
import { type BatchPlan, mostSamples, type Planner } from '../plan/plan.js';
import {
  type Confidence,
  confidences,
  type GuidanceOptions,
  type Order,
  type SamplingOptions,
} from '../plan/recipe.js';
import type { ScheduleInput } from '../plan/schedule.js';
import { subTokenCount } from '../plan/shape.js';
import { classId, maskId } from '../plan/vocabulary.js';
import type { Tensor } from '../tensor.js';
import { type GivenTokens, type Label, labelIds, readLabels, readTokens, tokenIds } from './ids.js';
import { plannerFor } from './plans.js';

/** The options that `generate` and `predict` share. */
export interface DecodeOptions extends SamplingOptions {
  /** Samples, 1 .. 65536. Default: as many as there are labels or tokens, or given videos. */
  readonly count?: number;
  /** Steps, 1 .. 1000. Default: as many as the schedule spells out, else the model's. */
  readonly steps?: number;
  /** Default `'paper'`. */
  readonly schedule?: ScheduleInput;
  /** Instead of a schedule: the best one that costs at most this share of the baseline's FLOPs, such as 0.33. */
  readonly budget?: number;
  /** Keep keys and values of known tokens between refreshes. Default true, but false with `schedule: 'baseline'`. */
  readonly cache?: boolean;
  /**
   * What noise is added to for the confidence: the logarithm of the drawn token's probability, the probability, or its
   * logit, each under guidance and at temperature 1. Default: the model's.
   */
  readonly confidence?: Confidence;
  /** Draw among the k most likely tokens; 0: among all. Default: the model's. */
  readonly topK?: number;
  /**
   * An integer of 0 .. 2^53 - 1, or a bigint below 2^64. The same seed gives the same samples, whatever else is in the
   * batch. Default: drawn anew; the generation and the result say it.
   */
  readonly seed?: number | bigint;
  /** The first sample's number in the noise. Samples 8 .. 15 of a seed are `count: 8, firstSample: 8`. Default 0. */
  readonly firstSample?: number;
  /**
   * Samples that are computed at once, 1 .. 65536; a larger count runs as several batches, one after the other. A sample
   * does not depend on it, time and memory do. Default: what fills the device, 1200 / N (rounded up) on the CPU and
   * 65536 / N on a CUDA device, with N tokens a sample.
   */
  readonly batchSize?: number;
  /** Stops before the next step and throws the signal's reason, an AbortError unless it was given another. */
  readonly signal?: AbortSignal;
}

export interface GenerateOptions extends DecodeOptions, GuidanceOptions {
  /** Classes; with a larger `count` they repeat. Default `[null]`. */
  readonly labels?: readonly Label[];
  /** For editing: tokens [count, N], -1 where masked. Known tokens stay as they are. Default: all masked. */
  readonly tokens?: GivenTokens;
}

const guidanceOptionNames = [
  'guidance',
  'guidanceSchedule',
  'guidancePower',
] as const satisfies readonly (keyof GuidanceOptions)[];

export const decodeOptionNames = [
  'count',
  'steps',
  'schedule',
  'budget',
  'maskingSchedule',
  'cache',
  'refresh',
  'order',
  'temperature',
  'inverseTemperature',
  'choiceTemperature',
  'confidence',
  'topK',
  'seed',
  'firstSample',
  'batchSize',
  'signal',
] as const satisfies readonly (keyof DecodeOptions)[];

const generateOptionNames = [
  'labels',
  ...decodeOptionNames,
  ...guidanceOptionNames,
  'tokens',
] as const satisfies readonly (keyof GenerateOptions)[];

/** Samples that are computed together. */
export interface Batch {
  /** Their numbers in the request, from 0. */
  readonly samples: readonly number[];
  readonly plan: BatchPlan;
}

export interface Request {
  /** One for each sample. */
  readonly labels: readonly Label[];
  /** [count] what the engine knows the classes by. */
  readonly classIds: Int32Array;
  /** That of the null class, or -1 without guidance. */
  readonly nullClassId: number;
  readonly confidence: Confidence;
  readonly topK: number;
  /** As the caller gave it, or as it was drawn. */
  readonly seed: number | bigint;
  readonly firstSample: number;
  /** [count, sub-tokens] vocabulary ids; [MASK] where masked. */
  readonly ids: Int32Array;
  /** [count, sub-tokens] 1 where masked. */
  readonly masked: Uint8Array;
  /** [count, N] the turn of every masked position, where the order is not that of confidence. */
  readonly turns: Int32Array | undefined;
  /** Samples with nothing masked are in none of them. */
  readonly batches: readonly Batch[];
  readonly signal: AbortSignal | undefined;
}

/** The samples of a request have at most this many sub-tokens together. */
const mostTokensInAll = 2 ** 28;

function checkSeed(seed: number | bigint | undefined): number | bigint {
  if (seed === undefined) {
    const [bits] = crypto.getRandomValues(new BigUint64Array(1)) as unknown as [bigint];
    return Number(bits >> 11n); // 53 bits: a safe integer
  }
  const expected = 'an integer of 0 .. 2^53 - 1, or a bigint below 2^64,';
  if (typeof seed !== 'bigint' && typeof seed !== 'number') throw wrongType('seed', expected, seed);
  const valid =
    typeof seed === 'bigint'
      ? seed >= 0n && seed < 2n ** 64n
      : Number.isSafeInteger(seed) && seed >= 0;
  if (!valid) throw wrongValue('seed', expected, seed);
  return seed;
}

/** [count, N] turns of what is masked, under an order of positions; undefined for that of confidence. */
function turnsOfSamples(
  config: GeneratorConfig,
  order: Order,
  masked: Uint8Array,
  firstSample: number,
  seed: number | bigint,
): Int32Array | undefined {
  if (order === 'confidence') return undefined;
  const [, height, width] = config.latentShape;
  const length = height * width;
  const positions = haltonOrder(height, width);
  const turns = new Int32Array(masked.length);
  for (let i = 0; i * length < masked.length; ++i) {
    const own = masked.subarray(i * length, (i + 1) * length);
    const shift = order === 'halton-rolled' ? orderShift(BigInt(seed), firstSample + i, length) : 0;
    turns.set(turnsOf(positions, own, shift), i * length);
  }
  return turns;
}

/**
 * Batches of at most `batchSize` samples, each of samples that take the same number of steps: a sample with few masked
 * positions takes as many steps as it would alone, whatever the others have masked.
 */
function splitIntoBatches(
  { steps, planBatch }: Planner,
  masked: readonly number[],
  batchSize: number,
): Batch[] {
  const groups = new Map<number, number[]>();
  masked.forEach((count, sample) => {
    const taken = Math.min(count, steps);
    if (!groups.has(taken)) groups.set(taken, []);
    groups.get(taken)!.push(sample);
  });
  groups.delete(0);

  const plans = new Map<string, BatchPlan>(); // most batches of a request are alike
  const batches: Batch[] = [];
  for (const group of groups.values()) {
    for (let first = 0; first < group.length; first += batchSize) {
      const samples = group.slice(first, first + batchSize);
      const counts = samples.map((sample) => masked[sample]!);
      const key = counts.join();
      const plan = plans.get(key) ?? planBatch(counts);
      plans.set(key, plan);
      batches.push({ samples, plan });
    }
  }
  return batches;
}

/** Checks what `generate` and `predict` share. labels: one for each sample; tokens: [labels, N], undefined: all masked. */
export function decodeRequest(
  config: GeneratorConfig,
  options: DecodeOptions & GuidanceOptions,
  labels: readonly Label[],
  tokens: Tensor<'int32'> | undefined,
  usualBatchSize: number,
): Request {
  const length = subTokenCount(config);
  const count = labels.length;
  const { sampling } = config;
  const { signal } = options;
  const { ids, masked } =
    tokens === undefined
      ? {
          ids: new Int32Array(count * length).fill(maskId(config)),
          masked: new Uint8Array(count * length).fill(1),
        }
      : tokenIds(config, tokens, count);
  checkSignal(signal);
  const topK = integer('topK', options.topK ?? sampling.topK, 0);
  const confidence = oneOf('confidence', options.confidence ?? sampling.confidence, confidences);
  const firstSample = integer('firstSample', options.firstSample ?? 0, 0, 2 ** 31 - 1 - count);
  const batchSize = integer('batchSize', options.batchSize ?? usualBatchSize, 1, mostSamples);
  const seed = checkSeed(options.seed);
  const maskedCounts = Array.from({ length: count }, (_, sample) =>
    masked.subarray(sample * length, (sample + 1) * length).reduce((sum, flag) => sum + flag, 0),
  );
  const planned = plannerFor(config, options);
  if (planned.guided && !config.nullClass) {
    const expected = `0 (${config.name} has no null class, so it has no unconditional branch)`;
    throw wrongValue('guidance', expected, options.guidance);
  }
  return Object.freeze({
    labels,
    classIds: labelIds(config, labels),
    nullClassId: planned.guided ? classId(config, null) : -1,
    confidence,
    topK,
    seed,
    firstSample,
    ids,
    masked,
    turns: turnsOfSamples(config, planned.order, masked, firstSample, seed),
    batches: splitIntoBatches(planned, maskedCounts, batchSize),
    signal,
  });
}

/** Checks the number of samples of a request. */
export function checkCount(config: GeneratorConfig, count: unknown): number {
  const length = subTokenCount(config);
  return integer('count', count, 1, Math.min(mostSamples, Math.floor(mostTokensInAll / length)));
}

/** @throws TypeError, RangeError when an option is not what it should be. */
export function generateRequest(
  config: GeneratorConfig,
  given: GenerateOptions,
  usualBatchSize: number,
): Request {
  const options = readOptions<GenerateOptions>(given, generateOptionNames);
  const labels = readLabels(options.labels ?? [null]);
  labelIds(config, labels); // those that a smaller count leaves out, too
  const tokens = options.tokens === undefined ? undefined : readTokens(config, options.tokens);
  const count = checkCount(config, options.count ?? tokens?.dims[0] ?? labels.length);
  return decodeRequest(
    config,
    options,
    Array.from({ length: count }, (_, i) => labels[i % labels.length]!),
    tokens,
    usualBatchSize,
  );
}
