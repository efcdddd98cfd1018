/** Writes animated PNG files. The chunks are written here because fast-png writes no animation. */

import { deflateSync } from 'node:zlib';
import { chunk, headerData, integers, signature } from './chunks.js';
import type { Picture } from './pixels.js';

/** The rows, each after a byte that says that it is not filtered. */
function compress({ width, height, channels, data }: Picture): Buffer {
  const length = width * channels;
  const rows = Buffer.alloc(height * (1 + length));
  for (let y = 0; y < height; ++y) {
    rows.set(data.subarray(y * length, (y + 1) * length), y * (1 + length) + 1);
  }
  return deflateSync(rows);
}

/** Encodes frames of one size, at least one, as an APNG that repeats for ever. */
export function encodeApng(frames: readonly Picture[], fps: number): Uint8Array {
  let sequence = 0;
  const body = frames.flatMap((frame, i) => {
    const region = integers(sequence++, frame.width, frame.height, 0, 0);
    // The delay as a fraction of a second; then dispose_op 0 (leave the frame) and blend_op 0 (replace what is there).
    const control = chunk('fcTL', region, Buffer.of(0, 1, fps >> 8, fps & 255, 0, 0));
    const pixels = compress(frame);
    return i === 0
      ? [control, chunk('IDAT', pixels)]
      : [control, chunk('fdAT', integers(sequence++), pixels)];
  });
  const start = [chunk('IHDR', headerData(frames[0]!)), chunk('acTL', integers(frames.length, 0))];
  return Buffer.concat([signature, ...start, ...body, chunk('IEND')]);
}
