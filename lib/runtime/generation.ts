/**
 * One generation: the batches of a request. Its result is computed in batches that other requests share. Who iterates over
 * its steps sets their pace, so then it has sessions of its own, and nobody waits for it.
 */

import { Readable } from 'node:stream';
import type { GeneratorConfig } from '../checkpoint/config.js';
import {
  boolean,
  checkCallback,
  coded,
  MagnetsError,
  outOfMemory,
  readOptions,
} from '../errors.js';
import type { BatchPlan } from '../plan/plan.js';
import type { Tensor } from '../tensor.js';
import type { Batcher } from './batching.js';
import { Group, type GroupContext } from './group.js';
import type { Label } from './ids.js';
import { type CountedRequest, Counters, type RequestOutcome } from './metrics.js';
import { previewOf } from './preview.js';
import type { Request } from './request.js';
import type { GenerationResult, GenerationStep, Outcome } from './result.js';
import { type BatchStep, type Condition, Samples } from './samples.js';
import type { Pixels, Tokenizer } from './tokenizer.js';

export interface ResultOptions {
  /** Called after every step that is left. */
  readonly onStep?: (step: GenerationStep) => void;
  /** Detokenize at the end. False where the tokens are enough: pixels can cost as much as many steps. Default true. */
  readonly pixels?: boolean;
}

/** What a generation runs on. */
export interface GenerationContext extends GroupContext {
  readonly config: GeneratorConfig;
  readonly tokenizer: Tokenizer | undefined;
  /** Where requests share batches; without it every generation has its own sessions. */
  readonly batcher?: Batcher | undefined;
  /** How many devices there are, for as many batches of a generation at the same time. Default 1. */
  readonly devices?: number;
}

/** How a request ended that ended with this error. */
function outcomeOf(error: unknown, signal: AbortSignal | undefined): RequestOutcome {
  if (signal?.aborted && error === signal.reason) return 'aborted';
  return error instanceof MagnetsError && error.code === 'ERR_BUSY' ? 'refused' : 'failed';
}

/** Ends a group that runs no step, where or when the signal aborts. What it returns ends that. */
function endAtAbort(
  signal: AbortSignal | undefined,
  group: Group,
  counted: CountedRequest,
): () => void {
  const reference = new WeakRef(group); // a signal may outlive a loop that nobody goes on with
  const abort = () => {
    reference.deref()?.dispose();
    counted.end('aborted');
  };
  if (signal?.aborted) abort();
  signal?.addEventListener?.('abort', abort);
  return () => signal?.removeEventListener?.('abort', abort);
}

/** Counts what nobody has ended when it is collected. */
const collected = new FinalizationRegistry<CountedRequest>((counted) => counted.end('aborted'));

