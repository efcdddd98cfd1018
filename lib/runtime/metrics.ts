/** What a model has done since it was loaded. */

import { type FlopsByPart, totalFlops } from '../plan/flops.js';

/** How a request ended, which began to run or to wait. */
export type RequestOutcome = 'done' | 'failed' | 'aborted' | 'refused';

export interface Metrics {
  /** Calls of `generate` and `predict` whose steps have been asked for; each is counted once, where it stands now. */
  readonly requests: Readonly<Record<'queued' | 'running' | RequestOutcome, number>>;
  /** Samples of the requests that are done. */
  readonly samples: number;
  /** How many batches were begun, by their number of samples, those of all requests that share a batch. */
  readonly batches: Readonly<Record<number, number>>;
  /** How many steps have run, by the name of the width; one of a shared batch counts once. */
  readonly steps: Readonly<Record<string, number>>;
  /** The transformer's FLOPs of these steps, summed over what was launched. */
  readonly flops: number;
  /** Seconds: of all requests together until their first batch began, and of all steps together, as the clock showed them. */
  readonly seconds: { readonly queued: number; readonly steps: number };
}

type Count = Record<string | number, number>;

function increase(counts: Count, key: string | number): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** Where the requests of a model are counted. */
export class Counters {
  readonly #requests = { queued: 0, running: 0, done: 0, failed: 0, aborted: 0, refused: 0 };
  readonly #batches: Count = {};
  readonly #steps: Count = {};
  readonly #seconds = { queued: 0, steps: 0 };
  #samples = 0;
  #flops = 0;

  /** A request begins to wait for its first batch. What it returns says what became of it. */
  request(samples: number): CountedRequest {
    const counts = this.#requests;
    const asked = performance.now();
    let state: 'queued' | 'running' | undefined = 'queued';
    ++counts.queued;
    return {
      begin: () => {
        if (state !== 'queued') return;
        --counts.queued;
        ++counts.running;
        this.#seconds.queued += (performance.now() - asked) / 1000;
        state = 'running';
      },
      end: (outcome) => {
        if (state === undefined) return;
        --counts[state];
        ++counts[outcome];
        if (outcome === 'done') this.#samples += samples;
        state = undefined;
      },
    };
  }

  batch(samples: number): void {
    increase(this.#batches, samples);
  }

  step(width: string, launched: FlopsByPart, seconds: number): void {
    increase(this.#steps, width);
    this.#flops += totalFlops(launched);
    this.#seconds.steps += seconds;
  }

  /** As it is now. */
  read(): Metrics {
    return {
      requests: { ...this.#requests },
      samples: this.#samples,
      batches: { ...this.#batches },
      steps: { ...this.#steps },
      flops: this.#flops,
      seconds: { ...this.#seconds },
    };
  }
}

export interface CountedRequest {
  /** Its first batch begins. */
  begin(): void;
  /** The first call says how it ended; later ones say nothing. */
  end(outcome: RequestOutcome): void;
}
