/**
 * The vocabulary of a generator with C codes and K classes. No other file computes with these ids.
 *
 * Where classes are tokens, V = C + K + 2: codes 0 .. C - 1, classes C .. C + K - 1, then "no class" (the null class, of
 * the unconditional branch of guidance) and [MASK]. A model without a null class has one id less. Where classes modulate
 * the blocks they are no tokens but rows of a table, 0 .. K - 1 and then the null class; V = C + 2: codes, the register
 * that stands at position 0 of every sequence, and [MASK].
 */

import { wrongValue } from '../errors.js';
import type { Modulation } from './shape.js';

export interface Vocabulary {
  /** C */
  readonly codebookSize: number;
  /** K */
  readonly classes: number;
  /** Default true. */
  readonly nullClass?: boolean;
  /** Default `'none'`: classes are tokens. */
  readonly modulation?: Modulation;
}

/** K, and one more for the null class. */
export function classRows({ classes, nullClass = true }: Vocabulary): number {
  return classes + (nullClass ? 1 : 0);
}

/** V, the number of ids. */
export function vocabularySize(vocabulary: Vocabulary): number {
  return maskId(vocabulary) + 1;
}

/**
 * What the engine knows class `index` (0 .. K - 1) by, or the null class (null): an id of the vocabulary, or a row of the
 * class table. @throws RangeError for null where there is no null class.
 */
export function classId(vocabulary: Vocabulary, index: number | null): number {
  const { codebookSize, classes, nullClass = true, modulation } = vocabulary;
  if (index === null && !nullClass) {
    throw wrongValue('label', 'a class (this model has no null class)', index);
  }
  return (modulation === 'class' ? 0 : codebookSize) + (index ?? classes);
}

/** The id at position 0 where classes are no tokens. */
export function registerId({ codebookSize }: Vocabulary): number {
  return codebookSize;
}

/** The id of [MASK]. */
export function maskId(vocabulary: Vocabulary): number {
  const { codebookSize, modulation } = vocabulary;
  return codebookSize + (modulation === 'class' ? 1 : classRows(vocabulary));
}

/** K of a vocabulary of V ids whose classes are tokens and that has a null class: the inverse of {@link vocabularySize}. */
export function classCount(sizes: { codebookSize: number; vocabSize: number }): number {
  return sizes.vocabSize - sizes.codebookSize - 2;
}
