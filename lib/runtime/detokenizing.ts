/** Detokenizing: calls that wait at the same time are computed together, and a large one lets the others in between. */

import { MagnetsError } from '../errors.js';
import type { NativeStop, NativeTokenizer } from './native.js';
import { afterTurn } from './turn.js';

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
  /** It is done, has failed or was aborted: nobody waits for what is still computed of it. */
  ended: boolean;
  resolve(result: { pixels: Float32Array; flops: number }): void;
  reject(reason: unknown): void;
}

/** Samples of a call that are computed at once. */
interface Part {
  readonly call: Call;
  readonly first: number;
  readonly count: number;
}

/** What is computed together. */
interface Computation {
  readonly parts: readonly Part[];
  readonly stop: NativeStop;
}

type Detokenizer = Pick<NativeTokenizer, 'detokenize' | 'newStop'>;

function allocate(samples: number, size: number): Float32Array {
  try {
    return new Float32Array(samples * size);
  } catch (cause) {
    const message = `no memory for the pixels of ${samples} samples, ${4 * samples * size} bytes`;
    throw new MagnetsError('ERR_OUT_OF_MEMORY', message, { cause });
  }
}

export class Detokenizing {
  readonly #native: Detokenizer;
  /** Samples that are computed at once. */
  readonly #batchSize: number;
  /** Of a sample: tokens, and pixels times channels. */
  readonly #length: number;
  readonly #size: number;
  /** Computations at the same time. */
  readonly #lanes: number;
  #waiting: Call[] = [];
  readonly #running = new Set<Computation>();
  /** Looks for calls, so that what this turn asks for begins together. */
  readonly #schedule = afterTurn(() => this.#begin());

  constructor(
    native: Detokenizer,
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

  /**
   * Tokens [count, N] are read at the call. Where `signal` aborts it rejects at once, and what is computed for nobody else
   * ends after the native operation that runs.
   */
  run(
    tokens: Int32Array,
    signal: AbortSignal | undefined,
  ): Promise<{ pixels: Float32Array; flops: number }> {
    const count = tokens.length / this.#length;
    if (count === 0) return Promise.resolve({ pixels: new Float32Array(), flops: 0 });
    return new Promise((resolve, reject) => {
      const given = { tokens: tokens.slice(), count, signal, pixels: undefined };
      const end = { ended: false, resolve, reject };
      const call: Call = { ...given, begun: 0, done: 0, flops: 0, ...end };
      const abort = () => this.#drop(call, signal?.reason);
      signal?.addEventListener?.('abort', abort);
      call.resolve = (result) => {
        signal?.removeEventListener?.('abort', abort);
        resolve(result);
      };
      call.reject = (reason) => {
        signal?.removeEventListener?.('abort', abort);
        reject(reason);
      };
      this.#waiting.push(call);
      this.#schedule();
    });
  }

  #begin(): void {
    while (this.#running.size < this.#lanes) {
      const parts = this.#take();
      if (parts.length === 0) return;
      const computation = { parts, stop: this.#native.newStop() };
      this.#running.add(computation);
      void this.#compute(computation).finally(() => {
        this.#running.delete(computation);
        this.#schedule();
      });
    }
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
        this.#drop(call, error);
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
  async #compute({ parts: all, stop }: Computation): Promise<void> {
    const parts = all.filter(({ call }) => !call.ended);
    if (parts.length === 0) return;
    const samples = parts.reduce((sum, { count }) => sum + count, 0);
    try {
      const tokens = this.#tokensOf(parts, samples);
      const { pixels, flops } = await this.#native.detokenize(tokens, samples, stop);
      let from = 0;
      for (const part of parts) {
        const end = from + part.count * this.#size;
        this.#finish(part, pixels.subarray(from, end), (flops / samples) * part.count);
        from = end;
      }
    } catch (error) {
      if (parts.length > 1) for (const part of parts) await this.#compute({ parts: [part], stop });
      else this.#drop(parts[0]!.call, error);
    }
  }

  #tokensOf(parts: readonly Part[], samples: number): Int32Array {
    const length = this.#length;
    const tokens = new Int32Array(samples * length);
    let first = 0;
    for (const { call, ...part } of parts) {
      const own = call.tokens.subarray(part.first * length, (part.first + part.count) * length);
      tokens.set(own, first * length);
      first += part.count;
    }
    return tokens;
  }

  #finish({ call, first, count }: Part, pixels: Float32Array, flops: number): void {
    if (call.ended) return;
    call.pixels!.set(pixels, first * this.#size);
    call.flops += flops;
    call.done += count;
    if (call.done < call.count) return;
    call.ended = true;
    call.resolve({ pixels: call.pixels!, flops: call.flops });
  }

  /** What of the call has not begun is not computed any more, and what has is stopped unless others wait for it. */
  #drop(call: Call, error: unknown): void {
    call.ended = true;
    this.#waiting = this.#waiting.filter((other) => other !== call);
    call.reject(error);
    for (const { parts, stop } of this.#running) {
      if (parts.every((part) => part.call.ended)) stop.stop();
    }
  }
}
