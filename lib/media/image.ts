/** Pixels as files: contact sheets and strips of steps as PNG, animations as APNG or GIF. */

import { encode } from 'fast-png';
import { integer, wrongValue } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { encodeApng } from './apng.js';
import { encodeGif } from './gif.js';
import { Sheet } from './sheet.js';

/** Of masked patches. */
const maskedGray = 128 / 255;

const encoders = { apng: encodeApng, gif: encodeGif };

export type AnimationFormat = keyof typeof encoders;

export interface SheetOptions {
  /** Cells in a row. Default: as square as the samples allow; in a sheet of videos the frames of one sample. */
  readonly columns?: number;
  /** Each pixel becomes scale x scale. Default 3. */
  readonly scale?: number;
}

export interface AnimationOptions extends SheetOptions {
  /** Frames a second. Default 8. */
  readonly fps?: number;
}

/** Pixels [count, height, width, channels] as [count, 1, height, width, channels]; `value` reads a frame of them all. */
function videosOf({ dims, data }: Tensor<'float32'>) {
  const [count, frames, height, width, channels] = (
    dims.length === 4 ? [dims[0], 1, ...dims.slice(1)] : dims
  ) as [number, number, number, number, number];
  if (![4, 5].includes(dims.length) || (channels !== 1 && channels !== 3) || data.length === 0) {
    const expected = '[count, height, width, 1 or 3] or [count, frames, height, width, 1 or 3]';
    throw wrongValue('pixels', expected, dims);
  }
  const value = (frame: number) => (y: number, x: number, channel: number) =>
    data[((frame * height + y) * width + x) * channels + channel]!;
  return { count, frames, cell: { height, width, channels } as const, value };
}

function scaleOf(options: SheetOptions): number {
  return integer('scale', options.scale ?? 3, 1, 64);
}

function columnsOf(options: SheetOptions, usual: number): number {
  return integer('columns', options.columns ?? usual, 1, 2 ** 16);
}

/** All samples side by side, PNG; a video's frames in a row. Pixels in [0, 1]. */
export function contactSheet(pixels: Tensor<'float32'>, options: SheetOptions = {}): Uint8Array {
  const { count, frames, cell, value } = videosOf(pixels);
  const columns = columnsOf(options, frames > 1 ? frames : Math.ceil(Math.sqrt(count)));
  const sheet = new Sheet(count * frames, columns, cell, scaleOf(options));
  for (let i = 0; i < count * frames; ++i) sheet.draw(i, value(i));
  return encode(sheet.picture);
}

/** Videos [count, frames, height, width, channels] in [0, 1], playing side by side for ever. */
export function animation(
  pixels: Tensor<'float32'>,
  format: AnimationFormat,
  options: AnimationOptions = {},
): Uint8Array {
  const { count, frames, cell, value } = videosOf(pixels);
  if (!Object.hasOwn(encoders, format)) {
    throw wrongValue('format', Object.keys(encoders).join(' or '), format);
  }
  const fps = integer('fps', options.fps ?? 8, 1, 50); // a viewer of GIFs slows down what is faster
  const columns = columnsOf(options, Math.ceil(Math.sqrt(count)));
  const pictures = Array.from({ length: frames }, (_, frame) => {
    const sheet = new Sheet(count, columns, cell, scaleOf(options));
    for (let i = 0; i < count; ++i) sheet.draw(i, value(i * frames + frame));
    return sheet.picture;
  });
  return encoders[format](pictures, fps);
}

/**
 * One sample after each step, PNG; of a video a row a step. pixels: [steps, ...] in [0, 1]; masked: [steps, N] on the
 * grid `latentShape`, whose patches are drawn gray.
 */
export function stepStrip(
  pixels: Tensor<'float32'>,
  masked: Uint8Array,
  latentShape: readonly [number, number, number],
  options: SheetOptions = {},
): Uint8Array {
  const { count: steps, frames, cell, value } = videosOf(pixels);
  const [times, rows, columns] = latentShape;
  const sheet = new Sheet(
    steps * frames,
    columnsOf(options, frames > 1 ? frames : steps),
    cell,
    scaleOf(options),
  );
  for (let i = 0; i < steps * frames; ++i) {
    const pixel = value(i);
    // Frame i of all steps' lies in slice floor(i * times / frames) of all steps' grids.
    const slice = Math.floor((i * times) / frames);
    sheet.draw(i, (y, x, channel) => {
      const row = slice * rows + Math.floor((y * rows) / cell.height);
      const column = Math.floor((x * columns) / cell.width);
      return masked[row * columns + column] ? maskedGray : pixel(y, x, channel);
    });
  }
  return encode(sheet.picture);
}
