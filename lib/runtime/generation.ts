/**
 * One generation: the batches of a request. Its result is computed in batches that other requests share. Who iterates over
 * its steps sets their pace, so then it has sessions of its own, and nobody waits for it.
 */

import { Readable } from 'node:stream';
import type { GeneratorConfig } from '../checkpoint/config.js';
import { boolean, checkCallback, MagnetsError, readOptions } from '../errors.js';
import { type FlopsByPart, totalFlops } from '../plan/flops.js';
import type { BatchPlan } from '../plan/plan.js';
import { subTokenCount, tokenCount } from '../plan/shape.js';
import { tokenAt } from '../plan/vocabulary.js';
import { Tensor } from '../tensor.js';
import type { Batcher } from './batching.js';
import { Group, type GroupEngine, type Work, type WorkStep } from './group.js';
import { type CountedRequest, Counters, type RequestOutcome } from './metrics.js';
import type { NativeSessionOptions, NativeState } from './native.js';
import { checkFaults } from './numeric.js';
import { previewOf } from './preview.js';
import type { Batch, Label, Request } from './request.js';
import type { Pixels, Tokenizer } from './tokenizer.js';

/** The state after one step of one batch. */
export interface GenerationStep {
  /** Of this batch, from 0. */
  readonly step: number;
  /** Steps of this batch. */
  readonly steps: number;
  /** From 0. */
  readonly batch: number;
  /** Batches of the generation. */
  readonly batches: number;
  /** The name of the sub-model, such as `'1/8'`. */
  readonly width: string;
  readonly refresh: boolean;
  /** Rows through the layers, of all samples of the batch and both branches. */
  readonly activeRows: number;
  /** Positions of all samples that are masked after the step, those of later batches included. */
  readonly masked: number;
  /** FLOPs of the step, summed over what was launched. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** [count, N] of all samples, -1 where masked. */
  readonly tokens: Tensor<'int32'>;
}

/** What a generation ended with; {@link GenerationResult} documents the fields. */
export interface Outcome {
  readonly tokens: Tensor<'int32'>;
  /** Or why there are none. */
  readonly pixels: Pixels | MagnetsError;
  readonly labels: readonly Label[];
  readonly seed: number | bigint;
  readonly plan: { readonly schedule: string; readonly steps: number };
  readonly parts: FlopsByPart;
  readonly baselineFlops: number;
  readonly tokenizerFlops: number;
  readonly seconds: number;
}

export class GenerationResult {
  /** [count, N] */
  readonly tokens: Tensor<'int32'>;
  /** One for each sample. */
  readonly labels: readonly Label[];
  /** The seed that was given or drawn: with it the same options give the same samples. */
  readonly seed: number | bigint;
  /** The steps that ran, of the samples that took most: their widths, such as `'1/8x3,1x9'`, and their number. */
  readonly plan: { readonly schedule: string; readonly steps: number };
  /** The transformer's FLOPs, summed over what was launched, of all samples and both branches; of a shared batch its share. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** FLOPs of the full-size baseline for the same samples, steps and guidance. */
  readonly baselineFlops: number;
  /** baselineFlops / flops */
  readonly flopsRatio: number;
  /** The tokenizer's FLOPs: detokenizing, and tokenizing the frames that a prediction is given. 0 without a tokenizer. */
  readonly tokenizerFlops: number;
  /** Wall time of the batches it took part in, and of tokenizing the frames that a prediction is given. */
  readonly seconds: number;
  readonly #pixels: Pixels | MagnetsError;

  constructor(outcome: Outcome) {
    this.tokens = outcome.tokens;
    this.labels = outcome.labels;
    this.seed = outcome.seed;
    this.plan = outcome.plan;
    this.flops = totalFlops(outcome.parts);
    this.parts = outcome.parts;
    this.baselineFlops = outcome.baselineFlops;
    this.flopsRatio = this.flops === 0 ? 1 : this.baselineFlops / this.flops;
    this.tokenizerFlops = outcome.tokenizerFlops;
    this.seconds = outcome.seconds;
    this.#pixels = outcome.pixels;
  }

