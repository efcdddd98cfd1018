/**
 * Reads PNG and APNG files. The frames of an APNG are put together here because fast-png reads a frame that is a part of
 * the picture over black instead of over the frame before.
 */

import { decode, hasPngSignature, type PngDataArray } from 'fast-png';
import { integer, MagnetsError, wrongType, wrongValue } from '../errors.js';
import { isDataOf, Tensor } from '../tensor.js';
import { chunk, chunksOf, headerData, signature } from './chunks.js';
import type { Picture, PictureSize } from './pixels.js';

export interface DecodePngOptions {
  /** The height that the picture must have, in pixels. */
  readonly height: number;
  /** The width that the picture must have, in pixels. */
  readonly width: number;
  /** The channels that the picture must have: 1 (gray) or 3 (RGB). */
  readonly channels: number;
  /** What messages call the bytes, for example the file's name. Default `'picture'`. */
  readonly name?: string;
}

/** How a frame's region is left for the next frame (dispose_op). */
const disposals = { none: 0, background: 1, previous: 2 } as const;

interface Region {
  readonly width: number;
  readonly height: number;
  readonly x: number;
  readonly y: number;
}

/** A frame as the file stores it: a region of the picture. */
interface StoredFrame extends Region {
  readonly disposal: number;
  /** A zlib stream in pieces. */
  readonly data: Buffer[];
}

/** The stored frames of an APNG, or the only one of a PNG, and the data of the chunk IHDR. */
function readStored(file: Buffer, { width, height }: PictureSize) {
  let header: Buffer = Buffer.alloc(0);
  const still: StoredFrame = { width, height, x: 0, y: 0, disposal: disposals.none, data: [] };
  const stored: StoredFrame[] = [];
  for (const { type, data } of chunksOf(file)) {
    if (type === 'IHDR') header = data;
    if (type === 'IDAT') (stored.at(-1) ?? still).data.push(data);
    if (type === 'fdAT') stored.at(-1)?.data.push(data.subarray(4));
    if (type === 'fcTL') {
      stored.push({
        width: data.readUInt32BE(4),
        height: data.readUInt32BE(8),
        x: data.readUInt32BE(12),
        y: data.readUInt32BE(16),
        disposal: data.readUInt8(24),
        data: [],
      });
    }
  }
  return { stored: stored.length > 0 ? stored : [still], header };
}

/** Replaces a region of the canvas; without an alpha channel both of APNG's ways to blend do that. */
function replace(canvas: Picture, region: Region, pixels: PngDataArray): void {
  const { width, channels, data } = canvas;
  const length = region.width * channels;
  for (let row = 0; row < region.height; ++row) {
    const start = ((region.y + row) * width + region.x) * channels;
    data.set(pixels.subarray(row * length, (row + 1) * length), start);
  }
}

/** The frames as they are shown, [height, width, channels] each. */
function readFrames(file: Buffer, size: PictureSize): Uint8Array[] {
  const { width, height, channels } = size;
  if (!hasPngSignature(file)) throw new Error('it is no PNG');
  const { stored, header } = readStored(file, size);
  const [interlace] = header.subarray(12);
  if (!header.equals(headerData(size, interlace))) {
    const [w, h] = [0, 4].map((at) => header.readUInt32BE(at));
    const [bits, colors] = header.subarray(8);
    throw new Error(`it has ${w} x ${h} pixels of ${bits} bits and PNG's color type ${colors}`);
  }

  const canvas = { ...size, data: new Uint8Array(width * height * channels) };
  return stored.map((frame) => {
    if (frame.x + frame.width > width || frame.y + frame.height > height) {
      throw new Error('it has a frame that is larger than the picture');
    }
    const before = canvas.data.slice();
    const png = [
      chunk('IHDR', headerData({ ...frame, channels }, interlace)),
      chunk('IDAT', ...frame.data),
    ];
    replace(canvas, frame, decode(Buffer.concat([signature, ...png, chunk('IEND')])).data);
    const shown = canvas.data.slice();
    if (frame.disposal === disposals.background) {
      replace(canvas, frame, new Uint8Array(frame.width * frame.height * channels));
    }
    if (frame.disposal === disposals.previous) canvas.data.set(before);
    return shown;
  });
}

/**
 * Decodes a PNG or an APNG of 8 bits, for example the frames that `predict` is given.
 *
 * @param bytes the file's bytes.
 * @param options the size that the picture must have, and what messages call it.
 * @returns float32 [frames, height, width, channels] in [0, 1]: all frames of an APNG, the one of a PNG.
 * @throws TypeError or RangeError when an argument is not what it should be.
 * @throws MagnetsError ERR_MEDIA when the bytes are no PNG or APNG of that size.
 */
export function decodePng(bytes: Uint8Array, options: DecodePngOptions): Tensor<'float32'> {
  const { channels, name = 'picture' } = options;
  if (!isDataOf('uint8', bytes)) throw wrongType('bytes', 'a Uint8Array', bytes);
  if (typeof name !== 'string') throw wrongType('name', 'a string', name);
  const height = integer('height', options.height, 1, 2 ** 16);
  const width = integer('width', options.width, 1, 2 ** 16);
  if (typeof channels !== 'number') throw wrongType('channels', '1 or 3', channels);
  if (channels !== 1 && channels !== 3) throw wrongValue('channels', '1 or 3', channels);
  try {
    const frames = readFrames(Buffer.from(bytes), { height, width, channels });
    const values = Float32Array.from(Buffer.concat(frames), (value) => value / 255);
    return new Tensor('float32', values, [frames.length, height, width, channels]);
  } catch (cause) {
    const size = `${width} x ${height} ${channels === 1 ? 'gray' : 'RGB'} pixels of 8 bits`;
    const message = `${name}: expected a PNG or APNG of ${size}: ${(cause as Error).message}`;
    throw new MagnetsError('ERR_MEDIA', message, { cause });
  }
}
