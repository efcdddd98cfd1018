/** Reads PNG files with other code than the package's, which uses fast-png: zlib and the specification alone. */

import { crc32, inflateSync } from 'node:zlib';

export interface Png {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** Decodes a PNG of 8 bits, gray or RGB, neither filtered nor interlaced; refuses every other. */
export function readPng(bytes: Uint8Array): Png {
  const file = Buffer.from(bytes);
  if (file.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n') throw new Error('no signature');
  let header: Buffer | undefined;
  const compressed: Buffer[] = [];
  let last = '';
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const body = file.subarray(at + 4, at + 8 + length);
    if (file.readUInt32BE(at + 8 + length) !== crc32(body)) throw new Error('wrong checksum');
    last = body.toString('latin1', 0, 4);
    if (last === 'IHDR') header = body.subarray(4);
    if (last === 'IDAT') compressed.push(body.subarray(4));
    at += 12 + length;
  }
  if (header === undefined || last !== 'IEND') throw new Error('no IHDR or no IEND');
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [bits, color, compression, filter, interlace] = header.subarray(8);
  const channels = color === 0 ? 1 : 3;
  const others = compression || filter || interlace;
  if (bits !== 8 || (color !== 0 && color !== 2) || others) throw new Error('another kind of PNG');

  const rows = inflateSync(Buffer.concat(compressed));
  const length = width * channels;
  if (rows.length !== height * (1 + length)) throw new Error('wrong number of bytes');
  const data = new Uint8Array(height * length);
  for (let y = 0; y < height; ++y) {
    const start = y * (1 + length);
    if (rows[start] !== 0) throw new Error('a filtered row');
    data.set(rows.subarray(start + 1, start + 1 + length), y * length);
  }
  return { width, height, channels, data };
}
