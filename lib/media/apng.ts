/**
 * Animated PNG, gray or RGB of 8 bits. Its chunks are written and read here: fast-png writes no animation, and reads
 * a frame that is a part of the picture over black instead of over the frame before.
 */

import { crc32, deflateSync } from 'node:zlib';
import { decode, hasPngSignature, type PngDataArray } from 'fast-png';
import { MagnetsError } from '../errors.js';
import type { Picture } from './sheet.js';

type Size = Omit<Picture, 'data'>;

const signature = Buffer.from('89504e470d0a1a0a', 'hex');
const colorTypes = { 1: 0, 3: 2 } as const;

/** How a frame's region is left for the next frame (dispose_op). */
const disposals = { none: 0, background: 1, previous: 2 } as const;

function integers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value, 4 * i);
  });
  return bytes;
}

/** Length, type, data, check sum. */
function chunk(type: string, ...data: Uint8Array[]): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), ...data]);
  return Buffer.concat([integers(body.length - 4), body, integers(crc32(body))]);
}

/** The data of IHDR: size, 8 bits, color type, compression, filter, interlace. */
function headerOf({ width, height, channels }: Size, interlace = 0): Buffer {
  return Buffer.concat([
    integers(width, height),
    Buffer.of(8, colorTypes[channels], 0, 0, interlace),
  ]);
}

/** The rows, each after a byte that says: not filtered. */
function compress({ width, height, channels, data }: Picture): Buffer {
  const length = width * channels;
  const rows = Buffer.alloc(height * (1 + length));
  for (let y = 0; y < height; ++y) {
    rows.set(data.subarray(y * length, (y + 1) * length), y * (1 + length) + 1);
  }
  return deflateSync(rows);
}

/** Repeats for ever. frames: of one size, at least one. */
export function encodeApng(frames: readonly Picture[], fps: number): Uint8Array {
  let sequence = 0;
  const body = frames.flatMap((frame, i) => {
    const region = integers(sequence++, frame.width, frame.height, 0, 0);
    // The delay as a fraction of a second, then dispose_op and blend_op: leave it, replace it.
    const control = chunk('fcTL', region, Buffer.of(0, 1, fps >> 8, fps & 255, 0, 0));
    const pixels = compress(frame);
    return i === 0
      ? [control, chunk('IDAT', pixels)]
      : [control, chunk('fdAT', integers(sequence++), pixels)];
  });
  const start = [chunk('IHDR', headerOf(frames[0]!)), chunk('acTL', integers(frames.length, 0))];
  return Buffer.concat([signature, ...start, ...body, chunk('IEND')]);
}

interface Region {
  readonly width: number;
  readonly height: number;
  readonly x: number;
  readonly y: number;
}

/** One stored frame. */
interface Part extends Region {
  readonly disposal: number;
  /** A zlib stream in pieces. */
  readonly data: Buffer[];
}

function* chunksOf(file: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = signature.length; at + 12 <= file.length; ) {
    const start = at + 8;
    const end = start + file.readUInt32BE(at);
    yield { type: file.toString('latin1', at + 4, start), data: file.subarray(start, end) };
    at = end + 4;
  }
}

/** The stored frames of an APNG, or a PNG's only one, and what the file says of its pixels. */
function readParts(file: Buffer, { width, height }: Size): { parts: Part[]; header: Buffer } {
  let header: Buffer = Buffer.alloc(0);
  const still: Part = { width, height, x: 0, y: 0, disposal: disposals.none, data: [] };
  const parts: Part[] = [];
  for (const { type, data } of chunksOf(file)) {
    if (type === 'IHDR') header = data;
    if (type === 'IDAT') (parts.at(-1) ?? still).data.push(data);
    if (type === 'fdAT') parts.at(-1)?.data.push(data.subarray(4));
    if (type === 'fcTL') {
      parts.push({
        width: data.readUInt32BE(4),
        height: data.readUInt32BE(8),
        x: data.readUInt32BE(12),
        y: data.readUInt32BE(16),
        disposal: data.readUInt8(24),
        data: [],
      });
    }
  }
  return { parts: parts.length > 0 ? parts : [still], header };
}

/** Replaces a region of the canvas; without an alpha channel both of APNG's ways to blend do. */
function replace(canvas: Picture, region: Region, pixels: PngDataArray): void {
  const { width, channels, data } = canvas;
  const length = region.width * channels;
  for (let row = 0; row < region.height; ++row) {
    const start = ((region.y + row) * width + region.x) * channels;
    data.set(pixels.subarray(row * length, (row + 1) * length), start);
  }
}

function readFrames(file: Buffer, size: Size): Picture[] {
  const { width, height, channels } = size;
  if (!hasPngSignature(file)) throw new Error('it is no PNG');
  const { parts, header } = readParts(file, size);
  const [interlace] = header.subarray(12);
  if (!header.equals(headerOf(size, interlace))) {
    const [w, h] = [0, 4].map((at) => header.readUInt32BE(at));
    const [bits, colors] = header.subarray(8);
    throw new Error(`it has ${w} x ${h} pixels of ${bits} bits and PNG's color type ${colors}`);
  }

  const canvas = { ...size, data: new Uint8Array(width * height * channels) };
  return parts.map((part) => {
    if (part.x + part.width > width || part.y + part.height > height) {
      throw new Error('it has a frame that is larger than the picture');
    }
    const before = canvas.data.slice();
    const png = [
      chunk('IHDR', headerOf({ ...part, channels }, interlace)),
      chunk('IDAT', ...part.data),
    ];
    replace(canvas, part, decode(Buffer.concat([signature, ...png, chunk('IEND')])).data);
    const frame = { ...size, data: canvas.data.slice() };
    if (part.disposal === disposals.background) {
      replace(canvas, part, new Uint8Array(part.width * part.height * channels));
    }
    if (part.disposal === disposals.previous) canvas.data.set(before);
    return frame;
  });
}

/**
 * The frames of an APNG, or of a PNG its one. `size` is what they must have; `file` is for messages.
 * @throws MagnetsError ERR_MEDIA when the bytes are no such picture.
 */
export function decodePng(file: string, bytes: Uint8Array, size: Size): Picture[] {
  try {
    return readFrames(Buffer.from(bytes), size);
  } catch (cause) {
    const pixels = `${size.width} x ${size.height} ${size.channels === 1 ? 'gray' : 'RGB'} pixels`;
    const message = `${file}: expected a PNG or APNG of ${pixels} of 8 bits: ${(cause as Error).message}`;
    throw new MagnetsError('ERR_MEDIA', message, { cause });
  }
}
