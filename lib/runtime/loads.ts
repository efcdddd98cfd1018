/** The loads of this process: some run at the same time, and the others wait for their turn. */

import { usableThreads } from './threads.js';

export class Turns {
  #free: number;
  /** Each begins one that waits, the longest first. */
  readonly #waiting = new Set<() => void>();

  /** most: how many there are at the same time. */
  constructor(most: number) {
    this.#free = most;
  }

  /** Runs `body` when its turn comes, which is at once where one is free. @throws the signal's reason while it waits. */
  async run<T>(body: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) --this.#free;
    else await this.#turn(signal);
    try {
      return await body();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) ++this.#free;
      else next(); // the turn goes on to it
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(begin);
        signal?.removeEventListener?.('abort', abort);
      };
      const begin = () => {
        leave();
        resolve();
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
      };
      signal?.addEventListener?.('abort', abort);
      this.#waiting.add(begin);
    });
  }
}

/**
 * Each load has threads of its own, and all of a hundred that ran at once would end no sooner but together, while the event
 * loop waits for a processor.
 */
export const loads = new Turns(Math.max(4, usableThreads()));
