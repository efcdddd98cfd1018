/** A loaded checkpoint: the door to everything else. */

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint } from '../checkpoint/checkpoint.js';
import type { GeneratorConfig, TokenizerConfig } from '../checkpoint/config.js';
import { fromNative, integer, MagnetsError, wrongType, wrongValue } from '../errors.js';
import { findWidth } from '../plan/schedule.js';
import { fullWidth, tokenCount } from '../plan/shape.js';
import { Tensor } from '../tensor.js';
import { type GenerateOptions, Generation, labelIds, tokenIds } from './generation.js';
import {
  type NativeDevice,
  type NativeDtype,
  type NativeGenerator,
  type NativeTokenizer,
  native,
  packageRoot,
  packageVersion,
} from './native.js';
import { Prediction, type PredictOptions } from './prediction.js';

/** How far a load is: files read, then weights placed on the device. */
export interface LoadProgress {
  readonly status: 'reading' | 'placing' | 'ready';
}

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export interface LoadOptions {
  /**
   * `'auto'` (default) takes the first CUDA device, or the CPU where there is none (`info()` says why), or where
   * `dtype` is `'f32'`. `'cuda'` is `'cuda:0'`.
   */
  readonly device?: Device;
  /**
   * `'f32'` (CPU), `'bf16'` (either) or `'f16'` (CUDA). On the CPU it says how weights are kept, arithmetic is f32; on a
   * CUDA device weights and activations have it, sums are f32. `'auto'` (default) is f32 on the CPU, else bf16.
   */
  readonly dtype?: 'auto' | NativeDtype;
  /** Threads of the CPU that compute. Default: as many as this process may use at once. */
  readonly threads?: number;
  /** One of `info().cpu.instructionSets`. Default: the MAGNETS_ISA environment variable, else the best. */
  readonly instructionSet?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface Info {
  readonly version: string;
  readonly cpu: { readonly instructionSets: readonly string[]; readonly threads: number };
  readonly cuda: { readonly devices: readonly CudaDevice[] };
  /** Backends with why one is not used. */
  readonly backends: readonly { name: string; available: boolean; reason?: string }[];
}

export interface CudaDevice {
  readonly name: string;
  /** For example `'9.0'`. */
  readonly computeCapability: string;
}

/** What this machine offers. */
export function info(): Info {
  const { instructionSets, cudaDevices, cudaReason } = native().info();
  const devices = cudaDevices.map(({ name, capability }) => ({
    name,
    computeCapability: (capability / 10).toFixed(1),
  }));
  return {
    version: packageVersion(),
    cpu: { instructionSets, threads: availableParallelism() },
    cuda: { devices },
    backends: [
      { name: 'cpu', available: true },
      devices.length > 0
        ? { name: 'cuda', available: true }
        : { name: 'cuda', available: false, reason: cudaReason },
    ],
  };
}

/** Number of the CUDA device, or undefined for the CPU. */
function cudaIndex(device: Device, dtype: LoadOptions['dtype']): number | undefined {
  if (device === 'cpu') return undefined;
  if (device === 'auto') {
    return dtype !== 'f32' && native().info().cudaDevices.length > 0 ? 0 : undefined;
  }
  const match = /^cuda(?::(\d{1,3}))?$/.exec(device);
  if (match === null) throw wrongValue('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device);
  return Number(match[1] ?? 0);
}

/** Opens the device that the options ask for, and the dtype to load weights with. @throws when it cannot be had. */
export function openDevice(
  options: Pick<LoadOptions, 'device' | 'dtype' | 'threads' | 'instructionSet'> = {},
): { device: NativeDevice; dtype: NativeDtype } {
  const { device = 'auto', threads = availableParallelism() } = options;
  if (typeof device !== 'string') throw wrongType('device', 'a string', device);
  const index = cudaIndex(device, options.dtype);
  const [dtypes, usual]: [NativeDtype[], NativeDtype] =
    index === undefined ? [['f32', 'bf16'], 'f32'] : [['bf16', 'f16'], 'bf16'];
  const dtype = (options.dtype ?? 'auto') === 'auto' ? usual : (options.dtype as NativeDtype);
  if (!dtypes.includes(dtype)) {
    const where = index === undefined ? 'on the CPU' : 'on a CUDA device';
    throw wrongValue('dtype', `'auto', '${dtypes.join("' or '")}' ${where}`, dtype);
  }
  integer('threads', threads, 1, 1024);
  const instructionSet = options.instructionSet ?? process.env.MAGNETS_ISA ?? '';
  if (typeof instructionSet !== 'string') {
    throw wrongType('instructionSet', 'a string', instructionSet);
  }
  try {
    const opened =
      index === undefined
        ? native().openCpu(threads, instructionSet)
        : native().openCuda(index, dtype);
    return { device: opened, dtype };
  } catch (error) {
    throw fromNative(error);
  }
}

/** Where a bundled name or a folder lies. */
export function modelFolder(nameOrFolder: string): string {
  if (typeof nameOrFolder !== 'string')
    throw wrongType('model', 'a name or a folder', nameOrFolder);
  const bundled = join(packageRoot, 'models', nameOrFolder);
  const isName = /^[\w-]+$/.test(nameOrFolder) && existsSync(join(bundled, 'config.json'));
  return isName ? bundled : nameOrFolder;
}

/** Pixels [count, height, width, channels], or [count, frames, height, width, channels] of a video, in [0, 1]. */
export type Pixels = Tensor<'float32'>;

export class Model {
  readonly config: GeneratorConfig;
  readonly tokenizerConfig: TokenizerConfig | undefined;
  /** For example `'cpu/avx2'` or `'cuda:0'`. */
  readonly backend: string;
  readonly threads: number;
  readonly #device: NativeDevice;
  readonly #generator: NativeGenerator;
  readonly #tokenizer: NativeTokenizer | undefined;
  #disposed = false;

  /** Use {@link load}. */
  constructor(
    config: GeneratorConfig,
    tokenizerConfig: TokenizerConfig | undefined,
    device: NativeDevice,
    generator: NativeGenerator,
    tokenizer: NativeTokenizer | undefined,
  ) {
    this.config = config;
    this.tokenizerConfig = tokenizerConfig;
    this.backend = device.backend;
    this.threads = device.threads;
    this.#device = device;
    this.#generator = generator;
    this.#tokenizer = tokenizer;
  }

  /** Tokens of one sample. */
  get tokens(): number {
    return tokenCount(this.config);
  }

  /**
   * Generates samples. Nothing runs until the result is iterated (one step after the other) or its `result()` is
   * awaited. @throws TypeError, RangeError for wrong options, at once.
   */
  generate(options: GenerateOptions = {}): Generation {
    this.#alive();
    const decode = this.#tokenizer && ((tokens: Tensor<'int32'>) => this.decode(tokens));
    return new Generation(this.config, this.#generator, decode, options);
  }

  /**
   * Predicts how given frames go on, like `generate`. @throws TypeError, RangeError for wrong options, MagnetsError
   * ERR_UNSUPPORTED for a model without "prediction" in its config.json, at once.
   */
  predict(options: PredictOptions): Prediction {
    this.#alive();
    const codec = {
      encode: (pixels: Pixels) => this.encode(pixels),
      decode: (tokens: Tensor<'int32'>) => this.decode(tokens),
    };
    return new Prediction(this.config, this.tokenizerConfig, this.#generator, codec, options);
  }

  /**
   * One pass of a sub-model over every row. tokens: [samples, N] with -1 where masked; labels: one a sample, as for
   * `generate`. Returns logits [samples, N, V].
   */
  async forward(
    tokens: Tensor<'int32'>,
    labels: readonly (string | number | null)[],
    options: { readonly width?: string | number } = {},
  ): Promise<Tensor<'float32'>> {
    this.#alive();
    const { ids } = tokenIds(this.config, tokens, labels.length);
    const width =
      options.width === undefined ? fullWidth(this.config) : findWidth(this.config, options.width);
    const classIds = labelIds(this.config, labels);
    const { logits } = await this.#call(
      this.#generator.forward(ids, classIds, width.heads, width.hidden),
    );
    return new Tensor('float32', logits, [labels.length, this.tokens, this.config.vocabSize]);
  }

  /** Pixels to tokens [count, N]. */
  async encode(pixels: Pixels): Promise<Tensor<'int32'>> {
    const { tokenizer, config } = this.#codec();
    const shape = this.#pixelShape(config);
    const count = pixels.dims[0] ?? 0;
    if (pixels.type !== 'float32' || pixels.dims.slice(1).join() !== shape.join()) {
      throw wrongValue('pixels', `a float32 tensor [count, ${shape.join(', ')}]`, pixels.dims);
    }
    if (count === 0) return new Tensor('int32', new Int32Array(0), [0, this.tokens]);
    const { tokens } = await this.#call(tokenizer.encode(pixels.data, count));
    return new Tensor('int32', tokens, [count, this.tokens]);
  }

  /** Tokens [count, N] to pixels. */
  async decode(tokens: Tensor<'int32'>): Promise<Pixels> {
    const { tokenizer, config } = this.#codec();
    const [count = 0, length] = tokens.dims;
    if (tokens.type !== 'int32' || tokens.dims.length !== 2 || length !== this.tokens) {
      throw wrongValue('tokens', `an int32 tensor [count, ${this.tokens}]`, tokens.dims);
    }
    if (count === 0)
      return new Tensor('float32', new Float32Array(0), [0, ...this.#pixelShape(config)]);
    const { pixels } = await this.#call(tokenizer.decode(tokens.data, count));
    return new Tensor('float32', pixels, [count, ...this.#pixelShape(config)]);
  }

  /** Frees the weights at once, or after the step that is running. Generations that are under way end with an error. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#generator.dispose();
    this.#tokenizer?.dispose();
    this.#device.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  #alive(): void {
    if (this.#disposed) throw new MagnetsError('ERR_DISPOSED', 'this model has been disposed');
  }

  #codec(): { tokenizer: NativeTokenizer; config: TokenizerConfig } {
    this.#alive();
    if (this.#tokenizer === undefined || this.tokenizerConfig === undefined) {
      throw new MagnetsError('ERR_UNSUPPORTED', `${this.config.name} has no tokenizer beside it`);
    }
    return { tokenizer: this.#tokenizer, config: this.tokenizerConfig };
  }

  #pixelShape({ sampleShape, channels }: TokenizerConfig): number[] {
    const [frames, height, width] = sampleShape;
    return frames === 1 ? [height, width, channels] : [frames, height, width, channels];
  }

  async #call<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      throw fromNative(error);
    }
  }
}

/**
 * Loads a bundled model (`'fashion'`) or a checkpoint folder (docs/checkpoints.md).
 * @throws MagnetsError ERR_CHECKPOINT when the folder is not a sound checkpoint; the signal's reason when it aborts.
 */
export async function load(nameOrFolder: string, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress } = options;
  const folder = modelFolder(nameOrFolder);
  signal?.throwIfAborted();
  onProgress?.({ status: 'reading' });
  const checkpoint = await readCheckpoint(folder, signal);

  const { config, tensors, tokenizer } = checkpoint;
  const { device, dtype } = openDevice(options);
  let placedGenerator: NativeGenerator | undefined;
  let placedTokenizer: NativeTokenizer | undefined;
  try {
    onProgress?.({ status: 'placing' });
    placedGenerator = await device.loadGenerator(
      { ...config, tokens: tokenCount(config) },
      tensors,
      dtype,
    );
    signal?.throwIfAborted();
    if (tokenizer) {
      placedTokenizer = await device.loadTokenizer(
        {
          ...tokenizer.config,
          sampleShape: [...tokenizer.config.sampleShape],
          patchShape: [...tokenizer.config.patchShape],
        },
        tokenizer.tensors,
        dtype,
      );
      signal?.throwIfAborted();
    }
  } catch (error) {
    placedGenerator?.dispose();
    placedTokenizer?.dispose();
    device.dispose();
    throw fromNative(error);
  }
  onProgress?.({ status: 'ready' });
  return new Model(config, tokenizer?.config, device, placedGenerator, placedTokenizer);
}
