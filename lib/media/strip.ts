/** A PNG that shows how one sample comes about: its picture after each step. */

import { encode } from 'fast-png';
import { coded, integer, isList, readOptions, wrongType, wrongValue } from '../errors.js';
import { paintMasked, sliceOfFrame } from '../plan/patches.js';
import { isDataOf, plainData, type Tensor } from '../tensor.js';
import { framesOf, toByte } from './pixels.js';
import { Sheet, type SheetOptions, sheetOptionNames } from './sheet.js';

/** What a masked patch is drawn as, in [0, 1]. */
const maskedGray = toByte(0.5);

/**
 * Encodes one sample after each step as a PNG of 8 bits, the patches that are still masked in gray. The steps of a
 * picture lie in one row; each step of a video has a row of its own.
 *
 * @param pixels the sample after each step, [steps, height, width, channels] in [0, 1], or of a video
 *   [steps, frames, height, width, channels]. What it holds where a patch is masked is not looked at.
 * @param masked [steps, N]: 1 where the token is still masked after the step, N tokens on the grid `latentShape`.
 * @param latentShape the token grid [frames, height, width], as the model's config has it.
 * @param options `columns` (default: as above) and `scale` (default 1).
 * @returns the bytes of the file.
 * @throws TypeError or RangeError when an argument is not what it should be.
 */
export function stepStrip(
  pixels: Tensor<'float32'>,
  masked: Uint8Array,
  latentShape: readonly [number, number, number],
  options: SheetOptions = {},
): Uint8Array {
  return coded(() => {
    const all = framesOf(pixels);
    const { samples: steps, frames } = all;
    const sheetOptions = readOptions<SheetOptions>(options, sheetOptionNames);
    if (!isList(latentShape) || latentShape.length !== 3) {
      throw wrongType('latentShape', '[frames, height, width]', latentShape);
    }
    const [slices, rows, columns] = latentShape.map((extent) =>
      integer('extent of latentShape', extent, 1, 4096),
    ) as [number, number, number];
    if (!isDataOf('uint8', masked)) throw wrongType('masked', 'a Uint8Array', masked);
    const flags = plainData('uint8', masked);
    if (flags.length !== steps * slices * rows * columns) {
      const expected = `${steps} x ${slices * rows * columns} elements (steps x tokens)`;
      throw wrongValue('masked', expected, flags.length);
    }
    const wrong = flags.find((flag) => flag > 1);
    if (wrong !== undefined) throw wrongValue('masked', '0 or 1', wrong);
    const sheet = new Sheet(steps * frames, all, frames > 1 ? frames : steps, sheetOptions);
    for (let step = 0; step < steps; ++step) {
      for (let frame = 0; frame < frames; ++frame) {
        const picture = all.picture(step, frame);
        const slice = step * slices + sliceOfFrame(frame, frames, slices);
        const first = slice * rows * columns;
        paintMasked(picture, rows, columns, (patch) => flags[first + patch] === 1, maskedGray);
        sheet.draw(step * frames + frame, picture);
      }
    }
    return encode(sheet.picture);
  });
}
