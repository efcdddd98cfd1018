// Pixels as the files that a browser shows.

import { animation, contactSheet, Tensor } from 'magnets';

/**
 * Every sample as a file of its own: a PNG, or of a video an APNG, which is a PNG that moves.
 * @param {import('magnets').Pixels} pixels
 * @param {number} scale every pixel becomes a square of this size
 * @returns {Buffer[]}
 */
export function filesOf({ dims, data }, scale = 1) {
  const [count = 0, ...shape] = dims;
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => {
    const own = data.subarray(i * size, (i + 1) * size);
    const sample = new Tensor('float32', own, [1, ...shape]);
    const still = shape.length === 3;
    return Buffer.from(
      still ? contactSheet(sample, { scale }) : animation(sample, 'apng', { scale }),
    );
  });
}

/** @param {Buffer} file */
export function dataUrl(file) {
  return `data:image/png;base64,${file.toString('base64')}`;
}
