// Worker threads that take turns: each does one task at a time, and tasks wait in order while all are busy.

import { Worker } from 'node:worker_threads';

/**
 * What is encoded: [height, width, channels] in [0, 1].
 * @typedef {{ data: Float32Array<ArrayBuffer>, shape: number[] }} Pixels
 * @typedef {{ pixels: Pixels, resolve: (png: Uint8Array) => void, reject: (reason: unknown) => void }} Task
 */

export class Pool {
  /** @type {Worker[]} */
  #workers;
  /** Those that have nothing to do. @type {Worker[]} */
  #free;
  /** @type {Map<Worker, Task>} */
  #running = new Map();
  /** @type {Task[]} */
  #waiting = [];
  /** Why nothing can be done any more. @type {unknown} */
  #failure;

  /** @param {number} size how many threads, at least 1 */
  constructor(size) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`Expected an integer of at least 1 for workers but received ${size}`);
    }
    const file = new URL('encoder.js', import.meta.url);
    this.#workers = Array.from({ length: size }, () => new Worker(file));
    this.#free = [...this.#workers];
    for (const worker of this.#workers) {
      worker.on('message', (png) => this.#done(worker, png));
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => this.#fail(new Error(`a worker thread has ended (${code})`)));
    }
  }

  get size() {
    return this.#workers.length;
  }

  /**
   * A PNG of pixels, which belong to the worker from now on.
   * @param {Pixels} pixels
   * @returns {Promise<Uint8Array>}
   */
  encode(pixels) {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pixels, resolve, reject });
      this.#assign();
    });
  }

  #assign() {
    while (this.#free.length > 0 && this.#waiting.length > 0) {
      const worker = /** @type {Worker} */ (this.#free.shift());
      const task = /** @type {Task} */ (this.#waiting.shift());
      this.#running.set(worker, task);
      worker.postMessage(task.pixels, [task.pixels.data.buffer]);
    }
  }

  /**
   * @param {Worker} worker
   * @param {Uint8Array} png
   */
  #done(worker, png) {
    this.#running.get(worker)?.resolve(png);
    this.#running.delete(worker);
    this.#free.push(worker);
    this.#assign();
  }

  /** A worker that has died has taken its picture with it, and nobody shall wait for it. @param {unknown} reason */
  #fail(reason) {
    this.#failure ??= reason;
    for (const { reject } of [...this.#running.values(), ...this.#waiting]) reject(this.#failure);
    this.#running.clear();
    this.#waiting = [];
  }

  /** Ends the threads, in the middle of what they do. */
  async close() {
    this.#fail(new Error('the pool is closed'));
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
