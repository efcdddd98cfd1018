/**
 * The Halton order (Besnier et al., arXiv 2503.17076): positions of a grid as the points of a two-dimensional Halton
 * sequence visit them, so that positions which are revealed together lie far apart.
 */

import { coded, integer, wrongValue } from '../errors.js';
import { philox } from './philox.js';
import { mostTokens } from './shape.js';

/** The digits of `number` in `base`, mirrored at the point, as the fraction [numerator, denominator]: 6 = 110 -> 011 = 3/8. */
function mirrored(number: number, base: number): [numerator: number, denominator: number] {
  let numerator = 0;
  let denominator = 1;
  for (let rest = number; rest > 0; rest = Math.floor(rest / base)) {
    numerator = numerator * base + (rest % base);
    denominator *= base;
  }
  return [numerator, denominator];
}

/**
 * Every position of a grid (row · width + column), in the order in which the points 1, 2, ... first fall into its cell:
 * rows by base 2, columns by base 3.
 */
export function haltonOrder(height: number, width: number): Int32Array {
  return coded(() => {
    integer('height', height, 1, 4096);
    integer('width', width, 1, 4096);
    if (height * width > mostTokens) {
      throw wrongValue(
        'height',
        `at most ${mostTokens} positions with a width of ${width}`,
        height,
      );
    }
    const order = new Int32Array(height * width);
    const visited = new Uint8Array(height * width);
    const cell = (point: number, base: number, extent: number) => {
      const [numerator, denominator] = mirrored(point, base);
      return Math.floor((extent * numerator) / denominator);
    };
    for (let point = 1, count = 0; count < order.length; ++point) {
      const position = cell(point, 2, height) * width + cell(point, 3, width);
      if (visited[position]) continue;
      visited[position] = 1;
      order[count++] = position;
    }
    return order;
  });
}

/** The block of Philox that rolls an order. */
const orderBlock = 0xfffffffe;

/** Where the order of a sample begins when it is rolled: a number of 0 .. length - 1, drawn by its seed and number. */
export function orderShift(seed: bigint, sample: number, length: number): number {
  const [bits] = philox([orderBlock, 0, 0, sample], seed);
  return Math.floor((bits / 2 ** 32) * length);
}

/**
 * The turn of every masked position of a sample: how many positions stay masked when it is revealed, in an order that
 * begins at its entry `shift` and leaves out what is known. 0 for known positions.
 */
export function turnsOf(order: Int32Array, masked: Uint8Array, shift = 0): Int32Array {
  const turns = new Int32Array(order.length);
  let left = masked.reduce((sum, flag) => sum + flag, 0);
  for (let i = 0; i < order.length; ++i) {
    const position = order[(shift + i) % order.length]!;
    if (masked[position]) turns[position] = --left;
  }
  return turns;
}
