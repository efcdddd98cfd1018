/** The pixels in a zlib stream of a PNG (PNG specification, third edition, 8 to 10): 8 bits, gray or RGB. */

import { inflateSync } from 'node:zlib';
import { outOfMemory } from '../errors.js';
import type { PictureSize } from './pixels.js';

/** Every `step`-th pixel from `start` on, in both directions: what one pass over the picture holds. */
interface Pass {
  readonly start: readonly [x: number, y: number];
  readonly step: readonly [x: number, y: number];
}

/** One row after the other, or Adam7, by the header's number for the interlace method. */
const passes: readonly (readonly Pass[])[] = [
  [{ start: [0, 0], step: [1, 1] }],
  [
    { start: [0, 0], step: [8, 8] },
    { start: [4, 0], step: [8, 8] },
    { start: [0, 4], step: [4, 8] },
    { start: [2, 0], step: [4, 4] },
    { start: [0, 2], step: [2, 4] },
    { start: [1, 0], step: [2, 2] },
    { start: [0, 1], step: [1, 2] },
  ],
];

/** Inflates exactly `length` bytes; more are never unpacked. The stream's own checksum is checked on the way. */
function inflate(stream: Buffer, length: number): Buffer {
  let bytes: Buffer;
  let taken: number;
  try {
    const result = inflateSync(stream, { maxOutputLength: length, info: true }) as unknown;
    const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } };
    [bytes, taken] = [buffer, engine.bytesWritten];
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_BUFFER_TOO_LARGE') {
      throw outOfMemory(cause) ?? new Error(`its pixels are damaged: ${message}`);
    }
    throw new Error(`its pixels are more than ${length} bytes`);
  }
  if (bytes.length !== length) {
    throw new Error(`its pixels are ${bytes.length} bytes instead of ${length}`);
  }
  if (taken !== stream.length) throw new Error('it has bytes after its pixels');
  return bytes;
}

/** The one nearest to left + above - corner; of equally near ones the first of left, above and corner. */
function paeth(left: number, above: number, corner: number): number {
  const a = Math.abs(above - corner);
  const b = Math.abs(left - corner);
  const c = Math.abs(left + above - 2 * corner);
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

/** What each filter adds to a byte, of the bytes of the pixels to its left, above it, and above to the left. */
const filters: readonly ((left: number, above: number, corner: number) => number)[] = [
  () => 0,
  (left) => left,
  (_, above) => above,
  (left, above) => (left + above) >> 1,
  paeth,
];

/** Undoes the filter of a row in place; `above` is the row before, or zeros. */
function unfilter(filter: number, row: Buffer, above: Uint8Array, channels: number): void {
  const predict = filters[filter];
  if (predict === undefined) throw new Error(`it has a row with filter ${filter}`);
  if (filter === 0) return;
  for (let i = 0; i < channels; ++i) row[i] = row[i]! + predict(0, above[i]!, 0);
  for (let i = channels; i < row.length; ++i) {
    const left = i - channels;
    row[i] = row[i]! + predict(row[left]!, above[i]!, above[left]!);
  }
}

/** The size of a picture's pixels in bytes before they are compressed: each row has one more byte, for its filter. */
function rawLength({ width, height, channels }: PictureSize, interlace: number): number {
  return passes[interlace]!.reduce((sum, { start, step }) => {
    const columns = Math.ceil(Math.max(0, width - start[0]) / step[0]);
    const rows = Math.ceil(Math.max(0, height - start[1]) / step[1]);
    return sum + (columns === 0 ? 0 : rows * (1 + columns * channels));
  }, 0);
}

/** Puts the pixels of a row apart, so that the next one is `step` pixels on. */
function spread(row: Buffer, pixels: Uint8Array, step: number, channels: number): void {
  for (let from = 0, to = 0; from < row.length; from += channels, to += step * channels) {
    for (let channel = 0; channel < channels; ++channel) {
      pixels[to + channel] = row[from + channel]!;
    }
  }
}

/**
 * The pixels [height, width, channels] of a picture or of a frame's region.
 * @throws Error that says what is wrong.
 */
export function pixelsIn(stream: Buffer, size: PictureSize, interlace: number): Uint8Array {
  const { width, height, channels } = size;
  const raw = inflate(stream, rawLength(size, interlace));
  const pixels = new Uint8Array(height * width * channels);
  let at = 0;
  for (const { start, step } of passes[interlace]!) {
    const columns = Math.ceil(Math.max(0, width - start[0]) / step[0]);
    if (columns === 0) continue;
    let above: Uint8Array = new Uint8Array(columns * channels);
    for (let y = start[1]; y < height; y += step[1]) {
      const row = raw.subarray(at + 1, at + 1 + columns * channels);
      unfilter(raw[at]!, row, above, channels);
      if (step[0] === 1) pixels.set(row, y * width * channels);
      else spread(row, pixels.subarray((y * width + start[0]) * channels), step[0], channels);
      above = row;
      at += 1 + columns * channels;
    }
  }
  return pixels;
}
