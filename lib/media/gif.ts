/** Writes animated GIF files: gray frames exactly, RGB frames with a palette of 256 colors each. */

import gifenc from 'gifenc';
import type { Picture } from './pixels.js';

const grays = Array.from({ length: 256 }, (_, gray) => [gray, gray, gray]);

function rgbaOf({ data }: Picture): Uint8Array {
  const rgba = new Uint8Array((data.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba.set(data.subarray(from, from + 3), to);
  }
  return rgba;
}

/** Encodes frames of one size, at least one, as a GIF that repeats for ever, with delays in 1/100 s. */
export function encodeGif(frames: readonly Picture[], fps: number): Uint8Array {
  const gif = gifenc.GIFEncoder();
  const delay = 1000 / fps;
  frames.forEach((frame, i) => {
    const { width, height, channels, data } = frame;
    if (channels === 1) {
      gif.writeFrame(data, width, height, { palette: i === 0 ? grays : undefined, delay });
    } else {
      const rgba = rgbaOf(frame);
      const palette = gifenc.quantize(rgba, 256);
      gif.writeFrame(gifenc.applyPalette(rgba, palette), width, height, { palette, delay });
    }
  });
  gif.finish();
  return gif.bytes();
}
