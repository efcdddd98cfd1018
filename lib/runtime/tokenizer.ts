/** Pixels to tokens and back, with as many samples at once as fill the device, those of several calls where they wait. */

import { latentShapeOf, type TokenizerConfig } from '../checkpoint/config.js';
import { wrongValue } from '../errors.js';
import { tokenCount } from '../plan/shape.js';
import { elementCount, readTensor, Tensor } from '../tensor.js';
import { Detokenizing } from './detokenizing.js';
import type { NativeTokenizer } from './native.js';

/** Pixels [count, height, width, channels], or [count, frames, height, width, channels] of videos, in [0, 1]. */
export type Pixels = Tensor<'float32'>;

export class Tokenizer {
  readonly config: TokenizerConfig;
  /** [height, width, channels] of a picture, [frames, height, width, channels] of a video. */
  readonly pixelShape: readonly number[];
  readonly #native: NativeTokenizer;
  readonly #batchSize: number;
  readonly #tokenCount: number;
  readonly #detokenizing: Detokenizing;
  /** By number of samples. */
  readonly #deviceBytes = new Map<number, number>();

  /** devices: how many calls run at the same time. */
  constructor(config: TokenizerConfig, native: NativeTokenizer, batchSize: number, devices = 1) {
    const [frames, height, width] = config.sampleShape;
    this.config = config;
    this.pixelShape =
      frames === 1 ? [height, width, config.channels] : [frames, height, width, config.channels];
    this.#native = native;
    this.#batchSize = batchSize;
    this.#tokenCount = tokenCount({ latentShape: latentShapeOf(config) });
    const sample = { tokens: this.#tokenCount, size: elementCount(this.pixelShape) };
    this.#detokenizing = new Detokenizing(native, batchSize, sample, devices);
  }

  /**
   * Pixels to tokens [count, N], and the FLOPs that it took. Where `signal` aborts it ends after the native operation that
   * runs. @throws TypeError, RangeError, also for NaN and infinity; the signal's reason.
   */
  async tokenize(
    pixels: Pixels,
    signal?: AbortSignal,
  ): Promise<{ tokens: Tensor<'int32'>; flops: number }> {
    const expected = `a float32 tensor [count, ${this.pixelShape.join(', ')}]`;
    const { data, dims } = readTensor('pixels', expected, 'float32', pixels);
    if (dims.slice(1).join() !== this.pixelShape.join()) {
      throw wrongValue('pixels', expected, dims);
    }
    const wrong = data.find((value) => !Number.isFinite(value));
    if (wrong !== undefined) throw wrongValue('pixels', 'finite numbers', wrong);
    const count = dims[0]!;
    const size = elementCount(this.pixelShape);
    const own = count > this.#batchSize ? data.slice() : data;
    const tokens = new Int32Array(count * this.#tokenCount);
    let flops = 0;
    const stop = this.#native.newStop();
    const abort = () => stop.stop();
    signal?.addEventListener?.('abort', abort);
    try {
      for (let first = 0; first < count; first += this.#batchSize) {
        const end = Math.min(count, first + this.#batchSize);
        const part = own.subarray(first * size, end * size);
        signal?.throwIfAborted();
        const encoded = await this.#native.encode(part, end - first, stop);
        const quantized = await this.#native.quantize(encoded.latents, end - first);
        tokens.set(quantized.tokens, first * this.#tokenCount);
        flops += encoded.flops + quantized.flops;
      }
    } catch (error) {
      signal?.throwIfAborted(); // instead of what stopping made of it
      throw error;
    } finally {
      signal?.removeEventListener?.('abort', abort);
    }
    return { tokens: new Tensor('int32', tokens, [count, this.#tokenCount]), flops };
  }

  /**
   * Tokens [count, N] to pixels, and the FLOPs that it took. Both are read at the call: what the caller writes to a tensor
   * while it is computed changes nothing. Where `signal` aborts it rejects with the reason at once.
   */
  async detokenize(
    tokens: Tensor<'int32'>,
    signal?: AbortSignal,
  ): Promise<{ pixels: Pixels; flops: number }> {
    const length = this.#tokenCount;
    const { codebookSize } = this.config;
    const expected = `an int32 tensor [count, ${length}]`;
    const { data, dims } = readTensor('tokens', expected, 'int32', tokens);
    if (dims.length !== 2 || dims[1] !== length) throw wrongValue('tokens', expected, dims);
    const wrong = data.find((token) => token < 0 || token >= codebookSize);
    if (wrong !== undefined) {
      throw wrongValue('tokens', `tokens of 0 .. ${codebookSize - 1}`, wrong);
    }
    const { pixels, flops } = await this.#detokenizing.run(data, signal);
    return { pixels: new Tensor('float32', pixels, [dims[0]!, ...this.pixelShape]), flops };
  }

  /** Bytes of the weights. */
  get bytes(): number {
    return this.#native.bytes;
  }

  /** Bytes that detokenizing so many samples takes besides its result: on the device, and of pixels on their way. */
  detokenizeBytes(count: number): number {
    const atOnce = Math.min(count, this.#batchSize);
    if (atOnce === 0) return 0;
    let device = this.#deviceBytes.get(atOnce);
    if (device === undefined) {
      device = this.#native.detokenizeBytes(atOnce);
      this.#deviceBytes.set(atOnce, device);
    }
    return device + 2 * atOnce * this.pixelBytes;
  }

  /** Bytes of one sample's pixels. */
  get pixelBytes(): number {
    return elementCount(this.pixelShape) * Float32Array.BYTES_PER_ELEMENT;
  }

  dispose(): void {
    this.#native.dispose();
  }
}
