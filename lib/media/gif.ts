/** Writes animated GIF files: gray frames exactly, RGB frames with a palette of 256 colors each. */

import { createRequire } from 'node:module';
import { MagnetsError } from '../errors.js';
import type { Picture } from './pixels.js';

/**
 * Loaded when the first GIF is written: it cannot be where something has given every object a property, and whoever
 * writes no GIF need not care.
 */
function loadGifenc(): typeof import('gifenc').default {
  try {
    return createRequire(import.meta.url)('gifenc');
  } catch (cause) {
    const message = `gifenc, which writes GIF files, cannot be loaded: ${(cause as Error).message}`;
    throw new MagnetsError('ERR_UNSUPPORTED', message, { cause });
  }
}

const grays = Array.from({ length: 256 }, (_, gray) => [gray, gray, gray]);

function rgbaOf({ data }: Picture): Uint8Array {
  const rgba = new Uint8Array((data.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba.set(data.subarray(from, from + 3), to);
  }
  return rgba;
}

/** The time of quantizing is the square of the colors, so that 65,536 of them would take half a minute. */
const mostColors = 4096;

/** How finely colors are told apart: no more of them than there may be. */
function formatFor({ data }: Picture): 'rgb565' | 'rgb444' {
  const colors = new Set<number>();
  for (let i = 0; i < data.length; i += 3) {
    colors.add(((data[i]! >> 3) << 11) | ((data[i + 1]! >> 2) << 5) | (data[i + 2]! >> 3));
    if (colors.size > mostColors) return 'rgb444';
  }
  return 'rgb565';
}

/** Encodes frames of one size, at least one, as a GIF that repeats for ever, with delays in 1/100 s. */
export function encodeGif(frames: readonly Picture[], fps: number): Uint8Array {
  const gifenc = loadGifenc();
  const gif = gifenc.GIFEncoder();
  const delay = 1000 / fps;
  frames.forEach((frame, i) => {
    const { width, height, channels, data } = frame;
    if (channels === 1) {
      gif.writeFrame(data, width, height, { palette: i === 0 ? grays : undefined, delay });
    } else {
      const rgba = rgbaOf(frame);
      const palette = gifenc.quantize(rgba, 256, { format: formatFor(frame) });
      gif.writeFrame(gifenc.applyPalette(rgba, palette), width, height, { palette, delay });
    }
  });
  gif.finish();
  return gif.bytes();
}
