/** The native module, typed: the only seam between TypeScript and C++. Callers check everything that goes in. */

import type { Architecture, NormPlace, TokenizerConfig } from '../checkpoint/config.js';
import type { FileTensors } from '../checkpoint/safetensors.js';
import type { ListedTensor } from '../checkpoint/schema.js';
import type { Activation } from '../checkpoint/transformer-config.js';
import type { Confidence } from '../plan/recipe.js';
import { loadAddon } from './addon.js';
import { guarded } from './guarded.js';
import { packageRoot } from './package.js';

/** Where tensors are, by name: each is read when its turn comes; or a seed: random weights of the config's shapes. */
export type NativeWeights = FileTensors | { readonly seed: number };

export interface NativeBlockConfig {
  hiddenSize: number;
  layers: number;
  heads: number;
  headDim: number;
  intermediateSize: number;
  normPlace: NormPlace;
  activation: Activation;
  normEps: number;
}

export interface NativeGeneratorConfig
  extends NativeBlockConfig,
    Readonly<Omit<Architecture, 'nullClass'>> {
  /** Ids that are codes: those of all sub-tokens. */
  codebookSize: number;
  subTokens: number;
  vocabSize: number;
  tokenCount: number;
  /** Of the class table, and the id at position 0 of every sequence: with modulation. */
  classRows: number;
  registerId: number;
}

/** The engine takes a tokenizer's config as it is read. */
export type NativeTokenizerConfig = TokenizerConfig;

/** FLOPs of the transformer, summed over what was launched; a multiply-add counts 2. */
export interface NativeFlops {
  projections: number;
  attention: number;
  mlp: number;
  lmHead: number;
}

/** Seconds of native work by kind (native/ops/profile.h). */
export interface NativeProfile {
  projections: number;
  attention: number;
  mlp: number;
  lmHead: number;
  norms: number;
  rows: number;
  sampling: number;
  /** Between operations. */
  session: number;
}

/** The sub-model of a pass and what it computes. */
export interface NativePass {
  heads: number;
  hidden: number;
  /** Compute every row and rewrite the cache. */
  refresh: boolean;
  /** Run the LM head on every row instead of the masked ones. */
  allLogits: boolean;
}

/** What confidence is; `'turn'`: the position's turn. */
export type NativeConfidence = Confidence | 'turn';

export interface NativeStepOptions extends NativePass {
  /** The plan's totals over all branches; the session refuses others. */
  activeRows: number;
  logitsRows: number;
  /** [samples] how many positions stay masked after this step; 0 of a sample that is abandoned. */
  maskedAfter: Int32Array;
  /** Samples that nobody waits for any more. From this step on, which is no refresh, no row of theirs is computed. */
  abandoned: Int32Array;
  guidance: number;
  temperature: number;
  topK: number;
  choiceTemperature: number;
  confidence: NativeConfidence;
  step: number;
  /** Return ids and masked. Without, a device that runs by itself need not have finished the step. */
  read: boolean;
}

/** The state of the positions, [samples, N] each. */
export interface NativeState {
  /** Vocabulary ids; only meaningful where masked is 0. */
  ids: Int32Array;
  /** 1 where still masked. */
  masked: Uint8Array;
  /** [samples] the step whose logits of a sample were first not finite, or -1: what was drawn since means nothing. */
  faults: Int32Array;
}

export interface NativeStep extends Partial<NativeState> {
  flops: NativeFlops;
  /** Of a session that is profiled. */
  profile?: NativeProfile;
}

export interface NativeSessionOptions {
  /** [samples, N] vocabulary ids; a masked position has the id that the model sees there ([MASK], or a condition). */
  ids: Int32Array;
  /** [samples, N] 1 where masked. */
  masked: Uint8Array;
  /**
   * [samples, N] the turn of every masked position: how many stay masked when it is revealed. Then a step draws only those
   * whose turn has come, and its confidence is `'turn'`. Empty: a step draws all that are masked.
   */
  turns: Int32Array;
  /** [samples] vocabulary ids of the class tokens, with modulation rows of the class table. */
  classIds: Int32Array;
  /** That of the null class for the unconditional branches, or -1 without guidance. */
  nullClassId: number;
  /** [samples] each sample's number in the noise. */
  sampleNumbers: Int32Array;
  /** [samples] the seed of each sample's noise. */
  seeds: BigUint64Array;
  /** Measure where the time of steps goes. ERR_UNSUPPORTED on a CUDA device. */
  profiled?: boolean;
}

/** One batch that is being generated. */
export interface NativeSession {
  /** Computes, samples and reveals. */
  step(options: NativeStepOptions): Promise<NativeStep>;
  /** Computes without sampling. logits: [logitsRows, V]. */
  compute(pass: NativePass): Promise<{
    flops: NativeFlops;
    logits: Float32Array;
    logitsRows: number;
  }>;
  /** Makes these tokens known, where positions take no turns. tokens: [samples, N], -1 where one is left as it is. */
  reveal(tokens: Int32Array): Promise<NativeState>;
  dispose(): void;
}

export interface NativeGenerator {
  openSession(options: NativeSessionOptions): Promise<NativeSession>;
  /** Logits [samples, N, V] of one pass over every row. classIds: [samples]. */
  forward(
    ids: Int32Array,
    classIds: Int32Array,
    heads: number,
    hidden: number,
  ): Promise<{ logits: Float32Array; flops: NativeFlops }>;
  /** Device memory of the weights. */
  readonly bytes: number;
  /** Device memory that a session takes at most. */
  sessionBytes(samples: number, guided: boolean): number;
  /** Frees the memory that is kept for sessions to come, and what the system's allocator keeps. */
  trim(): Promise<void>;
  dispose(): void;
}

