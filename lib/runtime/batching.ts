/**
 * Batching: requests with equal steps that wait on one model share a batch.
 *
 * Batches begin together and stay together: one that comes later waits for the next batch. To let it in between two steps
 * would need its own steps at other widths beside those of the others, and on a CPU it would gain nothing, where the time
 * of a step grows nearly as its rows do.
 */

import { clearTimeout, setTimeout } from 'node:timers';
import { integer, MagnetsError, readOptions, within } from '../errors.js';
import { mostSamples } from '../plan/plan.js';
import { Group, type GroupContext, keyOf, type Work, type WorkStep } from './group.js';
import { afterTurn } from './turn.js';

export interface BatchingOptions {
  /**
   * Samples of all requests that are computed at once, 1 .. 65536. Default: what fills the device, 1200 / N (rounded up) on
   * the CPU and 65536 / N on a CUDA device, with N tokens a sample. A request whose own `batchSize` is larger has such
   * batches to itself.
   */
  readonly maxBatch?: number;
  /**
   * Milliseconds that a batch which is not full waits for further requests while the device is idle, 0 .. 60000. Default 0:
   * requests of the same turn of the event loop begin together, and all that come while a batch runs wait for the next.
   */
  readonly maxWaitMs?: number;
  /**
   * Requests that may wait for their first batch, 1 .. 1000000, those that are about to begin included. One more fails at
   * once with ERR_BUSY. Default 1024.
   */
  readonly maxQueued?: number;
}

const optionNames = [
  'maxBatch',
  'maxWaitMs',
  'maxQueued',
] as const satisfies readonly (keyof BatchingOptions)[];

/** The options, checked, with all defaults but that of maxBatch, which depends on the model and the device. */
export interface Batching {
  readonly maxBatch: number | undefined;
  readonly maxWaitMs: number;
  readonly maxQueued: number;
}

/** @throws TypeError, RangeError for wrong options. */
export function readBatching(given: BatchingOptions | boolean = true): Batching | undefined {
  if (given === false) return undefined;
  const options = readOptions<BatchingOptions>(given === true ? {} : given, optionNames);
  const { maxBatch, maxWaitMs = 0, maxQueued = 1024 } = options;
  return {
    maxBatch: maxBatch === undefined ? undefined : integer('maxBatch', maxBatch, 1, mostSamples),
    maxWaitMs: within('maxWaitMs', maxWaitMs, 0, 60_000),
    maxQueued: integer('maxQueued', maxQueued, 1, 1_000_000),
  };
}

/** What a batch's request hears of it. */
export interface Listener {
  /** Aborted when the request wants no more of it. */
  readonly signal: AbortSignal;
  /** The first batch of its request: it may be refused. */
  readonly first: boolean;
  /** It leaves the queue. */
  begin(): void;
  /** A step has run. What it throws ends the batch for this request. */
  onStep(step: WorkStep): void;
}

/** A batch of a request that waits or runs. */
interface Entry extends Listener {
  readonly work: Work;
  readonly key: string;
  /** When it began to wait, in milliseconds. */
  readonly since: number;
  /** Steps that its request has heard of, which it does not hear of again when they are run once more. */
  told: number;
  settled: boolean;
  /** With an error, or without when all of its steps have run. The first call counts. */
  settle(error?: { readonly reason: unknown }): void;
}

