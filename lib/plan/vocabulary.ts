/**
 * The vocabulary of a generator with C codes and K classes. No other file computes with these ids.
 *
 * Where classes are tokens, V = C + K + 2: codes 0 .. C - 1, classes C .. C + K - 1, then "no class" (the null class, of
 * the unconditional branch of guidance) and [MASK]. A model without a null class has one id less. Where classes modulate
 * the blocks they are no tokens but rows of a table, 0 .. K - 1 and then the null class; V = C + 2: codes, the register
 * that stands at position 0 of every sequence, and [MASK].
 *
 * Where a token has g sub-tokens, the digits of its number to the base C^(1/g), the least first, codes are those of the
 * sub-tokens: g · C^(1/g) ids take the place of C, digit d of sub-token j is j · C^(1/g) + d.
 */

import { boolean, integer, isObject, oneOf, wrongType, wrongValue } from '../errors.js';
import { type ModelShape, type Modulation, modulations } from './shape.js';

export interface Vocabulary {
  /** C */
  readonly codebookSize: number;
  /** K */
  readonly classes: number;
  /** Default true. */
  readonly nullClass?: boolean;
  /** Default `'none'`: classes are tokens. */
  readonly modulation?: Modulation;
  /** g, sub-tokens of a token; C is a g-th power. Default 1. */
  readonly subTokens?: number;
}

type Codes = Pick<Vocabulary, 'codebookSize' | 'subTokens'>;

/** C^(1/g), the number of digits that a sub-token can be. */
export function digitCount({ codebookSize, subTokens = 1 }: Codes): number {
  return subTokens === 1 ? codebookSize : Math.round(codebookSize ** (1 / subTokens));
}

/** The number of ids that are codes: C, or those of all sub-tokens. */
export function codeCount(codes: Codes): number {
  return (codes.subTokens ?? 1) * digitCount(codes);
}

/** The id of sub-token `part` (0 .. g - 1) of a token. */
export function codeId(vocabulary: Vocabulary, token: number, part: number): number {
  const base = digitCount(vocabulary);
  return part * base + (Math.floor(token / base ** part) % base);
}

/** The token whose sub-tokens have the ids from `first` on: the inverse of {@link codeId}. */
export function tokenAt(vocabulary: Vocabulary, ids: Int32Array, first: number): number {
  const base = digitCount(vocabulary);
  let token = 0;
  for (let part = (vocabulary.subTokens ?? 1) - 1; part >= 0; --part) {
    token = token * base + ids[first + part]! - part * base;
  }
  return token;
}

/** Checks that `value` is a vocabulary. @throws TypeError, RangeError */
function check(value: Vocabulary): void {
  if (!isObject(value)) {
    throw wrongType('vocabulary', 'an object { codebookSize, classes, ... }', value);
  }
  integer('codebookSize', value.codebookSize, 1, 2 ** 20);
  integer('classes', value.classes, 0, 2 ** 20);
  if (value.nullClass !== undefined) boolean('nullClass', value.nullClass);
  if (value.modulation !== undefined) oneOf('modulation', value.modulation, modulations);
  if (value.subTokens !== undefined) integer('subTokens', value.subTokens, 1, 8);
}

/** K, and one more for the null class. */
export function classRows({ classes, nullClass = true }: Vocabulary): number {
  return classes + (nullClass ? 1 : 0);
}

/** V, the number of ids. */
export function vocabularySize(vocabulary: Vocabulary): number {
  return maskId(vocabulary) + 1;
}

/** The columns of the LM head: the whole vocabulary, or the codes where its matrix is its own. */
export function logitsColumns(
  shape: Pick<ModelShape, 'codebookSize' | 'vocabSize' | 'subTokens' | 'tied'>,
): number {
  return (shape.tied ?? true) ? shape.vocabSize : codeCount(shape);
}

/**
 * What the engine knows class `index` (0 .. K - 1) by, or the null class (null): an id of the vocabulary, or a row of the
 * class table. @throws RangeError for null where there is no null class.
 */
export function classId(vocabulary: Vocabulary, index: number | null): number {
  check(vocabulary);
  const { classes, nullClass = true, modulation } = vocabulary;
  if (index !== null) integer('index', index, 0, classes - 1);
  if (index === null && !nullClass) {
    throw wrongValue('label', 'a class (this model has no null class)', index);
  }
  return (modulation === 'class' ? 0 : codeCount(vocabulary)) + (index ?? classes);
}

/** The id at position 0 where classes are no tokens. */
export function registerId(vocabulary: Vocabulary): number {
  return codeCount(vocabulary);
}

/** The id of [MASK]. */
export function maskId(vocabulary: Vocabulary): number {
  check(vocabulary);
  const { modulation } = vocabulary;
  return codeCount(vocabulary) + (modulation === 'class' ? 1 : classRows(vocabulary));
}

/** K of a vocabulary of V ids whose classes are tokens and that has a null class: the inverse of {@link vocabularySize}. */
export function classCount(sizes: { codebookSize: number; vocabSize: number }): number {
  return sizes.vocabSize - sizes.codebookSize - 2;
}
