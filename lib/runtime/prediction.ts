/**
 * Frame prediction (COMMIT: MAGVIT, arXiv 2212.05199): the first positions show the tokens of the given frames while
 * they are masked, and are predicted like all others.
 */

import { type GeneratorConfig, patchShapeOf, type TokenizerConfig } from '../checkpoint/config.js';
import { coded, MagnetsError, readOptions, wrongValue } from '../errors.js';
import { elementCount, readTensor, Tensor } from '../tensor.js';
import type { Generation } from './generation.js';
import type { Label } from './ids.js';
import {
  checkCount,
  type DecodeOptions,
  decodeOptionNames,
  decodeRequest,
  type Request,
} from './request.js';
import { GenerationResult, type Outcome } from './result.js';
import type { Condition } from './samples.js';
import type { Pixels, Tokenizer } from './tokenizer.js';

/** The options of `generate` without classes, editing and guidance: the given frames are the condition. */
export interface PredictOptions extends DecodeOptions {
  /** [samples, given, height, width, channels] in [0, 1]; with a larger `count` the samples repeat. */
  readonly frames: Pixels;
}

const predictOptionNames = [
  'frames',
  ...decodeOptionNames,
] as const satisfies readonly (keyof PredictOptions)[];

/** `pixels` are the whole videos, the given frames as the tokenizer shows them. */
export class PredictionResult extends GenerationResult {
  readonly #given: number;
  #predicted: Pixels | undefined;

  /** given: how many frames the prediction was made from. */
  constructor(outcome: Outcome, given: number) {
    super(outcome);
    this.#given = given;
  }

  /**
   * The frames after the given ones: [count, frames - given, height, width, channels] in [0, 1].
   * @throws What {@link GenerationResult.pixels} throws.
   */
  get predicted(): Pixels {
    this.#predicted ??= coded(() => framesAfter(this.pixels, this.#given));
    return this.#predicted;
  }
}

export type Prediction = Generation<PredictionResult>;

/**
 * [given, height, width, channels] of what a model predicts from.
 * @throws MagnetsError ERR_UNSUPPORTED when it does not predict frames.
 */
export function givenShape(
  config: GeneratorConfig,
  tokenizer: TokenizerConfig | undefined,
): [number, number, number, number] {
  if (config.prediction === undefined) {
    const message = `${config.name} predicts no frames: its config.json has no "prediction"`;
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  }
  if (tokenizer === undefined) {
    throw new MagnetsError('ERR_UNSUPPORTED', `${config.name} has no tokenizer beside it`);
  }
  const [, height, width] = tokenizer.sampleShape;
  return [config.prediction.frames, height, width, tokenizer.channels];
}

/** pixels [samples, frames, ...] -> [samples, numbers.length, ...]: the frames of these numbers. */
function selectFrames(pixels: Pixels, numbers: readonly number[]): Pixels {
  const [samples, frames, ...frame] = pixels.dims as [number, number, ...number[]];
  const size = elementCount(frame);
  const data = new Float32Array(samples * numbers.length * size);
  for (let sample = 0; sample < samples; ++sample) {
    numbers.forEach((number, i) => {
      const start = (sample * frames + number) * size;
      data.set(pixels.data.subarray(start, start + size), (sample * numbers.length + i) * size);
    });
  }
  return new Tensor('float32', data, [samples, numbers.length, ...frame]);
}

/** The frames after the first `given` ones: [samples, frames - given, ...]. */
function framesAfter(pixels: Pixels, given: number): Pixels {
  const numbers = Array.from({ length: pixels.dims[1]! - given }, (_, i) => given + i);
  return selectFrames(pixels, numbers);
}

/** The given frames as a whole video for the tokenizer: the last of them again and again. */
function padded(frames: Pixels, total: number): Pixels {
  const last = frames.dims[1]! - 1;
  return selectFrames(
    frames,
    Array.from({ length: total }, (_, i) => Math.min(i, last)),
  );
}

/** Tokens [samples, N] -> the first n of each; samples repeat up to `count`: [count, n]. */
function firstTokens({ data, dims }: Tensor<'int32'>, n: number, count: number): Int32Array {
  const [samples, length] = dims as [number, number];
  const result = new Int32Array(count * n);
  for (let i = 0; i < count; ++i) {
    const start = (i % samples) * length;
    result.set(data.subarray(start, start + n), i * n);
  }
  return result;
}

/**
 * The request, and the frames as they are now: what the caller writes to them before they are tokenized changes nothing.
 * @throws TypeError, RangeError when an option is not what it should be; MagnetsError ERR_UNSUPPORTED.
 */
export function predictRequest(
  config: GeneratorConfig,
  tokenizer: TokenizerConfig | undefined,
  given: PredictOptions,
  usualBatchSize: number,
): { readonly request: Request; readonly frames: Pixels } {
  const shape = givenShape(config, tokenizer);
  const options = readOptions<PredictOptions>(given, predictOptionNames, ['frames']);
  const frames = readTensor('frames', 'a float32 tensor', 'float32', options.frames);
  if (frames.size === 0 || frames.dims.slice(1).join() !== shape.join()) {
    throw wrongValue('frames', `[samples, ${shape.join(', ')}]`, frames.dims);
  }
  const wrong = frames.data.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) throw wrongValue('frames', 'finite numbers', wrong);
  const count = checkCount(config, options.count ?? frames.dims[0]);
  // Trained without a class, so that the two branches of guidance would be the same.
  const labels = Array<Label>(count).fill(null);
  const unguided = { ...options, guidance: 0 };
  return {
    request: decodeRequest(config, unguided, labels, undefined, usualBatchSize),
    frames: new Tensor('float32', frames.data.slice(), frames.dims),
  };
}

/** Tokenizes the given frames: the tokens of all latent frames that they reach into. */
export async function conditionOf(
  tokenizer: Tokenizer,
  { latentShape }: GeneratorConfig,
  frames: Pixels,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Condition> {
  const { sampleShape } = tokenizer.config;
  const [, rows, columns] = latentShape;
  const positions = Math.ceil(frames.dims[1]! / patchShapeOf(tokenizer.config)[0]) * rows * columns;
  const { tokens, flops } = await tokenizer.tokenize(padded(frames, sampleShape[0]), signal);
  return { tokens: firstTokens(tokens, positions, count), flops };
}
