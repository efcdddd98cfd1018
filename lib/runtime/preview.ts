/** Pixels of a sample on its way: what the known tokens show, gray where a token is masked. */

import { MagnetsError } from '../errors.js';
import { readTensor, Tensor } from '../tensor.js';
import type { Engine } from './generation.js';
import { tokenIds } from './request.js';
import type { Pixels } from './tokenizer.js';

/** What a masked patch is shown as, in [0, 1]. */
const maskedGray = 0.5;

/**
 * Pixels of tokens [count, N], -1 where masked.
 * @throws TypeError, RangeError for other tokens than this model's; MagnetsError ERR_UNSUPPORTED without a tokenizer,
 * or where tokens lie on no grid (TiTok).
 */
export async function previewOf(
  { config, tokenizer }: Pick<Engine, 'config' | 'tokenizer'>,
  tokens: Tensor<'int32'>,
  count: number,
): Promise<Pixels> {
  if (tokenizer === undefined) {
    throw new MagnetsError('ERR_UNSUPPORTED', `${config.name} has no tokenizer beside it`);
  }
  if (tokenizer.config.kind === 'titok') {
    const message = `the tokens of ${config.name} lie on no grid, so none is a patch of its own`;
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  }
  const { data, dims } = readTensor('step', "one of this generation's steps", 'int32', tokens);
  tokenIds(config, tokens, count);
  // The decoder wants a token everywhere. What it makes of one that is masked is painted over.
  const shown = data.map((token) => Math.max(token, 0));
  const { pixels } = await tokenizer.detokenize(new Tensor('int32', shown, dims));
  return grayWhereMasked(pixels, data, config.latentShape);
}

/** Paints the patches of masked tokens over. */
function grayWhereMasked(
  pixels: Pixels,
  tokens: Int32Array,
  [slices, rows, columns]: readonly [number, number, number],
): Pixels {
  const { dims, data } = pixels;
  const [count, frames, height, width, channels] = (
    dims.length === 4 ? [dims[0], 1, ...dims.slice(1)] : dims
  ) as [number, number, number, number, number];
  for (let sample = 0, pixel = 0; sample < count; ++sample) {
    for (let frame = 0; frame < frames; ++frame) {
      const slice = sample * slices + Math.floor((frame * slices) / frames);
      for (let y = 0; y < height; ++y) {
        const row = slice * rows + Math.floor((y * rows) / height);
        for (let x = 0; x < width; ++x, pixel += channels) {
          const token = tokens[row * columns + Math.floor((x * columns) / width)]!;
          if (token < 0) data.fill(maskedGray, pixel, pixel + channels);
        }
      }
    }
  }
  return pixels;
}
