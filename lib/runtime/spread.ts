/** Several devices as one: what is asked for goes to the device that has the least to do. */

import { endingWith } from './around.js';
import type { NativeGenerator, NativeTokenizer } from './native.js';

/** The same thing on each of several devices. */
class Devices<T> {
  /** How much each has to do. */
  readonly #load: Map<T, number>;

  constructor(all: readonly T[]) {
    this.#load = new Map(all.map((one) => [one, 0]));
  }

  /** The first of those that have the least to do, and a function that says that this has ended. */
  take(): { readonly one: T; readonly end: () => void } {
    const [[one, least]] = [...this.#load].sort((a, b) => a[1] - b[1]) as [[T, number]];
    this.#load.set(one, least + 1);
    return { one, end: () => this.#load.set(one, this.#load.get(one)! - 1) };
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

function bytesOf(all: readonly { readonly bytes: number }[]): number {
  return all.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function trimAll(all: readonly { trim(): Promise<void> }[]): Promise<void> {
  for (const one of all) await one.trim();
}

/** Generators of one model as one: a session stays on the device that it was opened on. */
export function spreadGenerator(all: readonly NativeGenerator[]): NativeGenerator {
  if (all.length === 1) return all[0]!;
  const devices = new Devices(all);
  return {
    openSession: (options) => {
      const { one, end } = devices.take();
      return endingWith(() => one.openSession(options), end);
    },
    forward: (...pass) => devices.use((one) => one.forward(...pass)),
    get bytes() {
      return bytesOf(all);
    },
    sessionBytes: (samples, guided) => all[0]!.sessionBytes(samples, guided),
    trim: () => trimAll(all),
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
    encode: (...call) => devices.use((one) => one.encode(...call)),
    quantize: (...call) => devices.use((one) => one.quantize(...call)),
    detokenize: (...call) => devices.use((one) => one.detokenize(...call)),
    newStop: () => all[0]!.newStop(),
    get bytes() {
      return bytesOf(all);
    },
    detokenizeBytes: (count) => all[0]!.detokenizeBytes(count),
    trim: () => trimAll(all),
    dispose: () => {
      for (const one of all) one.dispose();
    },
  };
}
