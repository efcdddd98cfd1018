/** One generation: a plan run step by step in a native session. */

import type { GeneratorConfig } from '../checkpoint/config.js';
import { fromNative, integer, MagnetsError, number, wrongType, wrongValue } from '../errors.js';
import { type FlopsByPart, totalFlops } from '../plan/flops.js';
import { type DecodePlan, type MaskingSchedule, plan } from '../plan/plan.js';
import { type ScheduleInput, scheduleSteps } from '../plan/schedule.js';
import { tokenCount } from '../plan/shape.js';
import { Tensor } from '../tensor.js';
import type { NativeGenerator, NativeSession, NativeStep } from './native.js';

/** A class by name or number; null is none. */
export type Label = string | number | null;

export interface GenerateOptions {
  /** Classes; with a larger `count` they repeat in turn. Default `[null]`. */
  readonly labels?: readonly Label[];
  /** Samples. Default: as many as labels or tokens. */
  readonly count?: number;
  /** Default: the schedule's own, else the model's. */
  readonly steps?: number;
  /** Default `'paper'`. */
  readonly schedule?: ScheduleInput;
  /** Instead of a schedule: share of the baseline's FLOPs. */
  readonly budget?: number;
  readonly maskingSchedule?: MaskingSchedule;
  /** Keep keys and values of known tokens. Default true, but false with `schedule: 'full'`. */
  readonly cache?: boolean;
  /** w in (1 + w) · conditional - w · unconditional; 0 runs no unconditional half. Default: the model's. */
  readonly guidanceScale?: number;
  /** Of the softmax that tokens are drawn from, or from the first to the last step; 0 takes the most likely. */
  readonly temperature?: number | readonly [number, number];
  /** Of the Gumbel noise on the confidence that chooses what to reveal; falls linearly to 0. */
  readonly choiceTemperature?: number;
  /** Draw among the k most likely; 0: among all. */
  readonly topK?: number;
  /** Default 0. The same seed gives the same samples, whatever else is in the batch. */
  readonly seed?: number | bigint;
  /** The first sample's number in the noise. Default 0: samples 8 .. 15 of one seed are `count: 8, firstSample: 8`. */
  readonly firstSample?: number;
  /** Editing: [count, N], -1 where masked. Known tokens stay as they are. */
  readonly tokens?: Tensor<'int32'> | Int32Array | readonly (readonly number[])[];
  /** Stops before the next step and throws the signal's reason, an AbortError unless it was given another. */
  readonly signal?: AbortSignal;
}

export interface GenerationStep {
  /** From 0. */
  readonly step: number;
  /** Steps in all. */
  readonly of: number;
  readonly width: string;
  readonly refresh: boolean;
  /** Rows through the layers, of all samples, with guidance of both halves. */
  readonly rows: number;
  /** Positions still masked after the step, of all samples. */
  readonly masked: number;
  /** What this step really did. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** [count, N], -1 where still masked. */
  readonly tokens: Tensor<'int32'>;
}

export interface GenerationResult {
  /** [count, N] */
  readonly tokens: Tensor<'int32'>;
  /** With a tokenizer: [count, height, width, channels], a video's [count, frames, height, width, channels], in [0, 1]. */
  readonly pixels?: Tensor<'float32'>;
  readonly labels: readonly Label[];
  /** The transformer's FLOPs, counted while it ran. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** The full-size baseline's for the same samples, steps and guidance. */
  readonly baselineFlops: number;
  /** Wall time of the decode steps, and of a prediction's encoding. */
  readonly seconds: number;
}

/** Vocabulary ids of labels. */
export function labelIds(config: GeneratorConfig, labels: readonly Label[]): Int32Array {
  return Int32Array.from(labels, (label) => {
    if (label === null) return config.codebookSize + config.classes;
    const index = typeof label === 'string' ? config.classLabels.indexOf(label) : label;
    if (typeof index !== 'number') throw wrongType('label', 'a class name, number or null', label);
    if (!Number.isInteger(index) || index < 0 || index >= config.classes) {
      const names =
        config.classLabels.length > 0 ? `one of ${config.classLabels.join(', ')} or ` : '';
      throw wrongValue('label', `${names}a number below ${config.classes}`, label);
    }
    return config.codebookSize + index;
  });
}

/** Each form of tokens as a tensor [count, N]. */
function tokenTensor(config: GeneratorConfig, tokens: GenerateOptions['tokens']) {
  if (tokens === undefined || tokens instanceof Tensor) return tokens;
  const length = tokenCount(config);
  const expected = `an int32 tensor, an Int32Array or lists, [count, ${length}],`;
  if (tokens instanceof Int32Array) {
    if (tokens.length % length !== 0) throw wrongValue('tokens', expected, tokens.length);
    return new Tensor('int32', tokens, [tokens.length / length, length]);
  }
  if (!Array.isArray(tokens)) throw wrongType('tokens', expected, tokens);
  for (const list of tokens as unknown[]) {
    const fits = Array.isArray(list) && list.length === length;
    if (!fits || !list.every((id) => id === (id | 0))) throw wrongValue('tokens', expected, list);
  }
  return new Tensor('int32', Int32Array.from(tokens.flat()), [tokens.length, length]);
}

