// A worker thread that makes PNGs of pixels: JavaScript that computes, which would hold up everything else.

import { parentPort } from 'node:worker_threads';
import { encodePng, Tensor } from 'magnets';

parentPort?.on('message', (/** @type {import('./pool.js').Pixels} */ { data, shape }) => {
  const png = encodePng(new Tensor('float32', data, shape));
  parentPort?.postMessage(png, [/** @type {ArrayBuffer} */ (png.buffer)]); // moved, not copied
});
