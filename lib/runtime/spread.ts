/** Several devices as one: what is asked for goes to the device that has the least to do. */

import type { NativeGenerator, NativeSession, NativeTokenizer } from './native.js';

/** The same thing on each of several devices. */
class Devices<T> {
  /** How much each has to do. */
  readonly #load: Map<T, number>;

  constructor(all: readonly T[]) {
    this.#load = new Map(all.map((one) => [one, 0]));
  }

  /** The first of those that have the least to do, and a function that says once that this has ended. */
  take(): { readonly one: T; readonly end: () => void } {
    const [[one, least]] = [...this.#load].sort((a, b) => a[1] - b[1]) as [[T, number]];
    this.#load.set(one, least + 1);
    let ended = false;
    const end = () => {
      if (!ended) this.#load.set(one, this.#load.get(one)! - 1);
      ended = true;
    };
    return { one, end };
  }

  async use<R>(call: (one: T) => Promise<R>): Promise<R> {
    const { one, end } = this.take();
    try {
      return await call(one);
    } finally {
      end();
    }
  }
}

/** A session that tells when it has ended. */
function endingWith(session: NativeSession, end: () => void): NativeSession {
  return {
    step: (options) => session.step(options),
    compute: (pass) => session.compute(pass),
    reveal: (tokens) => session.reveal(tokens),
    dispose: () => {
      session.dispose();
      end();
    },
  };
}

/** Generators of one model as one: a session stays on the device that it was opened on. */
export function spreadGenerator(all: readonly NativeGenerator[]): NativeGenerator {
  if (all.length === 1) return all[0]!;
  const devices = new Devices(all);
  return {
    openSession: async (options) => {
      const { one, end } = devices.take();
      try {
        return endingWith(await one.openSession(options), end);
      } catch (error) {
        end();
        throw error;
      }
    },
    forward: (...pass) => devices.use((one) => one.forward(...pass)),
    dispose: () => {
      for (const one of all) one.dispose();
    },
  };
}

/** Tokenizers of one model as one. */
export function spreadTokenizer(all: readonly NativeTokenizer[]): NativeTokenizer {
  if (all.length === 1) return all[0]!;
  const devices = new Devices(all);
  return {
    tokenize: (pixels, count) => devices.use((one) => one.tokenize(pixels, count)),
    detokenize: (tokens, count) => devices.use((one) => one.detokenize(tokens, count)),
    dispose: () => {
      for (const one of all) one.dispose();
    },
  };
}