/** The schedule that ran, and its steps: of the batch with the most. */
function longest(plans: readonly BatchPlan[]): Outcome['plan'] {
  let most = { schedule: '', steps: 0 };
  for (const { schedule, steps } of plans) {
    if (steps.length > most.steps) most = { schedule, steps: steps.length };
  }
  return most;
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
  readonly #context: GenerationContext;
  readonly #request: Request;
  readonly #condition: ((tokenizer: Tokenizer) => Promise<Condition>) | undefined;
  readonly #makeResult: (outcome: Outcome) => R;
  readonly #samples: Samples;
  #tokenizerFlops = 0;
  #seconds = 0;
  /** The steps of a loop over them, once it has begun. */
  #steps: AsyncGenerator<BatchStep, void, undefined> | undefined;
  #complete = false;
  #failure: unknown;
  #result: Promise<R> | undefined;

  constructor(
    context: GenerationContext,
    request: Request,
    makeResult: (outcome: Outcome) => R,
    condition?: (tokenizer: Tokenizer) => Promise<Condition>,
  ) {
    this.#context = context;
    this.#request = request;
    this.#makeResult = makeResult;
    this.#condition = condition;
    this.#samples = new Samples(context.config, request);
    this.labels = request.labels;
    this.seed = request.seed;
    this.plans = request.batches.map(({ plan }) => plan);
    this.plannedFlops = this.plans.reduce((sum, { flops }) => sum + flops, 0);
    this.baselineFlops = this.plans.reduce((sum, { baselineFlops }) => sum + baselineFlops, 0);
  }

  /**
   * Runs one step at a time, the next when it is asked for, in batches that no other request shares. Leaving the loop early
   * ends the generation and frees its memory, and so does its signal between two steps.
   * @throws MagnetsError ERR_STATE when the generation has begun already.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationStep, void, undefined> {
    if (this.#steps !== undefined || this.#result !== undefined) {
      throw new MagnetsError('ERR_STATE', 'this generation has begun already: it runs once');
    }
    this.#steps = this.#alone(true);
    for await (const step of this.#steps) yield coded(() => this.#samples.stepOf(step));
  }

  /**
   * Runs the steps that are left, then detokenizes where there is a tokenizer, unless `pixels` is false. Called again it
   * gives the same promise. @throws MagnetsError ERR_STATE when a loop over the steps was left before the last one.
   */
  result(options: ResultOptions = {}): Promise<R> {
    try {
      const { onStep, pixels = true } = readOptions<ResultOptions>(options, ['onStep', 'pixels']);
      checkCallback('onStep', onStep);
      this.#result ??= coded(() => this.#finish(onStep, boolean('pixels', pixels)));
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
  async preview(step: Pick<GenerationStep, 'tokens'>): Promise<Pixels> {
    return coded(() => previewOf(this.#context, step, this.labels.length));
  }

  async #finish(onStep: ResultOptions['onStep'], wantsPixels: boolean): Promise<R> {
    if (this.#steps === undefined && this.#context.batcher !== undefined) {
      await this.#shared(this.#context.batcher, onStep);
    } else {
      this.#steps ??= this.#alone(onStep !== undefined);
      for await (const step of this.#steps) onStep?.(this.#samples.stepOf(step));
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#complete) {
      throw new MagnetsError('ERR_STATE', 'this generation was left before its last step');
    }
    const tokens = this.#samples.tokens();
    const { pixels, flops } = await this.#detokenize(tokens, wantsPixels);
    return this.#makeResult({
      tokens,
      pixels,
      labels: this.labels,
      seed: this.seed,
      plan: longest(this.plans),
      parts: this.#samples.parts,
      baselineFlops: this.baselineFlops,
      tokenizerFlops: this.#tokenizerFlops + flops,
      seconds: this.#seconds,
    });
  }

  async #detokenize(
    tokens: Tensor<'int32'>,
    wanted: boolean,
  ): Promise<{ pixels: Outcome['pixels']; flops: number }> {
    const { tokenizer, config } = this.#context;
    if (tokenizer === undefined) {
      const message = `${config.name} has no tokenizer beside it`;
      return { pixels: new MagnetsError('ERR_UNSUPPORTED', message), flops: 0 };
    }
    if (wanted) return tokenizer.detokenize(tokens, this.#request.signal);
    const message = 'this result was asked for without pixels: detokenize its tokens';
    return { pixels: new MagnetsError('ERR_STATE', message), flops: 0 };
  }

  /** One batch after the other in a session of its own, and in it the next step when it is asked for. */
  async *#alone(observed: boolean): AsyncGenerator<BatchStep, void, undefined> {
    const { batches, signal } = this.#request;
    const counted = this.#counted();
    try {
      signal?.throwIfAborted();
      await this.#timed(this.#showCondition());
      for (const batch of batches.keys()) {
        signal?.throwIfAborted();
        const work = this.#samples.work(batch, observed);
        const group = await this.#timed(Group.open(this.#context, [work]));
        counted.begin();
        try {
          while (!group.ended) {
            signal?.throwIfAborted();
            const steps = await this.#timed(group.step());
            const step = { batch, ...steps.get(work)! };
            this.#samples.take(step);
            const forget = endAtAbort(signal, group, counted);
            try {
              yield step; // and nothing runs until the next one is asked for
            } finally {
              forget();
            }
          }
        } finally {
          group.dispose();
        }
      }
      this.#complete = true;
      counted.end('done');
    } catch (thrown) {
      const error = outOfMemory(thrown) ?? thrown;
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
      await this.#timed(this.#showCondition());
      const rest = batches.keys();
      let running = 0;
      let started = 0;
      const run = async () => {
        for (const batch of rest) {
          signal?.throwIfAborted();
          await batcher.run(this.#samples.work(batch, onStep !== undefined), {
            signal: stop.signal,
            first: batch === 0,
            begin: () => {
              counted.begin();
              if (running++ === 0) started = performance.now();
            },
            onStep: (done) => {
              const step = { batch, ...done };
              this.#samples.take(step);
              onStep?.(this.#samples.stepOf(step));
              signal?.throwIfAborted(); // one that tells nobody when it aborts
            },
          });
          if (--running === 0) this.#seconds += (performance.now() - started) / 1000;
        }
      };
      await Promise.all(Array.from({ length: this.#context.devices ?? 1 }, run));
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
    const counted = (this.#context.counters ?? new Counters()).request(this.labels.length);
    collected.register(this, counted);
    return counted;
  }

  /** Of a prediction, whose model has a tokenizer: it makes tokens of what is given. */
  async #showCondition(): Promise<void> {
    const { tokenizer } = this.#context;
    if (this.#condition === undefined || tokenizer === undefined) return;
    const condition = await this.#condition(tokenizer);
    this.#tokenizerFlops += condition.flops;
    this.#samples.show(condition);
  }

  async #timed<T>(work: Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await work;
    this.#seconds += (performance.now() - started) / 1000;
    return result;
  }
}
