// Watched requests: how many run at the same time, and how many may wait for their turn. Each sets its own pace, so it
// shares no batch, and what runs beside it would only slow it down.

import { Refusal } from './refusal.js';

export class Gate {
  #running = 0;
  /** @type {{ admit: () => void, refuse: (reason: unknown) => void }[]} who waits, the longest first */
  #waiting = [];
  #closed = false;
  #abort = new AbortController();
  #mostRunning;
  #mostWaiting;

  /**
   * @param {number} mostRunning
   * @param {number} mostWaiting
   */
  constructor(mostRunning, mostWaiting) {
    this.#mostRunning = mostRunning;
    this.#mostWaiting = mostWaiting;
  }

  get running() {
    return this.#running;
  }

  get waiting() {
    return this.#waiting.length;
  }

  get closed() {
    return this.#closed;
  }

  /** Aborted when what runs has to stop. */
  get signal() {
    return this.#abort.signal;
  }

  /**
   * Waits for a turn, and resolves with a function that ends it.
   * @param {AbortSignal} signal of a client that may leave while it waits
   * @returns {Promise<() => void>}
   */
  async enter(signal) {
    if (this.#closed) throw shuttingDown();
    signal.throwIfAborted();
    if (this.#running < this.#mostRunning) ++this.#running;
    else await this.#turn(signal);
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) --this.#running;
      else next.admit(); // the turn goes on to the next
    };
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  #turn(signal) {
    if (this.waiting >= this.#mostWaiting) {
      throw new Refusal(429, `${this.waiting} requests are waiting already: try again later`);
    }
    return new Promise((resolve, reject) => {
      const entry = {
        admit() {
          signal.removeEventListener('abort', leave);
          resolve();
        },
        /** @param {unknown} reason */
        refuse(reason) {
          signal.removeEventListener('abort', leave);
          reject(reason);
        },
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(entry);
    });
  }

  /** From now on nobody gets a turn, and who waits is refused. What runs goes on. */
  close() {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(shuttingDown());
  }

  /** Stops what runs, too. */
  abort() {
    this.close();
    this.#abort.abort(shuttingDown());
  }
}

function shuttingDown() {
  return new Refusal(503, 'the server is shutting down');
}
