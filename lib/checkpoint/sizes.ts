/** How large what a config describes may be: the engine counts elements in 32 bits. */

import type { Reader } from './reader.js';

/** The least that is added to a variance: without it a row of equal values is divided by 0. */
export const leastEps = 1e-20;

/** A sample has at most this many values: frames · height · width · channels. */
export const mostSampleValues = 2 ** 27;
/** A matrix of weights, and what one sample needs of each kind of memory, has at most this many values. */
const mostValues = 2 ** 31 - 1;

/** Refuses a config with something too large for 32-bit sizes; each entry is named by the key that is at fault. */
export function checkSizes(
  reader: Reader,
  sizes: readonly [key: string, what: string, size: number][],
) {
  for (const [key, what, size] of sizes) {
    if (size > mostValues) {
      reader.fail(key, `sizes with at most ${mostValues} values in ${what} (not ${size})`);
    }
  }
}
