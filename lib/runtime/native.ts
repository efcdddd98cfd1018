/** The native module, typed: the only seam between TypeScript and C++. Everything here is checked by the callers. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { MagnetsError } from '../errors.js';

/** A tensor of a checkpoint: its bytes are read in place while a load runs. */
export interface NativeTensor {
  dtype: 'F32' | 'F16' | 'BF16';
  shape: number[];
  data: Uint8Array;
}

/** Tensors by name, or a seed: random weights of the configured shapes. */
export type NativeWeights = Record<string, NativeTensor> | { seed: number };

export interface NativeGeneratorConfig {
  hiddenSize: number;
  layers: number;
  heads: number;
  headDim: number;
  intermediateSize: number;
  preNorm: boolean;
  geluTanh: boolean;
  layerNormEps: number;
  codebookSize: number;
  vocabSize: number;
  tokens: number;
}

export interface NativeTokenizerConfig {
  hiddenSize: number;
  heads: number;
  headDim: number;
  intermediateSize: number;
  encoderLayers: number;
  decoderLayers: number;
  geluTanh: boolean;
  layerNormEps: number;
  codebookSize: number;
  codebookDim: number;
  /** [frames, height, width] */
  sampleShape: number[];
  patchShape: number[];
  channels: number;
}

/** FLOPs really done, a multiply-add counting 2. */
export interface NativeFlops {
  projections: number;
  attention: number;
  mlp: number;
  head: number;
  codec: number;
}

export interface NativeStepOptions {
  heads: number;
  hidden: number;
  /** Compute every row and rewrite the cache. */
  refresh: boolean;
  /** Run the head on every row, not only on the masked ones. */
  headAll: boolean;
  /** Per sample: how many positions stay masked after this step. */
  maskedAfter: Int32Array;
  guidance: number;
  temperature: number;
  topK: number;
  choiceTemperature: number;
  step: number;
  /** Return ids and masked. Without, a device that runs by itself need not have finished the step. */
  read: boolean;
  /** Also return the logits of the head's rows. */
  logits: boolean;
  /** Teacher forcing: [samples, tokens] of what becomes known instead of samples, -1 where a position is left. */
  forced?: Int32Array;
}

export interface NativeStep {
  flops: NativeFlops;
  /** With `read`: [samples, tokens] vocabulary ids; only meaningful where masked is 0. */
  ids?: Int32Array;
  /** With `read`: [samples, tokens] 1 where still masked. */
  masked?: Uint8Array;
  /** [headRows, vocabSize] */
  logits?: Float32Array;
}

export interface NativeSessionOptions {
  /** [samples, tokens] vocabulary ids; a masked position carries the id the model sees there ([MASK], or a condition). */
  ids: Int32Array;
  masked: Uint8Array;
  /** [samples] vocabulary ids of the class tokens. */
  classIds: Int32Array;
  /** Vocabulary id of "no class" for the second half of the batch, or -1 without guidance. */
  nullClassId: number;
  /** [samples] each sample's number in the noise. */
  sampleKeys: Int32Array;
  /** Of the noise, below 2^64. */
  seed: bigint;
}

export interface NativeSession {
  step(options: NativeStepOptions): Promise<NativeStep>;
  dispose(): void;
}

export interface NativeGenerator {
  openSession(options: NativeSessionOptions): Promise<NativeSession>;
  /** Logits [samples, tokens, vocabSize] of one pass over every row. classIds: [samples]. */
  forward(
    ids: Int32Array,
    classIds: Int32Array,
    heads: number,
    hidden: number,
  ): Promise<{ logits: Float32Array; flops: NativeFlops }>;
  dispose(): void;
}

export interface NativeTokenizer {
  /** pixels [count, frames, height, width, channels] in [0, 1] -> tokens [count, tokens] */
  encode(pixels: Float32Array, count: number): Promise<{ tokens: Int32Array; flops: NativeFlops }>;
  /** tokens [count, tokens] -> pixels [count, frames, height, width, channels] in [0, 1] */
  decode(tokens: Int32Array, count: number): Promise<{ pixels: Float32Array; flops: NativeFlops }>;
  dispose(): void;
}

export type NativeDtype = 'f32' | 'bf16' | 'f16';

/**
 * A backend with its own job thread; jobs of everything loaded on it run one after another, but sessions of a CUDA
 * device have a thread of their own each.
 */
export interface NativeDevice {
  /** For example "cpu/avx512" or "cuda:0". */
  readonly backend: string;
  /** Threads that compute; 1 on a CUDA device. */
  readonly threads: number;
  loadGenerator(
    config: NativeGeneratorConfig,
    weights: NativeWeights,
    dtype: NativeDtype,
  ): Promise<NativeGenerator>;
  loadTokenizer(
    config: NativeTokenizerConfig,
    weights: NativeWeights,
    dtype: NativeDtype,
  ): Promise<NativeTokenizer>;
  /**
   * The measured rate that bench compares with, in FLOP/s: on the CPU multiply-adds on registers by all threads, on a
   * CUDA device a large matrix product.
   */
  measurePeak(): Promise<number>;
  dispose(): void;
}

export interface NativeInfo {
  /** Instruction sets compiled in that this processor has, best first; the last is "portable". */
  instructionSets: string[];
  /** CUDA devices; capability 80 is 8.0. */
  cudaDevices: { name: string; capability: number }[];
  /** Why there are none, else ''. */
  cudaReason: string;
}

export interface NativeBinding {
  info(): NativeInfo;
  /** instructionSet: '' for the best one. */
  openCpu(threads: number, instructionSet: string): NativeDevice;
  /** dtype: of weights and activations. */
  openCuda(index: number, dtype: NativeDtype): NativeDevice;
}

/** The package's root: where `prebuilds`, `build` and `models` are. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

const require = createRequire(import.meta.url);

/** As package.json has it. */
export function packageVersion(): string {
  return require('../../package.json').version;
}

let binding: NativeBinding | undefined;

/** The native module, loaded at first use. @throws MagnetsError ERR_UNSUPPORTED that says what to do. */
export function native(): NativeBinding {
  if (binding !== undefined) return binding;
  const load = require('node-gyp-build') as (root: string) => NativeBinding;
  try {
    binding = load(packageRoot);
  } catch (cause) {
    const message = [
      `Cannot load the native module for ${process.platform}-${process.arch}, Node ${process.version}: ${String(cause)}`,
      'Possible solutions:',
      '- let install scripts run: npm rebuild magnets',
      '- build it: npx cmake-js build --out build/Release (needs a C++20 compiler and CMake 3.21 or later)',
    ].join('\n');
    throw new MagnetsError('ERR_UNSUPPORTED', message, { cause });
  }
  return binding;
}
