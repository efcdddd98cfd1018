// Mutated PNG and APNG files: damaged as bytes, or changed with sound checksums, so that what lies behind them is reached.

import { crc32, deflateSync } from 'node:zlib';
import { damaged } from './random.js';

/**
 * @typedef {import('./random.js').Random} Random
 * @typedef {{ type: string, data: Buffer, crc?: number }} Chunk
 * @typedef {{ width: number, height: number, channels: 1 | 3 }} Size
 * @typedef {{ bytes: Buffer, size: Size, frames: number, repaired: boolean, original: Buffer }} Picture
 *   `repaired` is false where nobody took care that the checksums are right
 */

const signature = Buffer.from('89504e470d0a1a0a', 'hex');

/** @param {...number} values */
function integers(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, 4 * i);
  });
  return bytes;
}

/** @param {readonly Chunk[]} chunks */
function assemble(chunks) {
  const pieces = chunks.flatMap(({ type, data, crc }) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    return [integers(data.length), body, integers(crc ?? crc32(body))];
  });
  return Buffer.concat([signature, ...pieces]);
}

const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** Rows of noise with filters of every kind. @param {Size} size @param {number} interlace @param {Random} random */
function rows({ width, height, channels }, interlace, random) {
  const all = interlace === 0 ? [[0, 0, 1, 1]] : passes;
  const pieces = all.flatMap(([x = 0, y = 0, dx = 1, dy = 1]) => {
    const columns = Math.ceil((width - x) / dx);
    const lines = Math.ceil((height - y) / dy);
    if (columns <= 0 || lines <= 0) return [];
    return Array.from({ length: lines }, () =>
      Buffer.concat([Buffer.of(random.below(5)), random.bytes(columns * channels)]),
    );
  });
  return Buffer.concat(pieces);
}

/** @param {Size} size @param {number} interlace */
function header({ width, height, channels }, interlace) {
  return Buffer.concat([
    integers(width, height),
    Buffer.of(8, channels === 1 ? 0 : 2, 0, 0, interlace),
  ]);
}

/** A zlib stream in one or more chunks. @param {Buffer} stream @param {Random} random */
function pieces(stream, random) {
  const at = random.chance(0.5) ? stream.length : random.below(stream.length);
  return [stream.subarray(0, at), stream.subarray(at)].filter((piece) => piece.length > 0);
}

/** A sound file. @param {Size} size @param {number} frames 0 for a PNG @param {Random} random @returns {Chunk[]} */
function sound(size, frames, random) {
  const interlace = random.below(2);
  let sequence = 0;
  /** @param {Size} size */
  const pixels = (size) => deflateSync(rows(size, interlace, random));
  /** @param {Size} size @param {number} x @param {number} y @returns {Chunk} */
  const control = ({ width, height }, x, y) => ({
    type: 'fcTL',
    data: Buffer.concat([
      integers(sequence++, width, height, x, y),
      Buffer.of(0, 1, 0, 8, random.below(3), random.below(2)),
    ]),
  });
  /** @type {Chunk[]} */
  const chunks = [{ type: 'IHDR', data: header(size, interlace) }];
  if (random.chance(0.3)) chunks.push({ type: 'tEXt', data: Buffer.from('Title\0none') });
  if (frames > 0) chunks.push({ type: 'acTL', data: integers(frames, 0) });
  const hidden = frames > 0 && random.chance(0.2); // the first picture is none of the frames
  if (frames > 0 && !hidden) chunks.push(control(size, 0, 0));
  for (const data of pieces(pixels(size), random)) chunks.push({ type: 'IDAT', data });
  for (let frame = hidden ? 0 : 1; frame < frames; ++frame) {
    const x = random.below(size.width);
    const y = random.below(size.height);
    const own = { ...size, width: size.width - x, height: size.height - y };
    chunks.push(control(own, x, y));
    for (const data of pieces(pixels(own), random)) {
      chunks.push({ type: 'fdAT', data: Buffer.concat([integers(sequence++), data]) });
    }
  }
  chunks.push({ type: 'IEND', data: Buffer.alloc(0) });
  return chunks;
}

const types = [
  'IHDR',
  'PLTE',
  'IDAT',
  'IEND',
  'acTL',
  'fcTL',
  'fdAT',
  'tEXt',
  'ABCD',
  'aBCd',
  '\0\0\0\0',
];
const oddIntegers = [0, 1, 2, 255, 65535, 65536, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** One change that keeps checksums right. @param {Chunk[]} chunks @param {Random} random */
function change(chunks, random) {
  const at = random.below(chunks.length);
  const chunk = /** @type {Chunk} */ (chunks[at]);
  switch (random.below(9)) {
    case 0:
      chunks.splice(at, 1);
      break;
    case 1:
      chunks.splice(random.below(chunks.length), 0, { ...chunk });
      break;
    case 2: {
      const other = random.below(chunks.length);
      [chunks[at], chunks[other]] = /** @type {[Chunk, Chunk]} */ ([chunks[other], chunks[at]]);
      break;
    }
    case 3:
      chunks[at] = { ...chunk, type: random.of(types) };
      break;
    case 4: {
      const data = Buffer.from(chunk.data);
      if (data.length >= 4) {
        data.writeUInt32BE(random.of(oddIntegers), 4 * random.below(Math.floor(data.length / 4)));
      }
      chunks[at] = { ...chunk, data };
      break;
    }
    case 5: {
      const inflated = random.bytes(random.of([0, 1, 7, 100, 5000]));
      const bomb = Buffer.alloc(random.of([1000, 2 ** 22]));
      const data = deflateSync(random.chance(0.5) ? inflated : bomb);
      chunks[at] = { ...chunk, data };
      break;
    }
    case 6:
      chunks.splice(at, 0, { type: random.of(types), data: random.bytes(random.below(40)) });
      break;
    default:
      chunks[at] = { ...chunk, data: damaged(chunk.data, random) };
  }
  return chunks;
}

/** @param {Random} random @param {boolean} animated @returns {Picture} */
export function mutatedPicture(random, animated) {
  /** @type {Size} */
  const size = {
    width: random.of([1, 2, 5, 8, 9, 32]),
    height: random.of([1, 3, 4, 8, 13]),
    channels: random.of(/** @type {const} */ ([1, 3])),
  };
  const frames = animated ? 1 + random.below(5) : 0;
  const chunks = sound(size, frames, random);
  const original = assemble(chunks);
  if (random.chance(0.35)) {
    const bytes = damaged(original, random);
    return { bytes, size, frames, repaired: false, original };
  }
  for (let i = random.of([1, 1, 2, 3]); i > 0 && chunks.length > 0; --i) change(chunks, random);
  return { bytes: assemble(chunks), size, frames, repaired: true, original };
}
