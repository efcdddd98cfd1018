/**
 * The vocabulary of a generator with C codes and K classes, V = C + K + 2 ids: codes 0 .. C - 1, classes C .. C + K - 1,
 * then "no class" (the unconditional branch of guidance) and [MASK]. No other file computes with these ids.
 */

export interface Vocabulary {
  /** C */
  readonly codebookSize: number;
  /** K */
  readonly classes: number;
}

/** V, the number of ids. */
export function vocabularySize({ codebookSize, classes }: Vocabulary): number {
  return codebookSize + classes + 2;
}

/** The id of class `index` (0 .. K - 1), or of "no class" (null). */
export function classId({ codebookSize, classes }: Vocabulary, index: number | null): number {
  return codebookSize + (index ?? classes);
}

/** The id of [MASK]. */
export function maskId({ codebookSize, classes }: Vocabulary): number {
  return codebookSize + classes + 1;
}

/** K of a vocabulary of V ids: the inverse of {@link vocabularySize}. */
export function classCount(sizes: { codebookSize: number; vocabSize: number }): number {
  return sizes.vocabSize - sizes.codebookSize - 2;
}