  /**
   * [count, height, width, channels], of videos [count, frames, height, width, channels], in [0, 1].
   * @throws MagnetsError ERR_UNSUPPORTED when the model has no tokenizer, ERR_STATE when the result was asked for without
   * pixels.
   */
  get pixels(): Pixels {
    if (this.#pixels instanceof MagnetsError) throw this.#pixels;
    return this.#pixels;
  }
}

export interface ResultOptions {
  /** Called after every step that is left. */
  readonly onStep?: (step: GenerationStep) => void;
  /** Detokenize at the end. False where the tokens are enough: pixels can cost as much as many steps. Default true. */
  readonly pixels?: boolean;
}

/** What a generation runs on. */
export interface Engine extends GroupEngine {
  readonly config: GeneratorConfig;
  readonly tokenizer: Tokenizer | undefined;
  /** Where requests share batches; without it every generation has its own sessions. */
  readonly batcher?: Batcher | undefined;
  /** How many devices there are, for as many batches of a generation at the same time. Default 1. */
  readonly devices?: number;
}

/** A step that has run. */
interface Ran extends WorkStep {
  readonly batch: number;
  readonly plan: BatchPlan;
}

/** How a request ended that ended with this error. */
function outcomeOf(error: unknown, signal: AbortSignal | undefined): RequestOutcome {
  if (signal?.aborted && error === signal.reason) return 'aborted';
  return error instanceof MagnetsError && error.code === 'ERR_BUSY' ? 'refused' : 'failed';
}

/** Values [count, length] of these samples: [samples, length]. */
function gather<T extends Int32Array | Uint8Array>(
  values: T,
  samples: readonly number[],
  length: number,
): T {
  const result = new (values.constructor as new (size: number) => T)(samples.length * length);
  samples.forEach((sample, i) => {
    result.set(values.subarray(sample * length, (sample + 1) * length), i * length);
  });
  return result;
}

/**
 * Runs once: iterate over its steps, or await `result()`, or both, the one after the other. Use {@link Model.generate} or
 * {@link Model.predict}.
 */
export class Generation<R extends GenerationResult = GenerationResult>
  implements AsyncIterable<GenerationStep>
{
  /** One for each sample. */
  readonly labels: readonly Label[];
  /** The seed that was given or drawn. */
  readonly seed: number | bigint;
  /** One for each batch; none where nothing is masked. */
  readonly plans: readonly BatchPlan[];
  /** FLOPs by formula, of all samples and both branches; the result's are equal to it. */
  readonly plannedFlops: number;
  /** FLOPs of the full-size baseline for the same samples, steps and guidance. */
  readonly baselineFlops: number;
  readonly #engine: Engine;
  readonly #request: Request;
  readonly #condition: ((tokenizer: Tokenizer) => Promise<Condition>) | undefined;
  readonly #makeResult: (outcome: Outcome) => R;
  /** [count, sub-tokens] as the request says: the steps write here what they reveal. */
  readonly #ids: Int32Array;
  readonly #masked: Uint8Array;
  #parts: FlopsByPart = { projections: 0, attention: 0, mlp: 0, lmHead: 0 };
  #tokenizerFlops = 0;
  #seconds = 0;
  /** The steps of a loop over them, once it has begun. */
  #steps: AsyncGenerator<Ran, void, undefined> | undefined;
  #complete = false;
  #failure: unknown;
  #result: Promise<R> | undefined;

  constructor(
    engine: Engine,
    request: Request,
    makeResult: (outcome: Outcome) => R,
    condition?: (tokenizer: Tokenizer) => Promise<Condition>,
  ) {
    this.#engine = engine;
    this.#request = request;
    this.#makeResult = makeResult;
    this.#condition = condition;
    this.#ids = request.ids.slice();
    this.#masked = request.masked.slice();
    this.labels = request.labels;
    this.seed = request.seed;
    this.plans = request.batches.map(({ plan }) => plan);
    this.plannedFlops = this.plans.reduce((sum, { flops }) => sum + flops, 0);
    this.baselineFlops = this.plans.reduce((sum, { baselineFlops }) => sum + baselineFlops, 0);
  }

  /**
   * Runs one step at a time, the next when it is asked for, in batches that no other request shares. Leaving the loop early ends the generation and frees its memory.
   * @throws MagnetsError ERR_STATE when the generation has begun already.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationStep, void, undefined> {
    if (this.#steps !== undefined || this.#result !== undefined) {
      throw new MagnetsError('ERR_STATE', 'this generation has begun already: it runs once');
    }
    this.#steps = this.#alone(true);
    for await (const ran of this.#steps) yield this.#stepOf(ran);
  }

  /**
   * Runs the steps that are left, then detokenizes where there is a tokenizer, unless `pixels` is false. Called again it
   * gives the same promise. @throws MagnetsError ERR_STATE when a loop over the steps was left before the last one.
   */
  result(options: ResultOptions = {}): Promise<R> {
    try {
      const { onStep, pixels = true } = readOptions<ResultOptions>(options, ['onStep', 'pixels']);
      checkCallback('onStep', onStep);
      this.#result ??= this.#finish(onStep, boolean('pixels', pixels));
      return this.#result;
    } catch (error) {
      return Promise.reject(error); // a wrong option; not async, for the promise is the same each time
    }
  }

  /**
   * The steps as a Node stream of objects, at most one ahead of who reads it. Destroying it ends the generation and frees
   * its memory. It is one loop over the steps, so it cannot be had where another has begun: ERR_STATE, as an error of the
   * stream.
   */
  toStream(): Readable {
    return Readable.from(this, { highWaterMark: 1 });
  }

  /**
   * The pixels of a step's tokens, as in the result, with gray patches where they are masked. Each costs as much as the
   * result's pixels; it can be had as long as the model is not disposed.
   * @throws MagnetsError ERR_UNSUPPORTED when the model has no tokenizer, or tokens that lie on no grid (TiTok); TypeError,
   * RangeError for something else than a step.
   */
  preview(step: Pick<GenerationStep, 'tokens'>): Promise<Pixels> {
    return previewOf(this.#engine, step?.tokens, this.labels.length);
  }

  async #finish(onStep: ResultOptions['onStep'], wantsPixels: boolean): Promise<R> {
    if (this.#steps === undefined && this.#engine.batcher !== undefined) {
      await this.#shared(this.#engine.batcher, onStep);
    } else {
      this.#steps ??= this.#alone(onStep !== undefined);
      for await (const ran of this.#steps) onStep?.(this.#stepOf(ran));
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#complete) {
      throw new MagnetsError('ERR_STATE', 'this generation was left before its last step');
    }
    const tokens = this.#tokenTensor();
    const { pixels, flops } = await this.#detokenize(tokens, wantsPixels);
    return this.#makeResult({
      tokens,
      pixels,
      labels: this.labels,
      seed: this.seed,
      plan: this.#summary(),
      parts: this.#parts,
      baselineFlops: this.baselineFlops,
      tokenizerFlops: this.#tokenizerFlops + flops,
      seconds: this.#seconds,
    });
  }

