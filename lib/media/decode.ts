/**
 * Reads PNG and APNG files, which may be damaged or malicious: every checksum, the order of the chunks and the number of
 * frames are checked, and a bound on what is unpacked is known beforehand.
 */

import {
  integer,
  MagnetsError,
  outOfMemory,
  readOptions,
  wrongType,
  wrongValue,
} from '../errors.js';
import { isDataOf, plainData, Tensor } from '../tensor.js';
import { chunksOf, headerData } from './chunks.js';
import { pixelsIn } from './inflate.js';
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

const optionNames = [
  'height',
  'width',
  'channels',
  'name',
] as const satisfies readonly (keyof DecodePngOptions)[];

/** A file has at most this many frames: each takes time, however small its region is. */
const mostFrames = 4096;

/** A file has at most this many chunks: each takes time, however short it is. Those of 64 MiB have 1 KiB. */
const mostChunks = 2 ** 16;

/** All frames of a file have at most this many values. */
const mostValues = 2 ** 26;

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

/** Refuses a file that is not sound. */
function check(sound: boolean, message: string): asserts sound {
  if (!sound) throw new Error(message);
}

function readControl(data: Buffer, { width, height }: PictureSize): StoredFrame {
  check(data.length === 26, 'it has a frame without its 26 bytes of fcTL');
  const at = (place: number) => data.readUInt32BE(place);
  const frame = { width: at(4), height: at(8), x: at(12), y: at(16), disposal: data.readUInt8(24) };
  check(frame.width > 0 && frame.height > 0, 'it has a frame without pixels');
  check(
    frame.x + frame.width <= width && frame.y + frame.height <= height,
    'it has a frame that is larger than the picture',
  );
  check(frame.disposal <= 2 && data.readUInt8(25) <= 1, 'it has a frame of an unknown kind');
  return { ...frame, data: [] };
}

/** What is read of a file's chunks, in their order. */
class Chunks {
  /** The only picture of a PNG; in an APNG the first frame, or a picture that is not shown. */
  readonly still: StoredFrame;
  /** Those of an APNG. */
  readonly frames: StoredFrame[] = [];
  /** 0, or 1 for Adam7. */
  interlace = 0;
  /** How many frames there are to be, in an APNG. */
  #promised: number | undefined;
  /** The number of the next fcTL or fdAT, which are counted together. */
  #sequence = 0;
  #before = '';
  readonly #seen = new Set<string>();

  constructor(
    file: Buffer,
    private readonly size: PictureSize,
  ) {
    const { width, height } = size;
    this.still = { width, height, x: 0, y: 0, disposal: disposals.none, data: [] };
    let count = 0;
    for (const { type, data } of chunksOf(file)) {
      check(++count <= mostChunks, `it has more than ${mostChunks} chunks`);
      this.#check(type);
      this.#read(type, data);
      this.#seen.add(type);
      this.#before = type;
    }
    check(this.#before === 'IEND', 'it ends before its last chunk');
    check(this.#seen.has('IDAT'), 'it has no pixels');
    if (this.frames.length === 0 && this.#promised === undefined) return;
    check(this.#promised !== undefined, 'it has frames but no acTL, which says how many');
    check(
      this.frames.length === this.#promised,
      `it has ${this.frames.length} frames instead of ${this.#promised}`,
    );
  }

  #check(type: string): void {
    const seen = this.#seen;
    check(this.#before !== 'IEND', 'it goes on after its last chunk');
    check((type === 'IHDR') === (this.#before === ''), 'it has no IHDR at its start, or another');
    check(type !== 'IDAT' || !seen.has(type) || this.#before === type, 'its IDAT are apart');
    const early = type === 'PLTE' || type === 'acTL';
    check(!early || !(seen.has('IDAT') || seen.has(type)), `its ${type} is out of order`);
    const known = ['IHDR', 'PLTE', 'IDAT', 'IEND'].includes(type) || /^[a-z]/.test(type);
    check(known, `it has a chunk ${type}, which is not known`);
  }

  #read(type: string, data: Buffer): void {
    if (type === 'IHDR') this.#readHeader(data);
    if (type === 'acTL') this.#readCount(data);
    if (type === 'PLTE') this.#checkPalette(data);
    if (type === 'fcTL') this.#readFrame(data);
    if (type === 'fdAT') this.#readFrameData(data);
    if (type === 'IDAT') this.still.data.push(data);
    check(type !== 'IEND' || data.length === 0, 'its last chunk is not empty');
  }

  #readCount(data: Buffer): void {
    check(data.length === 8, 'it has an acTL without its 8 bytes');
    this.#promised = data.readUInt32BE(0);
    const some = this.#promised >= 1 && this.#promised <= mostFrames;
    check(some, `it has ${this.#promised} frames, which is not 1 .. ${mostFrames}`);
  }

  #checkPalette(data: Buffer): void {
    const colors = data.length / 3;
    const sound = this.size.channels === 3 && Number.isInteger(colors) && colors >= 1;
    check(sound && colors <= 256, 'it has a PLTE that is none');
  }

  /** The first number of an fcTL or fdAT. */
  #checkSequence(data: Buffer): void {
    const next = data.length >= 4 && data.readUInt32BE(0) === this.#sequence++;
    check(next, 'its frames are out of order');
  }

  #readFrame(data: Buffer): void {
    this.#checkSequence(data);
    const frame = readControl(data, this.size);
    if (this.#seen.has('IDAT')) {
      this.frames.push(frame);
      return;
    }
    const whole = frame.width === this.size.width && frame.height === this.size.height;
    check(whole && this.frames.length === 0, 'its first frame is not the whole picture');
    this.frames.push({ ...this.still, disposal: frame.disposal }); // its data are the IDAT
  }

  #readFrameData(data: Buffer): void {
    this.#checkSequence(data);
    const frame = this.frames.at(-1);
    const place = this.#seen.has('IDAT') && frame !== undefined && frame.data !== this.still.data;
    check(place, 'it has a frame without its fcTL');
    frame.data.push(data.subarray(4));
  }

  #readHeader(header: Buffer): void {
    check(header.length === 13, 'its IHDR has not 13 bytes');
    const [bits, colors, , , interlace] = header.subarray(8) as unknown as number[];
    this.interlace = interlace!;
    if (header.equals(headerData(this.size, interlace)) && interlace! <= 1) return;
    const [w, h] = [0, 4].map((at) => header.readUInt32BE(at));
    throw new Error(`it has ${w} x ${h} pixels of ${bits} bits and PNG's color type ${colors}`);
  }
}