/** A queue of batches in the order in which they came, and the groups that run. */
export class Batcher {
  readonly #context: GroupContext;
  readonly #options: Required<{ [name in keyof Batching]: number }>;
  /** Groups that run at the same time. */
  readonly #lanes: number;
  readonly #waiting = new Set<Entry>();
  #queued = 0;
  #running = 0;
  /** Looks for groups, so that what this turn asks for begins together. */
  readonly #schedule = afterTurn(() => this.#begin());
  #timer: NodeJS.Timeout | undefined;
  /** The time that a timer was set for and has reached, whatever the clock says: tests may have stopped it. */
  #reached = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(context: GroupContext, options: Batching, usualBatch: number, lanes: number) {
    this.#context = context;
    this.#options = { ...options, maxBatch: options.maxBatch ?? usualBatch };
    this.#lanes = lanes;
  }

  /**
   * Runs a batch, with others if there are some. Resolves after its last step.
   * @throws MagnetsError ERR_BUSY where too many wait, ERR_DISPOSED; the signal's reason when it aborts; what a step throws.
   */
  run(work: Work, listener: Listener): Promise<void> {
    const { signal, first } = listener;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#ended) return reject(disposed());
      if (first && this.#queued >= this.#options.maxQueued) return reject(this.#busy());
      const entry: Entry = {
        ...listener,
        work,
        key: keyOf(work),
        since: performance.now(),
        told: 0,
        settled: false,
        settle: (error) => {
          if (entry.settled) return;
          entry.settled = true;
          this.#dequeue(entry);
          signal.removeEventListener('abort', leave);
          if (error === undefined) resolve();
          else reject(error.reason);
        },
      };
      const leave = () => entry.settle({ reason: signal.reason });
      signal.addEventListener('abort', leave);
      this.#waiting.add(entry);
      if (first) ++this.#queued;
      this.#schedule();
    });
  }

  /** All that wait end with ERR_DISPOSED; what runs ends when its session is disposed of. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const entry of this.#waiting) entry.settle({ reason: disposed() });
  }

  #busy(): MagnetsError {
    const message = `${this.#queued} requests are waiting already, as many as maxQueued allows`;
    return new MagnetsError('ERR_BUSY', message);
  }

  #dequeue(entry: Entry): void {
    if (this.#waiting.delete(entry) && entry.first) --this.#queued;
    if (this.#waiting.size === 0) clearTimeout(this.#timer); // it would keep the process alive
  }

  #begin(): void {
    clearTimeout(this.#timer);
    while (this.#running < this.#lanes) {
      const group = this.#take();
      if (group === undefined) return;
      ++this.#running;
      void this.#runAll(group).finally(() => {
        --this.#running;
        this.#schedule();
      });
    }
  }

  /**
   * The next group leaves the queue: the batch that has waited longest and is due, and those behind it with equal steps.
   * A request waits with one batch at a time (on several devices with as many as there are) and goes to the end of the
   * queue with its next: however many it has, nobody else waits for more than the one that runs.
   */
  #take(): readonly Entry[] | undefined {
    const { maxBatch, maxWaitMs } = this.#options;
    const now = Math.max(performance.now(), this.#reached);
    const seen = new Set<string>();
    let soonest = Number.POSITIVE_INFINITY;
    for (const head of this.#waiting) {
      if (seen.has(head.key)) continue;
      seen.add(head.key);
      const group = this.#companions(head);
      const samples = group.reduce((sum, { work }) => sum + work.plan.samples, 0);
      const due = head.since + maxWaitMs;
      // Where a test has replaced the clock by one without numbers, everything is due.
      if (samples >= maxBatch || !(due > now)) {
        for (const entry of group) {
          this.#dequeue(entry);
          entry.begin();
        }
        return group;
      }
      soonest = Math.min(soonest, due);
    }
    if (soonest < Number.POSITIVE_INFINITY) {
      const wait = () => {
        this.#reached = soonest;
        this.#schedule();
      };
      this.#timer = setTimeout(wait, Math.min(maxWaitMs, Math.ceil(soonest - now)));
    }
    return undefined;
  }

  #companions(head: Entry): Entry[] {
    const group = [head];
    let samples = head.work.plan.samples;
    for (const entry of this.#waiting) {
      if (entry === head || entry.key !== head.key) continue;
      if (samples + entry.work.plan.samples > this.#options.maxBatch) continue;
      group.push(entry);
      samples += entry.work.plan.samples;
    }
    return group;
  }

  /** Runs a group to its end. Where it fails its halves are run apart: one request shall not fail for what others ask. */
  async #runAll(entries: readonly Entry[]): Promise<void> {
    try {
      await this.#runGroup(entries);
    } catch (reason) {
      const left = entries.filter(({ settled }) => !settled);
      if (left.length < 2 || this.#ended) {
        for (const entry of left) entry.settle({ reason });
        return;
      }
      const half = Math.ceil(left.length / 2);
      await this.#runAll(left.slice(0, half));
      await this.#runAll(left.slice(half));
    }
  }

  async #runGroup(entries: readonly Entry[]): Promise<void> {
    const present = entries.filter(({ settled }) => !settled);
    if (present.length === 0) return;
    const group = await Group.open(
      this.#context,
      present.map(({ work }) => work),
    );
    try {
      for (;;) {
        for (const entry of present) if (entry.settled) group.leave(entry.work);
        if (group.ended) break;
        const steps = await group.step();
        for (const entry of present) tell(entry, steps.get(entry.work));
      }
    } finally {
      group.dispose();
    }
    for (const entry of present) entry.settle();
  }
}

function tell(entry: Entry, done: WorkStep | undefined): void {
  if (entry.settled || done === undefined || done.step.step < entry.told) return;
  entry.told = done.step.step + 1;
  try {
    entry.onStep(done);
  } catch (reason) {
    entry.settle({ reason });
  }
}

function disposed(): MagnetsError {
  return new MagnetsError('ERR_DISPOSED', 'this model has been disposed');
}
