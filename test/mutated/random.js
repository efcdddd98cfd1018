// Choices that depend on a case's number alone, so that a case that fails can be run again by its number.

export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0; // mulberry32
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in 0 .. count - 1. @param {number} count */
  below(count) {
    return Math.floor(this.next() * count);
  }

  /** One of these. @template T @param {readonly T[]} choices @returns {T} */
  of(choices) {
    return /** @type {T} */ (choices[this.below(choices.length)]);
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /** Bytes of noise. @param {number} count */
  bytes(count) {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }
}

/**
 * Bytes damaged without any knowledge of what they mean: flipped, overwritten, cut, repeated, moved.
 * @param {Buffer} bytes @param {Random} random
 */
export function damaged(bytes, random) {
  const from = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, from + 1 + random.below(random.of([4, 64, bytes.length + 1])));
  const [before, between, after] = [
    bytes.subarray(0, from),
    bytes.subarray(from, to),
    bytes.subarray(to),
  ];
  switch (random.below(7)) {
    case 0: {
      const copy = Buffer.from(bytes);
      const flips = random.of([1, 1, 1, 2, 8, 64]);
      for (let i = 0; i < flips && copy.length > 0; ++i) {
        const at = random.below(copy.length);
        copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at);
      }
      return copy;
    }
    case 1:
      return Buffer.from(before);
    case 2:
      return Buffer.concat([before, random.bytes(between.length % 64), after]);
    case 3:
      return Buffer.concat([before, after]);
    case 4:
      return Buffer.concat([before, between, between, after]);
    case 5:
      return Buffer.concat([between, before, after]);
    default:
      return Buffer.concat([bytes, random.bytes(1 + random.below(64))]);
  }
}
