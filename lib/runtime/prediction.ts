/**
 * Frame prediction (COMMIT: MAGVIT, arXiv 2212.05199): the first positions show the tokens of the given frames while
 * they are masked, and are predicted like all others.
 */

import type { GeneratorConfig, TokenizerConfig } from '../checkpoint/config.js';
import { MagnetsError, wrongType, wrongValue } from '../errors.js';
import { Tensor } from '../tensor.js';
import { type GenerateOptions, Generation, type GenerationResult } from './generation.js';
import type { NativeGenerator } from './native.js';

/** Those of {@link GenerateOptions} but for classes, editing and guidance: what is given is the condition. */
export interface PredictOptions
  extends Omit<GenerateOptions, 'labels' | 'tokens' | 'guidanceScale'> {
  /** [samples, given, height, width, channels] in [0, 1]; with a larger `count` the samples repeat in turn. */
  readonly frames: Tensor<'float32'>;
  /** Samples. Default: as many as `frames` has. */
  readonly count?: number;
}

export interface PredictionResult extends GenerationResult {
  /** The whole videos, the given frames as the model sees them: [count, frames, height, width, channels] in [0, 1]. */
  readonly pixels: Tensor<'float32'>;
  /** The frames after the given ones: [count, frames - given, height, width, channels] in [0, 1]. */
  readonly predicted: Tensor<'float32'>;
}

/** Pixels to tokens and back. */
export interface Codec {
  encode(pixels: Tensor<'float32'>): Promise<Tensor<'int32'>>;
  decode(tokens: Tensor<'int32'>): Promise<Tensor<'float32'>>;
}

/** [given, height, width, channels] of what a model predicts from. @throws MagnetsError ERR_UNSUPPORTED if it does not. */
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
function selectFrames(pixels: Tensor<'float32'>, numbers: readonly number[]): Tensor<'float32'> {
  const [samples, frames, ...frame] = pixels.dims as [number, number, ...number[]];
  const size = frame.reduce((product, extent) => product * extent, 1);
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
export function framesAfter(pixels: Tensor<'float32'>, given: number): Tensor<'float32'> {
  const numbers = Array.from({ length: pixels.dims[1]! - given }, (_, i) => given + i);
  return selectFrames(pixels, numbers);
}

/** The given frames as a whole video for the tokenizer: the last of them again and again. */
function padded(frames: Tensor<'float32'>, total: number): Tensor<'float32'> {
  const last = frames.dims[1]! - 1;
  return selectFrames(
    frames,
    Array.from({ length: total }, (_, i) => Math.min(i, last)),
  );
}

/** Tokens [samples, N] -> the first n of each, of `count` samples in turn: [count, n]. */
function firstTokens({ data, dims }: Tensor<'int32'>, n: number, count: number): Int32Array {
  const [samples, length] = dims as [number, number];
  const result = new Int32Array(count * n);
  for (let i = 0; i < count; ++i) {
    const start = (i % samples) * length;
    result.set(data.subarray(start, start + n), i * n);
  }
  return result;
}

export class Prediction extends Generation {
  readonly #given: number;

  /** Use {@link Model.predict}. */
  constructor(
    config: GeneratorConfig,
    tokenizer: TokenizerConfig | undefined,
    generator: NativeGenerator,
    codec: Codec,
    options: PredictOptions,
  ) {
    const shape = givenShape(config, tokenizer);
    const { sampleShape, patchShape } = tokenizer!;
    const { frames } = options;
    if (!(frames instanceof Tensor) || frames.type !== 'float32') {
      throw wrongType('frames', 'a float32 tensor', frames);
    }
    if (frames.size === 0 || frames.dims.slice(1).join() !== shape.join()) {
      throw wrongValue('frames', `[samples, ${shape.join(', ')}]`, frames.dims);
    }
    const count = options.count ?? frames.dims[0]!;
    const [, rows, columns] = config.latentShape;
    // The positions of all latent frames that the given ones reach into.
    const positions = Math.ceil(shape[0] / patchShape[0]) * rows * columns;
    const condition = async () =>
      firstTokens(await codec.encode(padded(frames, sampleShape[0])), positions, count);
    // Trained without a class, so that the two halves of guidance would be the same.
    const own = { labels: [null], count, tokens: undefined, guidanceScale: 0 };
    super(config, generator, codec.decode, { ...options, ...own }, condition);
    this.#given = shape[0];
  }

  /** As of a generation, and the predicted frames. */
  override async result(): Promise<PredictionResult> {
    const result = await super.result();
    const pixels = result.pixels!;
    return { ...result, pixels, predicted: framesAfter(pixels, this.#given) };
  }
}
