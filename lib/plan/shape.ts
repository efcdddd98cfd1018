/** The size of a generator: everything that FLOPs and plans depend on. */

import {
  boolean,
  elements,
  integer,
  isList,
  isObject,
  oneOf,
  wrongType,
  wrongValue,
} from '../errors.js';
import type { Recipe } from './recipe.js';

/** A nested sub-model: the first `heads` attention heads and the first `hidden` MLP units of every layer. */
export interface Width {
  /** `'1/8'`, …, `'1'`. */
  readonly name: string;
  readonly heads: number;
  readonly hidden: number;
}

/** The gate of an MLP: none, or act(gate(x)) · up(x) in place of act(up(x)). */
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
  /** V, the rows of the embedding table and, where they are tied, the columns of the LM head. */
  readonly vocabSize: number;
  /** Sub-tokens of a token, which are masked and drawn by themselves (MaskBit). Default 1. */
  readonly subTokens?: number;
  /** The output matrix of the LM head is the embedding table; else it has the codes' columns alone. Default true. */
  readonly tied?: boolean;
  /** The token grid [frames, height, width]. */
  readonly latentShape: readonly [number, number, number];
  /** From the narrowest to the full width. */
  readonly widths: readonly Width[];
  /** Schedules by name, from the `schedules.json` of a checkpoint. */
  readonly schedules?: Readonly<Record<string, string>>;
  /** The model's own way to sample, from the config of a checkpoint. */
  readonly sampling?: Recipe;
}

/** A sample has at most this many token positions. */
export const mostTokens = 2 ** 16;

/** A model has at most this many widths. */
export const mostWidths = 64;

/** No model is near this. */
const mostExtent = 2 ** 30;

function checkExtents(name: string, value: unknown): void {
  const expected = 'three positive integers [frames, height, width]';
  if (!isList(value)) throw wrongType(name, expected, value);
  const valid = value.length === 3 && value.every((n) => Number.isInteger(n) && n > 0 && n <= 4096);
  if (!valid) throw wrongValue(name, expected, value);
}

/** Checks that `value` is a width: its heads and hidden units, and its name where it has one. */
export function checkWidth(name: string, value: unknown): void {
  if (!isObject(value)) throw wrongType(name, 'a width', value);
  const width = value as Partial<Record<keyof Width, unknown>>;
  if (width.name !== undefined && typeof width.name !== 'string') {
    throw wrongType(`${name}.name`, 'a string', width.name);
  }
  integer(`${name}.heads`, width.heads, 1, mostExtent);
  integer(`${name}.hidden`, width.hidden, 1, mostExtent);
}

function checkWidths(name: string, value: unknown): void {
  const expected = 'a list of at least one width';
  if (!isList(value) || value.length === 0) throw wrongType(name, expected, value);
  elements(name, value, mostWidths).forEach((width: Partial<Width> | undefined, i) => {
    checkWidth(`${name}[${i}]`, width);
    if (width?.name === undefined) throw wrongType(`${name}[${i}].name`, 'a string', width?.name);
  });
}

function checkObject(name: string, value: unknown): void {
  if (value !== undefined && !isObject(value)) {
    throw wrongType(name, 'an object', value);
  }
}

const extent = (least: number) => (name: string, value: unknown) =>
  integer(name, value, least, mostExtent);

const checks = {
  layers: extent(1),
  hiddenSize: extent(1),
  heads: extent(1),
  headDim: extent(1),
  intermediateSize: extent(1),
  codebookSize: extent(2),
  vocabSize: extent(1),
  subTokens: (name, value) => value === undefined || integer(name, value, 1, 8),
  mlpGate: (name, value) => value === undefined || oneOf(name, value, mlpGates),
  modulation: (name, value) => value === undefined || oneOf(name, value, modulations),
  head: (name, value) => value === undefined || oneOf(name, value, headKinds),
  tied: (name, value) => value === undefined || boolean(name, value),
  latentShape: checkExtents,
  widths: checkWidths,
  schedules: checkObject,
  sampling: checkObject,
} as const satisfies Partial<Record<keyof ModelShape, (name: string, value: unknown) => unknown>>;

type Checked = keyof typeof checks;

/** Checks these keys of what is to be the shape of a model. @throws TypeError, RangeError */
export function checkShape(value: unknown, ...keys: readonly Checked[]): void {
  if (!isObject(value)) {
    throw wrongType('model', "the shape of a model, such as presets.L or a model's config,", value);
  }
  for (const key of keys) checks[key](key, (value as Partial<ModelShape>)[key]);
}

/** Checks all of a shape that plans look at. */
export function checkWholeShape(value: unknown): void {
  checkShape(value, ...(Object.keys(checks) as Checked[]));
}

/** N, the number of token positions of one sample, without the class token or register. */
export function tokenCount(shape: Pick<ModelShape, 'latentShape'>): number {
  checkShape(shape, 'latentShape');
  const [frames, height, width] = shape.latentShape;
  return frames * height * width;
}

/** The number of sub-tokens of one sample; N where a token has one. */
export function subTokenCount(shape: Pick<ModelShape, 'latentShape' | 'subTokens'>): number {
  return tokenCount(shape) * (shape.subTokens ?? 1);
}

/** S = N + 1, the number of rows of one sequence: the class token or register, then the grid. */
export function sequenceLength(shape: Pick<ModelShape, 'latentShape'>): number {
  return tokenCount(shape) + 1;
}

/** The last and widest of the widths: the whole model. */
export function fullWidth(shape: Pick<ModelShape, 'widths'>): Width {
  checkShape(shape, 'widths');
  return shape.widths[shape.widths.length - 1]!;
}
