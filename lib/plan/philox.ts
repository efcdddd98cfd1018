/**
 * Philox4x32-10, the counter-based generator of all noise (native/ops/philox.h, which says who takes which block): here
 * for what a plan draws before anything runs.
 */

export type PhiloxBlock = readonly [number, number, number, number];

/** The high and the low 32 bits of a product of two numbers of 32 bits. */
function multiply(a: number, b: number): [high: number, low: number] {
  const low = a * (b & 0xffff); // both products are below 2^48, so that a double holds them
  const high = a * (b >>> 16) + Math.floor(low / 2 ** 16);
  return [Math.floor(high / 2 ** 16), Math.imul(a, b) >>> 0];
}

/** Four numbers of 32 bits for a counter of four, under a seed of 64 bits. */
export function philox(counter: PhiloxBlock, seed: bigint): PhiloxBlock {
  let [a, b, c, d] = counter;
  let key0 = Number(seed & 0xffffffffn);
  let key1 = Number(seed >> 32n);
  for (let round = 0; round < 10; ++round) {
    const [high0, low0] = multiply(0xd2511f53, a);
    const [high1, low1] = multiply(0xcd9e8d57, c);
    [a, b, c, d] = [(high1 ^ b ^ key0) >>> 0, low1, (high0 ^ d ^ key1) >>> 0, low0];
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}