/** Ends the calls that it was given to, before they are done: they reject with ERR_DISPOSED. */
export interface NativeStop {
  stop(): void;
}

export interface NativeTokenizer {
  /** pixels [count, frames, height, width, channels] in [0, 1] -> latents [count, N, codebookDim] */
  encode(
    pixels: Float32Array,
    count: number,
    stop?: NativeStop,
  ): Promise<{ latents: Float32Array; flops: number }>;
  /** latents [count, N, codebookDim] -> tokens [count, N] */
  quantize(latents: Float32Array, count: number): Promise<{ tokens: Int32Array; flops: number }>;
  /** tokens [count, N] -> pixels [count, frames, height, width, channels] in [0, 1] */
  detokenize(
    tokens: Int32Array,
    count: number,
    stop?: NativeStop,
  ): Promise<{ pixels: Float32Array; flops: number }>;
  /** For calls of tokenizers of this kind, whichever device they are on. */
  newStop(): NativeStop;
  /** Device memory of the weights. */
  readonly bytes: number;
  /** Device memory that detokenizing so many samples takes at most. */
  detokenizeBytes(count: number): number;
  /** Frees the memory that is kept for calls to come, and what the system's allocator keeps. */
  trim(): Promise<void>;
  dispose(): void;
}

/** A type that a device computes in. */
export type NativeCompute = 'f32' | 'bf16' | 'f16';
/** A format that weights are kept in. */
export type NativeFormat = NativeCompute | 'int8';

/**
 * A backend with its own job thread. Jobs of everything loaded on it run one after another, but every session of a CUDA
 * device has a thread of its own.
 */
export interface NativeDevice {
  /** For example "cpu/avx512" or "cuda:0". */
  readonly backend: string;
  /** Threads that compute; 1 on a CUDA device. */
  readonly threads: number;
  loadGenerator(
    config: NativeGeneratorConfig,
    weights: NativeWeights,
    format: NativeFormat,
  ): Promise<NativeGenerator>;
  loadTokenizer(
    config: NativeTokenizerConfig,
    weights: NativeWeights,
    format: NativeFormat,
  ): Promise<NativeTokenizer>;
  /**
   * Bytes that such a generator's weights take, but for what the device pads, and at most that a session of so many
   * samples takes.
   */
  generatorMemory(
    config: NativeGeneratorConfig,
    format: NativeFormat,
    samples: number,
    guided: boolean,
  ): { weights: number; work: number };
  /** The same of a tokenizer, and of detokenizing so many samples. */
  tokenizerMemory(
    config: NativeTokenizerConfig,
    format: NativeFormat,
    samples: number,
  ): { weights: number; work: number };
  /**
   * The measured rate that bench compares with, in FLOP/s: on the CPU multiply-adds on registers by all threads, on a
   * CUDA device a large matrix product.
   */
  measurePeak(): Promise<number>;
  /** Bytes of the device's own memory; 0 of the CPU, which has the host's. */
  readonly memory: number;
  /** Ends everything that is being loaded or computed on this device, for good: it rejects with ERR_DISPOSED. */
  stop(): void;
  /** Times the products of everything that has run on it, in every tile that can be chosen. Empty on the CPU. */
  timeTiles(): Promise<NativeTileTiming[]>;
  dispose(): void;
}

/** A matrix product and the tile of outputs that is computed at once (native/ops/tiles.h). */
export interface NativeTile {
  /** A multiple of 8: as many or up to seven fewer. */
  rows: number;
  out: number;
  in: number;
  products: number;
  end: 'stores' | 'adds' | 'activates' | 'f32';
  tileRows: number;
  tileColumns: number;
}

/** Seconds of one such product. */
export interface NativeTileTiming extends NativeTile {
  byFormula: boolean;
  samples: number[];
}

export interface NativeCudaDevice {
  name: string;
  /** 80 for compute capability 8.0 */
  capability: number;
  /** The CUDA version of the driver, 13000 for 13.0. */
  driver: number;
}

export interface NativeInfo {
  /** Instruction sets compiled in that this processor has, best first; the last is "portable". */
  instructionSets: string[];
  cudaDevices: NativeCudaDevice[];
  /** Why there are none, else ''. */
  cudaReason: string;
}

export interface NativeBinding {
  info(): NativeInfo;
  /** instructionSet: '' for the best one. */
  openCpu(threads: number, instructionSet: string): NativeDevice;
  /** compute: the type of activations; sums are f32. tiles: of the products that they name; of others by formula. */
  openCuda(index: number, compute: NativeCompute, tiles: readonly NativeTile[]): NativeDevice;
  /** Every tensor of a generator of this config. */
  generatorTensors(config: NativeGeneratorConfig): ListedTensor[];
  /** Every tensor of a tokenizer of this config. */
  tokenizerTensors(config: NativeTokenizerConfig): ListedTensor[];
}

let binding: NativeBinding | undefined;

/** The native module, loaded at first use. @throws MagnetsError ERR_UNSUPPORTED that says what to do. */
export function native(): NativeBinding {
  if (binding !== undefined) return binding;
  binding = guarded(loadAddon(packageRoot) as NativeBinding);
  return binding;
}