/** Vocabulary ids of tokens [count, N] and which are masked (-1). */
export function tokenIds(
  config: GeneratorConfig,
  tokens: Tensor<'int32'>,
  count: number,
): { ids: Int32Array; masked: Uint8Array } {
  const expected = [count, tokenCount(config)];
  if (
    !(tokens instanceof Tensor) ||
    tokens.type !== 'int32' ||
    tokens.dims.join() !== expected.join()
  ) {
    throw wrongValue('tokens', `an int32 tensor [${expected}]`, (tokens as Tensor)?.dims);
  }
  const { data } = tokens;
  const wrong = data.find((id) => id < -1 || id >= config.codebookSize);
  if (wrong !== undefined) {
    throw wrongValue('tokens', `-1 or numbers below ${config.codebookSize}`, wrong);
  }
  const maskId = config.codebookSize + config.classes + 1;
  return {
    ids: data.map((id) => (id === -1 ? maskId : id)),
    masked: Uint8Array.from(data, (id) => (id === -1 ? 1 : 0)),
  };
}

export class Generation implements AsyncIterable<GenerationStep> {
  readonly labels: readonly Label[];
  /** One plan a sample: they differ only where editing masks different numbers of tokens. */
  readonly plans: readonly DecodePlan[];
  readonly #config: GeneratorConfig;
  readonly #native: NativeGenerator;
  readonly #decode: ((tokens: Tensor<'int32'>) => Promise<Tensor<'float32'>>) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #guidance: number;
  readonly #topK: number;
  readonly #seed: bigint;
  readonly #firstSample: number;
  readonly #ids: Int32Array;
  readonly #masked: Uint8Array;
  readonly #condition: (() => Promise<Int32Array>) | undefined;
  #started = false;

  /**
   * Use {@link Model.generate}. condition: token ids [count, n] that the first n positions show while they are masked,
   * instead of [MASK].
   */
  constructor(
    config: GeneratorConfig,
    generator: NativeGenerator,
    decode: ((tokens: Tensor<'int32'>) => Promise<Tensor<'float32'>>) | undefined,
    options: GenerateOptions,
    condition?: () => Promise<Int32Array>,
  ) {
    const { sampling } = config;
    const { labels = [null], maskingSchedule } = options;
    const tokens = tokenTensor(config, options.tokens);
    if (!Array.isArray(labels) || labels.length === 0)
      throw wrongType('labels', 'a list of labels', labels);
    labelIds(config, labels);
    const length = tokenCount(config);
    const count = integer('count', options.count ?? tokens?.dims[0] ?? labels.length, 1, 2 ** 16);
    const masks =
      tokens ?? new Tensor('int32', new Int32Array(count * length).fill(-1), [count, length]);
    const { ids, masked } = tokenIds(config, masks, count);

    this.labels = Array.from({ length: count }, (_, i) => labels[i % labels.length]!);
    this.#config = config;
    this.#native = generator;
    this.#decode = decode;
    this.#signal = options.signal;
    this.#guidance = number('guidanceScale', options.guidanceScale ?? sampling.guidanceScale, 0);
    this.#topK = integer('topK', options.topK ?? sampling.topK, 0);
    this.#seed = seedOf(options.seed ?? 0);
    this.#firstSample = integer('firstSample', options.firstSample ?? 0, 0, 2 ** 31 - 1 - count);
    this.#ids = ids;
    this.#masked = masked;
    this.#condition = condition;

    const steps = options.steps ?? scheduleSteps(options.schedule, config) ?? sampling.steps;
    // A budget is searched for whole samples, so that all of a batch share one schedule.
    const schedule =
      options.budget === undefined
        ? options.schedule
        : plan({ ...options, model: config, steps, masked: length }).schedule;
    const planFor = (maskedCount: number) =>
      plan({
        model: config,
        steps,
        schedule,
        maskingSchedule,
        cache: options.cache,
        masked: maskedCount,
        temperature: options.temperature ?? sampling.temperature,
        choiceTemperature: options.choiceTemperature ?? sampling.choiceTemperature,
      });
    const plans = new Map<number, DecodePlan>();
    this.plans = Array.from({ length: count }, (_, i) => {
      const own = masked.subarray(i * length, (i + 1) * length);
      const maskedCount = own.reduce((sum, flag) => sum + flag, 0);
      const known = plans.get(maskedCount) ?? planFor(maskedCount);
      plans.set(maskedCount, known);
      return known;
    });
  }

  /** Of all samples, with guidance of both halves. */
  get baselineFlops(): number {
    return this.#total((one) => one.baselineFlops);
  }

