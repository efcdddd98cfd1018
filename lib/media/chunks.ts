/** The chunks that a PNG file is made of (PNG specification, third edition, 5). Gray or RGB of 8 bits. */

import { crc32 } from 'node:zlib';
import type { PictureSize } from './pixels.js';

/** The first eight bytes of every PNG file. */
export const signature = Buffer.from('89504e470d0a1a0a', 'hex');

/** PNG's number for gray and for RGB, by channels. */
const colorTypes = { 1: 0, 3: 2 } as const;

/** Unsigned integers of 32 bits, most significant byte first. */
export function integers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value, 4 * i);
  });
  return bytes;
}

/** One chunk: length of the data, type, data, checksum. */
export function chunk(type: string, ...data: Uint8Array[]): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), ...data]);
  return Buffer.concat([integers(body.length - 4), body, integers(crc32(body))]);
}

/** The data of the chunk IHDR: size, 8 bits, color type, compression, filter, interlace. */
export function headerData({ width, height, channels }: PictureSize, interlace = 0): Buffer {
  return Buffer.concat([
    integers(width, height),
    Buffer.of(8, colorTypes[channels], 0, 0, interlace),
  ]);
}

/**
 * Type and data of each chunk of a file, checked as far as it is read: length, type and checksum.
 * @throws Error that says what is wrong.
 */
export function* chunksOf(file: Buffer): Generator<{ type: string; data: Buffer }> {
  if (!file.subarray(0, signature.length).equals(signature)) throw new Error('it is no PNG');
  for (let at = signature.length; at < file.length; ) {
    const length = at + 12 <= file.length ? file.readUInt32BE(at) : 0;
    const start = at + 8;
    const end = start + length;
    if (end + 4 > file.length) throw new Error('it ends within a chunk');
    const type = file.toString('latin1', at + 4, start);
    if (!/^[A-Za-z]{4}$/.test(type)) throw new Error(`its chunk at byte ${at} has no sound type`);
    if (crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) {
      throw new Error(`its chunk ${type} at byte ${at} has a wrong checksum`);
    }
    yield { type, data: file.subarray(start, end) };
    at = end + 4;
  }
}