  async #detokenize(
    tokens: Tensor<'int32'>,
    wanted: boolean,
  ): Promise<{ pixels: Outcome['pixels']; flops: number }> {
    const { tokenizer, config } = this.#engine;
    if (tokenizer === undefined) {
      const message = `${config.name} has no tokenizer beside it`;
      return { pixels: new MagnetsError('ERR_UNSUPPORTED', message), flops: 0 };
    }
    if (wanted) return tokenizer.detokenize(tokens, this.#request.signal);
    const message = 'this result was asked for without pixels: detokenize its tokens';
    return { pixels: new MagnetsError('ERR_STATE', message), flops: 0 };
  }

  /** One batch after the other in a session of its own, and in it the next step when it is asked for. */
  async *#alone(observed: boolean): AsyncGenerator<Ran, void, undefined> {
    const { batches, signal } = this.#request;
    const counted = this.#counted();
    try {
      signal?.throwIfAborted();
      const ids = await this.#timed(this.#shownIds());
      for (const [batch, { plan }] of batches.entries()) {
        signal?.throwIfAborted();
        const work = this.#work(ids, batch, observed);
        const group = await this.#timed(Group.open(this.#engine, [work]));
        counted.begin();
        try {
          while (!group.ended) {
            signal?.throwIfAborted();
            const steps = await this.#timed(group.step());
            const ran = { batch, plan, ...steps.get(work)! };
            this.#take(ran);
            yield ran;
          }
        } finally {
          group.dispose();
        }
      }
      this.#complete = true;
      counted.end('done');
    } catch (error) {
      this.#failure = error;
      counted.end(outcomeOf(error, signal));
      throw error;
    } finally {
      counted.end('aborted'); // unless it has ended by now: a loop that was left
    }
  }

  /** As many batches at the same time as there are devices, each with what other requests want of the same steps. */
  async #shared(batcher: Batcher, onStep: ResultOptions['onStep']): Promise<void> {
    const { batches, signal } = this.#request;
    const counted = this.#counted();
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.addEventListener?.('abort', abort);
    try {
      signal?.throwIfAborted();
      const ids = await this.#timed(this.#shownIds());
      const rest = batches.entries();
      let running = 0;
      let started = 0;
      const run = async () => {
        for (const [batch, { plan }] of rest) {
          signal?.throwIfAborted();
          await batcher.run(this.#work(ids, batch, onStep !== undefined), {
            signal: stop.signal,
            first: batch === 0,
            begin: () => {
              counted.begin();
              if (running++ === 0) started = performance.now();
            },
            onStep: (done) => {
              const ran = { batch, plan, ...done };
              this.#take(ran);
              onStep?.(this.#stepOf(ran));
              signal?.throwIfAborted(); // one that tells nobody when it aborts
            },
          });
          if (--running === 0) this.#seconds += (performance.now() - started) / 1000;
        }
      };
      await Promise.all(Array.from({ length: this.#engine.devices ?? 1 }, run));
      this.#complete = true;
      counted.end('done');
    } catch (error) {
      stop.abort(error);
      counted.end(outcomeOf(error, signal));
      throw error;
    } finally {
      signal?.removeEventListener?.('abort', abort);
    }
  }

  #counted(): CountedRequest {
    return (this.#engine.counters ?? new Counters()).request(this.labels.length);
  }

  /** [count, N] the ids that the model sees before the first step: those of the request, or a prediction's condition. */
  async #shownIds(): Promise<Int32Array> {
    const { ids } = this.#request;
    const { tokenizer, config } = this.#engine;
    if (this.#condition === undefined || tokenizer === undefined) return ids;
    const { tokens, flops } = await this.#condition(tokenizer);
    this.#tokenizerFlops += flops;
    const count = this.labels.length;
    const positions = tokens.length / count;
    const shown = ids.slice();
    for (let i = 0; i < count; ++i) {
      const own = tokens.subarray(i * positions, (i + 1) * positions);
      shown.set(own, i * tokenCount(config));
    }
    return shown;
  }

  #work(ids: Int32Array, batch: number, observed: boolean): Work {
    const { batches, confidence, topK, turns } = this.#request;
    const { samples, plan } = batches[batch]!;
    return {
      session: this.#sessionOptions(ids, samples),
      plan,
      confidence: turns === undefined ? confidence : 'turn',
      topK,
      observed,
    };
  }

  #sessionOptions(ids: Int32Array, samples: Batch['samples']): NativeSessionOptions {
    const request = this.#request;
    const length = subTokenCount(this.#engine.config);
    return {
      ids: gather(ids, samples, length),
      masked: gather(request.masked, samples, length),
      turns:
        request.turns === undefined ? new Int32Array() : gather(request.turns, samples, length),
      classIds: gather(request.classIds, samples, 1),
      nullClassId: request.nullClassId,
      sampleNumbers: Int32Array.from(samples, (sample) => request.firstSample + sample),
      seeds: new BigUint64Array(samples.length).fill(BigInt(request.seed)),
    };
  }

  /** Counts a step, and writes what it revealed to the ids of all samples. */
  #take({ batch, plan, parts, state }: Ran): void {
    this.#count(parts);
    if (state === undefined) return;
    const { samples } = this.#request.batches[batch]!;
    checkFaults(this.#engine.config.name, plan, samples, state);
    this.#write(samples, state);
  }

  #write(samples: Batch['samples'], { ids, masked }: NativeState): void {
    const length = subTokenCount(this.#engine.config);
    samples.forEach((sample, i) => {
      const own = [i * length, (i + 1) * length] as const;
      this.#ids.set(ids.subarray(...own), sample * length);
      this.#masked.set(masked.subarray(...own), sample * length);
    });
  }

  #count(parts: FlopsByPart): void {
    this.#parts = {
      projections: this.#parts.projections + parts.projections,
      attention: this.#parts.attention + parts.attention,
      mlp: this.#parts.mlp + parts.mlp,
      lmHead: this.#parts.lmHead + parts.lmHead,
    };
  }

  async #timed<T>(work: Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await work;
    this.#seconds += (performance.now() - started) / 1000;
    return result;
  }

  /** A token is masked while one of its sub-tokens is. */
  #tokenTensor(): Tensor<'int32'> {
    const { config } = this.#engine;
    const { subTokens } = config;
    const tokens = new Int32Array(this.#ids.length / subTokens);
    for (let i = 0; i < tokens.length; ++i) tokens[i] = tokenAt(config, this.#ids, i * subTokens);
    this.#masked.forEach((masked, i) => {
      if (masked) tokens[Math.floor(i / subTokens)] = -1;
    });
    return new Tensor('int32', tokens, [this.labels.length, tokenCount(config)]);
  }

  #stepOf({ batch, plan, step, parts }: Ran): GenerationStep {
    const tokens = this.#tokenTensor();
    return {
      step: step.step,
      steps: plan.steps.length,
      batch,
      batches: this.plans.length,
      width: step.width.name,
      refresh: step.refresh,
      activeRows: step.activeRows,
      masked: tokens.data.reduce((sum, token) => sum + (token < 0 ? 1 : 0), 0),
      flops: totalFlops(parts),
      parts,
      tokens,
    };
  }

  /** Of the batch with the most steps. */
  #summary(): Outcome['plan'] {
    let longest = { schedule: '', steps: 0 };
    for (const { schedule, steps } of this.plans) {
      if (steps.length > longest.steps) longest = { schedule, steps: steps.length };
    }
    return longest;
  }
}

/** What a prediction shows at the first positions while they are masked. */
export interface Condition {
  /** [count, n] tokens of the first n positions. */
  readonly tokens: Int32Array;
  /** The tokenizer's. */
  readonly flops: number;
}
