/** Videos as animations: APNG or GIF. */

import { coded, integer, oneOf, readOptions } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { encodeApng } from './apng.js';
import { encodeGif } from './gif.js';
import { framesOf } from './pixels.js';
import { layoutOf, Sheet, type SheetBounds, type SheetOptions, sheetOptionNames } from './sheet.js';

const encoders = { apng: encodeApng, gif: encodeGif };

/** `'apng'` keeps every pixel; `'gif'` keeps gray, and gives each RGB frame a palette of 256 colors. */
export type AnimationFormat = keyof typeof encoders;

const formats = Object.keys(encoders) as AnimationFormat[];

export interface AnimationOptions extends SheetOptions {
  /** Frames per second, 1 to 50, because viewers slow down a GIF that is faster. Default 8. */
  readonly fps?: number;
}

const optionNames = [
  ...sheetOptionNames,
  'fps',
] as const satisfies readonly (keyof AnimationOptions)[];

/** @throws TypeError or RangeError */
export function checkFps(fps: unknown): void {
  integer('fps', fps, 1, 50);
}

/** What bounds the pictures of an animation. A GIF has their sides in 16 bits. */
export function animationBounds(format: AnimationFormat, frames: number): SheetBounds {
  return { frames, side: format === 'gif' ? 2 ** 16 - 1 : undefined };
}

/**
 * Encodes videos that play side by side, again and again, with white gaps of `scale` pixels between them.
 *
 * @param pixels [samples, frames, height, width, channels] in [0, 1], with 1 channel (gray) or 3 (RGB).
 * @param format `'apng'` or `'gif'`. A GIF counts time in 1/100 s: 8 frames per second are shown for 0.13 s each.
 * @param options `columns` (default: about square), `scale` (default 1) and `fps` (default 8).
 * @returns the bytes of the file.
 * @throws TypeError or RangeError when an argument is not what it should be.
 */
export function animation(
  pixels: Tensor<'float32'>,
  format: AnimationFormat,
  options: AnimationOptions = {},
): Uint8Array {
  return coded(() => {
    const all = framesOf(pixels);
    oneOf('format', format, formats);
    const { fps = 8, ...sheetOptions } = readOptions<AnimationOptions>(options, optionNames);
    checkFps(fps);
    const columns = Math.ceil(Math.sqrt(all.samples));
    layoutOf(all.samples, all, columns, sheetOptions, animationBounds(format, all.frames));
    const pictures = Array.from({ length: all.frames }, (_, frame) => {
      const sheet = new Sheet(all.samples, all, columns, sheetOptions);
      for (let i = 0; i < all.samples; ++i) sheet.draw(i, all.picture(i, frame));
      return sheet.picture;
    });
    return encoders[format](pictures, fps);
  });
}
