/** The size of a generator: everything that FLOPs and plans depend on. */

import type { Recipe } from './recipe.js';

/** A nested sub-model: the first `heads` attention heads and the first `hidden` MLP units of every layer. */
export interface Width {
  /** `'1/8'`, …, `'1'`. */
  readonly name: string;
  readonly heads: number;
  readonly hidden: number;
}

/** Of an MLP: none, or act(gate(x)) · up(x) in place of act(up(x)). */
export const mlpGates = ['none', 'multiply'] as const;
export type MlpGate = (typeof mlpGates)[number];

/** By the class: none, or shift, scale and gate of every half of a block, and shift and scale of the last norm (adaLN). */
export const modulations = ['none', 'class'] as const;
export type Modulation = (typeof modulations)[number];

/** Before the output matrix: a dense layer with activation and norm (BERT), or nothing. */
export const headKinds = ['dense', 'plain'] as const;
export type Head = (typeof headKinds)[number];

export interface ModelShape {
  readonly name: string;
  readonly layers: number;
  /** d, the size of the residual stream; never sliced. */
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  /** Default `'none'`. */
  readonly mlpGate?: MlpGate;
  /** Default `'none'`. */
  readonly modulation?: Modulation;
  /** Default `'dense'`. */
  readonly head?: Head;
  /** C, the number of codes; a token is a number of 0 .. C - 1. */
  readonly codebookSize: number;
  /** V, the rows of the embedding table and the columns of the LM head. */
  readonly vocabSize: number;
  /** The token grid [frames, height, width]. */
  readonly latentShape: readonly [number, number, number];
  /** From the narrowest to the full width. */
  readonly widths: readonly Width[];
  /** Schedules by name, from the `schedules.json` of a checkpoint. */
  readonly schedules?: Readonly<Record<string, string>>;
  /** The model's own way to sample, from the config of a checkpoint. */
  readonly sampling?: Recipe;
}

/** N, the number of token positions of one sample, without the class token or register. */
export function tokenCount(shape: Pick<ModelShape, 'latentShape'>): number {
  const [frames, height, width] = shape.latentShape;
  return frames * height * width;
}

/** S = N + 1, the number of rows of one sequence: the class token or register, then the grid. */
export function sequenceLength(shape: Pick<ModelShape, 'latentShape'>): number {
  return tokenCount(shape) + 1;
}

/** The last and widest of the widths: the whole model. */
export function fullWidth(shape: Pick<ModelShape, 'widths'>): Width {
  return shape.widths[shape.widths.length - 1]!;
}