/** Replaces a region of the canvas; without an alpha channel both of APNG's ways to blend do that. */
function replace(canvas: Picture, region: Region, pixels: Uint8Array): void {
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
  const { still, frames, interlace } = new Chunks(file, size);
  const values = Math.max(1, frames.length) * width * height * channels;
  check(values <= mostValues, `it has ${frames.length} frames, more than ${mostValues} values`);
  const pixelsOf = (frame: StoredFrame) =>
    pixelsIn(Buffer.concat(frame.data), { ...frame, channels }, interlace);
  const shown = pixelsOf(still); // checked even where it is none of the frames
  if (frames.length === 0) return [shown];

  const canvas = { ...size, data: new Uint8Array(width * height * channels) };
  return frames.map((frame) => {
    const before = canvas.data.slice();
    replace(canvas, frame, frame.data === still.data ? shown : pixelsOf(frame));
    const result = canvas.data.slice();
    if (frame.disposal === disposals.background) {
      replace(canvas, frame, new Uint8Array(frame.width * frame.height * channels));
    }
    if (frame.disposal === disposals.previous) canvas.data.set(before);
    return result;
  });
}

/**
 * Decodes a PNG or an APNG of 8 bits, for example the frames that `predict` is given. It computes at once, which takes
 * time by the values of the size that is asked for, whatever the file is: large pictures belong on a worker thread.
 *
 * @param bytes the file's bytes.
 * @param options the size that the picture must have, and what messages call it.
 * @returns float32 [frames, height, width, channels] in [0, 1]: all frames of an APNG, the one of a PNG.
 * @throws TypeError or RangeError when an argument is not what it should be.
 * @throws MagnetsError ERR_MEDIA when the bytes are no PNG or APNG of that size, or damaged.
 */
export function decodePng(bytes: Uint8Array, options: DecodePngOptions): Tensor<'float32'> {
  const { channels, name = 'picture', ...size } = readOptions(options, optionNames);
  if (!isDataOf('uint8', bytes)) throw wrongType('bytes', 'a Uint8Array', bytes);
  if (typeof name !== 'string') throw wrongType('name', 'a string', name);
  const height = integer('height', size.height, 1, 2 ** 16);
  const width = integer('width', size.width, 1, 2 ** 16);
  if (typeof channels !== 'number') throw wrongType('channels', '1 or 3', channels);
  if (channels !== 1 && channels !== 3) throw wrongValue('channels', '1 or 3', channels);
  if (height * width * channels > mostValues) {
    throw wrongValue('height', `a picture of at most ${mostValues} values`, height);
  }
  try {
    const frames = readFrames(Buffer.from(plainData('uint8', bytes)), { height, width, channels });
    const values = new Float32Array(frames.length * height * width * channels);
    frames.forEach((frame, i) => {
      const start = i * frame.length;
      // Float32Array.from would make a list of all values first, which has fewer elements than a large picture.
      for (let at = 0; at < frame.length; ++at) values[start + at] = frame[at]! / 255;
    });
    return new Tensor('float32', values, [frames.length, height, width, channels]);
  } catch (cause) {
    const expected = `${width} x ${height} ${channels === 1 ? 'gray' : 'RGB'} pixels of 8 bits`;
    const message = `${name}: expected a PNG or APNG of ${expected}: ${(cause as Error).message}`;
    throw outOfMemory(cause) ?? new MagnetsError('ERR_MEDIA', message, { cause });
  }
}
