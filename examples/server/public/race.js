// Two runs of one request, one after the other on the server, shown side by side.
// A small model is done in milliseconds, so both are shown again in slow motion, from a common start. What takes long
// is shown as it comes, and who wants nothing to move sees the end at once.

import { generate } from './api.js';
import { wantsStillness } from './dom.js';

/** @typedef {import('./lane.js').Lane} Lane */

/** After so many milliseconds the runs are shown as they come. */
const patience = 4000;
/** Seconds that the slow motion of the longest lane takes. */
const watchable = 6;

export class Race {
  /** @type {readonly Lane[]} */
  #lanes;
  #onPace;
  #frame = 0;
  /** @type {() => void} */
  #finish = () => undefined;

  /**
   * @param {readonly Lane[]} lanes
   * @param {(slower: number | undefined) => void} onPace told how many times slower it is shown, if it is
   */
  constructor(lanes, onPace) {
    this.#lanes = lanes;
    this.#onPace = onPace;
  }

  /**
   * Runs a request for each lane, and resolves when all has been shown.
   * @param {readonly object[]} requests
   * @param {AbortSignal} signal
   */
  async run(requests, signal) {
    this.stop();
    const begun = performance.now();
    let live = false;
    for (const [i, request] of requests.entries()) {
      const lane = /** @type {Lane} */ (this.#lanes[i]);
      for await (const { event, data } of generate({ ...request, previews: true }, signal)) {
        if (event === 'plan') lane.setPlan(data);
        else if (event === 'step') lane.add(data);
        else if (event === 'result') lane.result = data;
        live ||= performance.now() - begun > patience;
        if (live) this.#showAll();
      }
    }
    if (wantsStillness()) this.#showAll();
    else if (!live) await this.replay();
  }

  /** Shows all that is known. */
  #showAll() {
    this.#onPace(undefined);
    for (const lane of this.#lanes) lane.show(Number.POSITIVE_INFINITY, this.#longest);
  }

  get #longest() {
    return Math.max(...this.#lanes.map(({ seconds }) => seconds), 1e-9);
  }

  /** How many times slower than it ran: a round number. */
  get #slower() {
    const wanted = watchable / this.#longest;
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    return steps.findLast((step) => step <= wanted) ?? 1;
  }

  /**
   * Shows what has run from the start, and resolves at its end.
   * @param {number} slower how many times slower than it ran
   * @returns {Promise<void>}
   */
  replay(slower = this.#slower) {
    this.stop();
    this.#onPace(slower);
    for (const lane of this.#lanes) lane.rewind();
    const start = performance.now();
    return new Promise((resolve) => {
      this.#finish = resolve;
      const next = () => {
        const seconds = (performance.now() - start) / 1000 / slower;
        const done = this.#lanes.map((lane) => lane.show(seconds, this.#longest));
        if (done.every(Boolean)) this.stop();
        else this.#frame = requestAnimationFrame(next);
      };
      next();
    });
  }

  /** Ends what is being shown. */
  stop() {
    cancelAnimationFrame(this.#frame);
    this.#finish();
  }
}
