/** What a generation gives: its steps as they run, and its result. */

import { MagnetsError } from '../errors.js';
import { type FlopsByPart, totalFlops } from '../plan/flops.js';
import type { Tensor } from '../tensor.js';
import type { Label } from './ids.js';
import type { Pixels } from './tokenizer.js';

/** The state after one step of one batch. */
export interface GenerationStep {
  /** Of this batch, from 0. */
  readonly step: number;
  /** Steps of this batch. */
  readonly steps: number;
  /** From 0. */
  readonly batch: number;
  /** Batches of the generation. */
  readonly batches: number;
  /** The name of the sub-model, such as `'1/8'`. */
  readonly width: string;
  readonly refresh: boolean;
  /** Rows through the layers, of all samples of the batch and both branches. */
  readonly activeRows: number;
  /** Positions of all samples that are masked after the step, those of later batches included. */
  readonly masked: number;
  /** FLOPs of the step, summed over what was launched. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** [count, N] of all samples, -1 where masked. */
  readonly tokens: Tensor<'int32'>;
}

/** What a generation ended with; {@link GenerationResult} documents the fields. */
export interface Outcome {
  readonly tokens: Tensor<'int32'>;
  /** Or why there are none. */
  readonly pixels: Pixels | MagnetsError;
  readonly labels: readonly Label[];
  readonly seed: number | bigint;
  readonly plan: { readonly schedule: string; readonly steps: number };
  readonly parts: FlopsByPart;
  readonly baselineFlops: number;
  readonly tokenizerFlops: number;
  readonly seconds: number;
}

export class GenerationResult {
  /** [count, N] */
  readonly tokens: Tensor<'int32'>;
  /** One for each sample. */
  readonly labels: readonly Label[];
  /** The seed that was given or drawn: with it the same options give the same samples. */
  readonly seed: number | bigint;
  /** The steps that ran, of the samples that took most: their widths, such as `'1/8x3,1x9'`, and their number. */
  readonly plan: { readonly schedule: string; readonly steps: number };
  /** The transformer's FLOPs, summed over what was launched, of all samples and both branches; of a shared batch its share. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** FLOPs of the full-size baseline for the same samples, steps and guidance. */
  readonly baselineFlops: number;
  /** baselineFlops / flops */
  readonly flopsRatio: number;
  /** The tokenizer's FLOPs: detokenizing, and tokenizing the frames that a prediction is given. 0 without a tokenizer. */
  readonly tokenizerFlops: number;
  /** Wall time of the batches it took part in, and of tokenizing the frames that a prediction is given. */
  readonly seconds: number;
  readonly #pixels: Pixels | MagnetsError;

  constructor(outcome: Outcome) {
    this.tokens = outcome.tokens;
    this.labels = outcome.labels;
    this.seed = outcome.seed;
    this.plan = outcome.plan;
    this.flops = totalFlops(outcome.parts);
    this.parts = outcome.parts;
    this.baselineFlops = outcome.baselineFlops;
    this.flopsRatio = this.flops === 0 ? 1 : this.baselineFlops / this.flops;
    this.tokenizerFlops = outcome.tokenizerFlops;
    this.seconds = outcome.seconds;
    this.#pixels = outcome.pixels;
  }

  /**
   * [count, height, width, channels], of videos [count, frames, height, width, channels], in [0, 1].
   * @throws MagnetsError ERR_UNSUPPORTED when the model has no tokenizer, ERR_STATE when the result was asked for without
   * pixels.
   */
  get pixels(): Pixels {
    if (this.#pixels instanceof MagnetsError) throw this.#pixels;
    return this.#pixels;
  }
}
