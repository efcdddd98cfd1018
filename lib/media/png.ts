/** PNG files of samples: one picture, or many side by side. */

import { encode } from 'fast-png';
import { coded, readOptions, wrongValue } from '../errors.js';
import { Tensor } from '../tensor.js';
import { framesOf, readPixels } from './pixels.js';
import { Sheet, type SheetOptions, sheetOptionNames } from './sheet.js';

/**
 * Encodes one picture as a PNG of 8 bits.
 *
 * @param pixels [height, width, channels] in [0, 1], with 1 channel (gray) or 3 (RGB).
 * @returns the bytes of the file, one pixel of it for each of the picture.
 * @throws TypeError or RangeError when `pixels` is no such tensor.
 */
export function encodePng(pixels: Tensor<'float32'>): Uint8Array {
  return coded(() => {
    const { dims, data } = readPixels(pixels);
    const channels = dims[2];
    if (dims.length !== 3 || (channels !== 1 && channels !== 3) || data.length === 0) {
      throw wrongValue('pixels', '[height, width, 1 or 3], none of them 0,', dims);
    }
    return encode(framesOf(new Tensor('float32', data, [1, ...dims])).picture(0, 0));
  });
}

/**
 * Encodes all samples side by side as one PNG of 8 bits, with white gaps of `scale` pixels between them.
 *
 * @param pixels [samples, height, width, channels] in [0, 1], or of videos [samples, frames, height, width, channels],
 *   whose frames lie side by side too; with 1 channel (gray) or 3 (RGB).
 * @param options `columns` (default: about square; of videos one a row) and `scale` (default 1).
 * @returns the bytes of the file.
 * @throws TypeError or RangeError when an argument is not what it should be.
 */
export function contactSheet(pixels: Tensor<'float32'>, options: SheetOptions = {}): Uint8Array {
  return coded(() => {
    const all = framesOf(pixels);
    const { samples, frames } = all;
    const columns = frames > 1 ? frames : Math.ceil(Math.sqrt(samples));
    const sheetOptions = readOptions<SheetOptions>(options, sheetOptionNames);
    const sheet = new Sheet(samples * frames, all, columns, sheetOptions);
    for (let sample = 0; sample < samples; ++sample) {
      for (let frame = 0; frame < frames; ++frame) {
        sheet.draw(sample * frames + frame, all.picture(sample, frame));
      }
    }
    return encode(sheet.picture);
  });
}
