/** A loaded checkpoint: the door to everything else. */

import type { GeneratorConfig, TokenizerConfig } from '../checkpoint/config.js';
import { coded, MagnetsError, readOptions } from '../errors.js';
import { findWidth } from '../plan/schedule.js';
import { fullWidth, tokenCount } from '../plan/shape.js';
import { logitsColumns } from '../plan/vocabulary.js';
import { Tensor } from '../tensor.js';
import { Batcher, type Batching } from './batching.js';
import { type OpenDevices, samplesThatFill } from './device.js';
import { Generation, type GenerationContext } from './generation.js';
import { OpenSessions } from './group.js';
import { type Label, labelIds, readLabels, tokenIds } from './ids.js';
import {
  checkMemory,
  checkPass,
  type MemoryNeeds,
  type MemorySources,
  memoryLimits,
  memoryNeeds,
  memoryRequest,
} from './memory.js';
import { Counters, type Metrics } from './metrics.js';
import type { NativeCompute, NativeFormat, NativeGenerator } from './native.js';
import {
  conditionOf,
  type Prediction,
  PredictionResult,
  type PredictOptions,
  predictRequest,
} from './prediction.js';
import { type GenerateOptions, generateRequest, type Request } from './request.js';
import { GenerationResult } from './result.js';
import type { Pixels, Tokenizer } from './tokenizer.js';

export interface ForwardOptions {
  /** [samples, N], -1 where masked. */
  readonly tokens: Tensor<'int32'>;
  /** One for each sample, as for `generate`. */
  readonly labels: readonly Label[];
  /** The sub-model, such as `'1/8'` or 0.125. Default: the full width. */
  readonly width?: string | number;
}

const forwardOptionNames = [
  'tokens',
  'labels',
  'width',
] as const satisfies readonly (keyof ForwardOptions)[];

export class Model {
  readonly config: GeneratorConfig;
  readonly tokenizerConfig: TokenizerConfig | undefined;
  /** For example `'cpu/avx2'` or `'cuda:0'`; of several devices `'cuda:0, cuda:1'`. */
  readonly backend: string;
  /** Threads that compute, of all devices; 1 of a CUDA device. */
  readonly threads: number;
  /** The format that the weights are kept in. */
  readonly weights: NativeFormat;
  /** The type that the device computes in. */
  readonly compute: NativeCompute;
  readonly #devices: OpenDevices['devices'];
  readonly #generator: NativeGenerator;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #sessions = new OpenSessions();
  readonly #counters = new Counters();
  readonly #batcher: Batcher | undefined;
  #disposed = false;

