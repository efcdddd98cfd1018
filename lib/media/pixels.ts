/** Tensors of pixels as frames of 8 bits. */

import { wrongValue } from '../errors.js';
import { readTensor, type Tensor } from '../tensor.js';

/** An 8-bit picture: gray (1 channel) or RGB (3 channels), row-major [height, width, channels]. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

export type PictureSize = Omit<Picture, 'data'>;

/** The frames of a tensor of pixels: picture (i, j) is frame j of sample i. */
export interface Frames extends PictureSize {
  readonly samples: number;
  /** Frames of one sample; 1 where the samples are pictures. */
  readonly frames: number;
  picture(sample: number, frame: number): Picture;
}

/** A value in [0, 1] as 8 bits; a value outside becomes the nearest end. */
export function toByte(value: number): number {
  return Math.round(255 * Math.min(1, Math.max(0, value)));
}

/** @throws TypeError when `pixels` is no float32 tensor, RangeError when one of its values is not a number. */
export function readPixels(pixels: unknown): Tensor<'float32'> {
  const tensor = readTensor('pixels', 'a float32 tensor', 'float32', pixels);
  if (tensor.data.some(Number.isNaN)) throw wrongValue('pixels', 'numbers', Number.NaN);
  return tensor;
}

/**
 * The frames of pixels [samples, height, width, channels] or [samples, frames, height, width, channels] in [0, 1].
 * @throws TypeError or RangeError when `pixels` is no such tensor.
 */
export function framesOf(pixels: Tensor<'float32'>): Frames {
  const { dims, data } = readPixels(pixels);
  const [samples, frames, height, width, channels] = (
    dims.length === 4 ? [dims[0], 1, ...dims.slice(1)] : dims
  ) as [number, number, number, number, number];
  if (![4, 5].includes(dims.length) || (channels !== 1 && channels !== 3) || data.length === 0) {
    const expected =
      '[samples, height, width, 1 or 3] or [samples, frames, height, width, 1 or 3], none of them 0,';
    throw wrongValue('pixels', expected, dims);
  }
  const size = height * width * channels;
  const picture = (sample: number, frame: number) => {
    const start = (sample * frames + frame) * size;
    const bytes = new Uint8Array(size);
    // Uint8Array.from would make a list of all values first, which has fewer elements than a large picture.
    for (let i = 0; i < size; ++i) bytes[i] = toByte(data[start + i]!);
    return { width, height, channels, data: bytes } as const;
  };
  return { samples, frames, width, height, channels, picture };
}
