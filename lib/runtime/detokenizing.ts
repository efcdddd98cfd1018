/** Detokenizing: calls that wait at the same time are computed together, and a large one lets the others in between. */

import { setImmediate } from 'node:timers';
import { MagnetsError } from '../errors.js';
import type { NativeTokenizer } from './native.js';

/** A call: tokens [count, N] to pixels. */
interface Call {
  readonly tokens: Int32Array;
  readonly count: number;
  readonly signal: AbortSignal | undefined;
  /** Samples that have been computed or are being, and samples that have been. */
  begun: number;
  done: number;
  /** Once the first of them has begun. */
  pixels: Float32Array | undefined;
  flops: number;
  resolve(result: { pixels: Float32Array; flops: number }): void;
  reject(reason: unknown): void;
}

/** Samples of a call that are computed at once. */
interface Part {
  readonly call: Call;
  readonly first: number;
  readonly count: number;
}

function allocate(samples: number, size: number): Float32Array {
  try {
    return new Float32Array(samples * size);
  } catch (cause) {
    const message = `no memory for the pixels of ${samples} samples, ${4 * samples * size} bytes`;
    throw new MagnetsError('ERR_OUT_OF_MEMORY', message, { cause });
  }
}

export class Detokenizing {
  readonly #native: Pick<NativeTokenizer, 'detokenize'>;
  /** Samples that are computed at once. */
  readonly #batchSize: number;
  /** Of a sample: tokens, and pixels times channels. */
  readonly #length: number;
  readonly #size: number;
  /** Native calls at the same time. */
  readonly #lanes: number;
  #waiting: Call[] = [];
  #running = 0;
  #scheduled = false;

  constructor(
    native: Pick<NativeTokenizer, 'detokenize'>,
    batchSize: number,
    sample: { readonly tokens: number; readonly size: number },
    lanes: number,
  ) {
    this.#native = native;
    this.#batchSize = batchSize;
    this.#length = sample.tokens;
    this.#size = sample.size;
    this.#lanes = lanes;
  }

  /** Tokens [count, N] are read at the call. `signal` stops between the samples that are computed at once. */
  run(
    tokens: Int32Array,
    signal: AbortSignal | undefined,
  ): Promise<{ pixels: Float32Array; flops: number }> {
    const count = tokens.length / this.#length;
    if (count === 0) return Promise.resolve({ pixels: new Float32Array(), flops: 0 });
    return new Promise((resolve, reject) => {
      const call = { tokens: tokens.slice(), count, signal, resolve, reject };
      this.#waiting.push({ ...call, begun: 0, done: 0, pixels: undefined, flops: 0 });
      this.#schedule();
    });
  }

  /** After this turn of the event loop, so that what it asks for begins together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#running < this.#lanes) {
        const parts = this.#take();
        if (parts.length === 0) return;
        ++this.#running;
        void this.#compute(parts).finally(() => {
          --this.#running;
          this.#schedule();
        });
      }
    });
  }

  /** As many samples as are computed at once. A call that has more goes to the end of the queue. */
  #take(): Part[] {
    const parts: Part[] = [];
    const unfinished: Call[] = [];
    let room = this.#batchSize;
    while (room > 0 && this.#waiting.length > 0) {
      const call = this.#waiting.shift()!;
      try {
        call.signal?.throwIfAborted();
        call.pixels ??= allocate(call.count, this.#size);
      } catch (error) {
        call.reject(error);
        continue;
      }
      const count = Math.min(room, call.count - call.begun);
      parts.push({ call, first: call.begun, count });
      call.begun += count;
      room -= count;
      if (call.begun < call.count) unfinished.push(call);
    }
    this.#waiting.push(...unfinished);
    return parts;
  }

  /** Where it fails the parts are computed apart: one call shall not fail for what others ask. */
  async #compute(parts: readonly Part[]): Promise<void> {
    const length = this.#length;
    const samples = parts.reduce((sum, { count }) => sum + count, 0);
    const tokens = new Int32Array(samples * length);
    let first = 0;
    for (const { call, ...part } of parts) {
      const own = call.tokens.subarray(part.first * length, (part.first + part.count) * length);
      tokens.set(own, first * length);
      first += part.count;
    }
    try {
      const { pixels, flops } = await this.#native.detokenize(tokens, samples);
      let from = 0;
      for (const part of parts) {
        const end = from + part.count * this.#size;
        this.#finish(part, pixels.subarray(from, end), (flops / samples) * part.count);
        from = end;
      }
    } catch (error) {
      if (parts.length > 1) for (const part of parts) await this.#compute([part]);
      else this.#drop(parts[0]!.call, error);
    }
  }

  #finish({ call, first, count }: Part, pixels: Float32Array, flops: number): void {
    call.pixels!.set(pixels, first * this.#size);
    call.flops += flops;
    call.done += count;
    if (call.done === call.count) call.resolve({ pixels: call.pixels!, flops: call.flops });
  }

  /** What of the call has not begun is not computed any more. */
  #drop(call: Call, error: unknown): void {
    this.#waiting = this.#waiting.filter((other) => other !== call);
    call.reject(error);
  }
}