  /** Use {@link load}. */
  constructor(
    opened: OpenDevices,
    config: GeneratorConfig,
    generator: NativeGenerator,
    tokenizer: Tokenizer | undefined,
    batching: Batching | undefined,
  ) {
    this.config = config;
    this.tokenizerConfig = tokenizer?.config;
    this.backend = opened.devices.map(({ backend }) => backend).join(', ');
    this.threads = opened.devices.reduce((sum, { threads }) => sum + threads, 0);
    this.weights = opened.weights;
    this.compute = opened.compute;
    this.#devices = opened.devices;
    this.#generator = generator;
    this.#tokenizer = tokenizer;
    const context = { generator, sessions: this.#sessions, counters: this.#counters };
    this.#batcher =
      batching && new Batcher(context, batching, this.#usualBatchSize(), lanesOf(opened));
  }

  /** N, the number of tokens of one sample. */
  get tokenCount(): number {
    return tokenCount(this.config);
  }

  /**
   * Generates samples. Nothing runs until the generation is iterated (one step after the other) or its `result()` is
   * called. @throws TypeError, RangeError for wrong options, at once.
   */
  generate(options: GenerateOptions = {}): Generation {
    const context = this.#context();
    return coded(() => {
      const request = generateRequest(this.config, options, this.#usualBatchSize());
      this.#checkMemory(request);
      return new Generation(context, request, (outcome) => new GenerationResult(outcome));
    });
  }

  /**
   * The bytes that `generate` takes with these options; `generate` refuses what this machine, its container or the
   * device cannot hold. @throws TypeError, RangeError like `generate`.
   */
  memory(options: GenerateOptions = {}): MemoryNeeds {
    this.#context();
    return coded(() => {
      const request = generateRequest(this.config, options, this.#usualBatchSize());
      return memoryNeeds(this.#memorySources(), memoryRequest(request));
    });
  }

  /**
   * Predicts how given frames go on, like `generate`. @throws TypeError, RangeError for wrong options, MagnetsError
   * ERR_UNSUPPORTED for a model without "prediction" in its config.json, at once.
   */
  predict(options: PredictOptions): Prediction {
    const context = this.#context();
    const { config, tokenizerConfig } = this;
    return coded(() => {
      const { request, frames } = predictRequest(
        config,
        tokenizerConfig,
        options,
        this.#usualBatchSize(),
      );
      this.#checkMemory(request);
      const { labels, signal } = request;
      return new Generation(
        context,
        request,
        (outcome) => new PredictionResult(outcome, frames.dims[1]!),
        (tokenizer) => conditionOf(tokenizer, config, frames, labels.length, signal),
      );
    });
  }

  /**
   * One pass of a sub-model over every row. Returns logits [samples, N, V], of an untied model [samples, N, codes].
   * @throws TypeError, RangeError for wrong options, MagnetsError ERR_OUT_OF_MEMORY for more than this machine can hold.
   */
  async forward(options: ForwardOptions): Promise<Tensor<'float32'>> {
    return coded(() => this.#forward(options));
  }

  async #forward(options: ForwardOptions): Promise<Tensor<'float32'>> {
    const { generator } = this.#context();
    const { tokens, width, ...rest } = readOptions<ForwardOptions>(options, forwardOptionNames, [
      'tokens',
      'labels',
    ]);
    const labels = readLabels(rest.labels);
    const classIds = labelIds(this.config, labels);
    const { ids } = tokenIds(this.config, tokens, labels.length);
    const { heads, hidden } =
      width === undefined ? fullWidth(this.config) : findWidth(this.config, width);
    const columns = logitsColumns(this.config);
    const sampleLogits = this.tokenCount * columns * Float32Array.BYTES_PER_ELEMENT;
    checkPass(this.#memorySources(), labels.length, sampleLogits, memoryLimits(this.#devices));
    const { logits } = await generator.forward(ids, classIds, heads, hidden);
    // As an array of this realm: the addon makes those of the one that loaded it.
    const data = new Float32Array(logits.buffer, logits.byteOffset, logits.length);
    return new Tensor('float32', data, [labels.length, this.tokenCount, columns]);
  }

  /**
   * Pixels to tokens [count, N].
   * @throws TypeError, RangeError for other pixels than this model's; MagnetsError ERR_UNSUPPORTED without a tokenizer.
   */
  async tokenize(pixels: Pixels): Promise<Tensor<'int32'>> {
    const { tokens } = await coded(() => this.#requireTokenizer().tokenize(pixels));
    return tokens;
  }

  /**
   * Tokens [count, N] to pixels.
   * @throws TypeError, RangeError for other tokens than 0 .. C - 1; MagnetsError ERR_UNSUPPORTED without a tokenizer.
   */
  async detokenize(tokens: Tensor<'int32'>): Promise<Pixels> {
    const { pixels } = await coded(() => this.#requireTokenizer().detokenize(tokens));
    return pixels;
  }

  /** What this model has done since it was loaded, and what it does now. It can be read after `dispose`, too. */
  metrics(): Metrics {
    return this.#counters.read();
  }

  /**
   * Frees the weights, and the memory of every generation. What is under way ends with ERR_DISPOSED after the native
   * operation that runs (a part of a step or of a picture), what waits ends with it at once, and every other call is
   * refused.
   */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#batcher?.end();
    this.#sessions.end();
    this.#generator.dispose();
    this.#tokenizer?.dispose();
    for (const device of this.#devices) {
      device.stop();
      device.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  #context(): GenerationContext {
    if (this.#disposed) throw new MagnetsError('ERR_DISPOSED', 'this model has been disposed');
    return {
      config: this.config,
      generator: this.#generator,
      tokenizer: this.#tokenizer,
      sessions: this.#sessions,
      counters: this.#counters,
      batcher: this.#batcher,
      devices: this.#devices.length,
    };
  }

  #requireTokenizer(): Tokenizer {
    const { tokenizer } = this.#context();
    if (tokenizer === undefined) {
      throw new MagnetsError('ERR_UNSUPPORTED', `${this.config.name} has no tokenizer beside it`);
    }
    return tokenizer;
  }

  #memorySources(): MemorySources {
    const tokenizer = this.#tokenizer;
    return {
      weights: this.#generator.bytes + (tokenizer?.bytes ?? 0),
      sampleResult: this.tokenCount * Int32Array.BYTES_PER_ELEMENT + (tokenizer?.pixelBytes ?? 0),
      sessionBytes: (samples, guided) => this.#generator.sessionBytes(samples, guided),
      tokenizerBytes: (samples) => tokenizer?.detokenizeBytes(samples) ?? 0,
    };
  }

  #checkMemory(request: Request): void {
    const limits = memoryLimits(this.#devices);
    checkMemory(this.#memorySources(), memoryRequest(request), limits);
  }

  #usualBatchSize(): number {
    return samplesThatFill(this.#devices[0], this.tokenCount);
  }
}

/**
 * Groups that run at the same time: the threads of a CPU all work on one step, so there is one; a CUDA device computes for
 * one group while the host reads what it has computed for the other.
 */
function lanesOf({ devices }: OpenDevices): number {
  return devices.length * (devices[0].backend.startsWith('cuda') ? 2 : 1);
}