  /** By formula, of all samples, with guidance of both halves; equal to what the steps count. */
  get plannedFlops(): number {
    return this.#total((one) => one.flops);
  }

  #total(of: (plan: DecodePlan) => number): number {
    const branches = this.#guidance > 0 ? 2 : 1;
    return branches * this.plans.reduce((sum, one) => sum + of(one), 0);
  }

  /** Runs one step at a time, the next when it is asked for. Leaving the loop frees the session. */
  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationStep, void, undefined> {
    const branches = this.#guidance > 0 ? 2 : 1;
    const { rows } = this.plans[0]!;
    for await (const [step, done] of this.#run('every step')) {
      const own = this.plans.map((one) => one.rows[step]!);
      const { width, refresh } = rows[step]!;
      yield {
        step,
        of: rows.length,
        width,
        refresh,
        rows: branches * own.reduce((sum, one) => sum + one.rows, 0),
        masked: own.reduce((sum, one) => sum + one.masked - one.reveal, 0),
        flops: totalFlops(done.flops),
        parts: done.flops,
        tokens: this.#tokens(done),
      };
    }
  }

  /** Runs every step, without a look between them, and decodes the pixels where there is a tokenizer. */
  async result(): Promise<GenerationResult> {
    const parts = { projections: 0, attention: 0, mlp: 0, head: 0 };
    let last: NativeStep | undefined;
    const started = performance.now();
    for await (const [, done] of this.#run('last step')) {
      last = done;
      for (const part of Object.keys(parts) as (keyof typeof parts)[]) {
        parts[part] += done.flops[part];
      }
    }
    const seconds = (performance.now() - started) / 1000;
    const tokens = this.#tokens(last!);
    const result = {
      tokens,
      labels: this.labels,
      flops: totalFlops(parts),
      parts,
      baselineFlops: this.baselineFlops,
      seconds,
    };
    return this.#decode ? { ...result, pixels: await this.#decode(tokens) } : result;
  }

  /** What the model sees before the first step. */
  async #shownIds(): Promise<Int32Array> {
    if (this.#condition === undefined) return this.#ids;
    const condition = await this.#condition();
    const count = this.labels.length;
    const length = tokenCount(this.#config);
    const shown = condition.length / count;
    const ids = this.#ids.slice();
    for (let i = 0; i < count; ++i) {
      ids.set(condition.subarray(i * shown, (i + 1) * shown), i * length);
    }
    return ids;
  }

  /** -1 where masked. */
  #tokens({ ids, masked }: NativeStep): Tensor<'int32'> {
    const tokens = ids!.map((id, i) => (masked![i] ? -1 : id));
    return new Tensor('int32', tokens, [this.labels.length, tokenCount(this.#config)]);
  }

  /** The steps by number; `read` says of which the tokens come back. */
  async *#run(read: 'every step' | 'last step'): AsyncGenerator<[number, NativeStep]> {
    if (this.#started) throw new MagnetsError('ERR_ARGUMENT', 'this generation has run already');
    this.#started = true;
    this.#signal?.throwIfAborted();
    const config = this.#config;
    let session: NativeSession | undefined;
    try {
      session = await this.#native.openSession({
        ids: await this.#shownIds(),
        masked: this.#masked,
        classIds: labelIds(config, this.labels),
        nullClassId: this.#guidance > 0 ? config.codebookSize + config.classes : -1,
        sampleKeys: Int32Array.from(this.labels, (_, i) => this.#firstSample + i),
        seed: this.#seed,
      });
      const { rows, cache } = this.plans[0]!;
      for (const row of rows) {
        this.#signal?.throwIfAborted();
        const own = this.plans.map((one) => one.rows[row.step]!);
        const done = await session.step({
          heads: row.heads,
          hidden: row.hidden,
          refresh: row.refresh,
          headAll: !cache,
          maskedAfter: Int32Array.from(own, ({ masked, reveal }) => masked - reveal),
          guidance: this.#guidance,
          temperature: row.temperature,
          topK: this.#topK,
          choiceTemperature: row.choiceTemperature,
          step: row.step,
          read: read === 'every step' || row.step === rows.length - 1,
          logits: false,
        });
        yield [row.step, done];
      }
    } catch (error) {
      throw fromNative(error);
    } finally {
      session?.dispose();
    }
  }
}

function seedOf(seed: number | bigint): bigint {
  const valid =
    typeof seed === 'bigint'
      ? seed >= 0n && seed < 2n ** 64n
      : Number.isSafeInteger(seed) && seed >= 0;
  if (typeof seed !== 'bigint' && typeof seed !== 'number')
    throw wrongType('seed', 'an integer', seed);
  if (!valid) throw wrongValue('seed', 'an integer of 0 .. 2^53 - 1, or a bigint below 2^64', seed);
  return BigInt(seed);
}
