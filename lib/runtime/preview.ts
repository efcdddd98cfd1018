/** Pixels of a sample on its way: what the known tokens show, gray where a token is masked. */

import { tokensArePatches } from '../checkpoint/config.js';
import { isObject, MagnetsError, wrongType } from '../errors.js';
import { paintMasked, sliceOfFrame } from '../plan/patches.js';
import { readTensor, Tensor } from '../tensor.js';
import type { GenerationContext } from './generation.js';
import { tokenIds } from './ids.js';
import type { GenerationStep } from './result.js';
import type { Pixels } from './tokenizer.js';

/** What a masked patch is shown as, in [0, 1]. */
const maskedGray = 0.5;

/**
 * Pixels of a step's tokens [count, N], -1 where masked.
 * @throws TypeError, RangeError for something else than a step of this model; MagnetsError ERR_UNSUPPORTED without a tokenizer,
 * or where tokens lie on no grid (TiTok).
 */
export async function previewOf(
  { config, tokenizer }: Pick<GenerationContext, 'config' | 'tokenizer'>,
  step: Pick<GenerationStep, 'tokens'>,
  count: number,
): Promise<Pixels> {
  if (tokenizer === undefined) {
    throw new MagnetsError('ERR_UNSUPPORTED', `${config.name} has no tokenizer beside it`);
  }
  if (!tokensArePatches(tokenizer.config)) {
    const message = `the tokens of ${config.name} lie on no grid, so none is a patch of its own`;
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  }
  const expected = "one of this generation's steps";
  if (!isObject(step)) throw wrongType('step', expected, step);
  const given = readTensor('tokens of step', expected, 'int32', step.tokens);
  tokenIds(config, given, count);
  const { dims } = given;
  const data = given.data.slice(); // what is written to it in the meantime changes nothing
  // The decoder wants a token everywhere. What it makes of one that is masked is painted over.
  const shown = data.map((token) => Math.max(token, 0));
  const { pixels } = await tokenizer.detokenize(new Tensor('int32', shown, dims));
  return grayWhereMasked(pixels, data, config.latentShape);
}

function grayWhereMasked(
  pixels: Pixels,
  tokens: Int32Array,
  [slices, rows, columns]: readonly [number, number, number],
): Pixels {
  const { dims, data } = pixels;
  const [count, frames, height, width, channels] = (
    dims.length === 4 ? [dims[0], 1, ...dims.slice(1)] : dims
  ) as [number, number, number, number, number];
  const size = height * width * channels;
  for (let sample = 0, start = 0; sample < count; ++sample) {
    for (let frame = 0; frame < frames; ++frame, start += size) {
      const picture = { height, width, channels, data: data.subarray(start, start + size) };
      const first = (sample * slices + sliceOfFrame(frame, frames, slices)) * rows * columns;
      paintMasked(picture, rows, columns, (patch) => tokens[first + patch]! < 0, maskedGray);
    }
  }
  return pixels;
}
