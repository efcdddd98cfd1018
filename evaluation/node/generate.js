// node evaluation/node/generate.js --model fashion --schedule paper [--no-cache | --refresh N] [--weights auto] --count 10000 --seed 1
//   --out FILE [--given FILE]
//
// Generates samples for the evaluation: raw 8-bit pixels, [count, height, width, channels] of pictures and [count, frames,
// height, width, channels] of videos. Sample i has the label i % classes. With --given, a file of such pixels with the first
// frames of `count` videos, the rest of each video is predicted instead. Prints the FLOPs of one sample and the backend.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { load, Tensor } from '../../dist/index.js';
import { samplesThatFill } from '../../dist/runtime/device.js';
import { givenShape } from '../../dist/runtime/prediction.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    schedule: { type: 'string', default: 'paper' },
    'no-cache': { type: 'boolean', default: false },
    refresh: { type: 'string' },
    weights: { type: 'string', default: 'auto' },
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    given: { type: 'string' },
    out: { type: 'string', default: 'samples.u8' },
  },
});
const count = Number(values.count);
const weights = /** @type {import('../../dist/index.js').Format} */ (values.weights);
const model = await load(values.model, { weights });
const batch = samplesThatFill(model, model.tokenCount);

/**
 * Reads the given frames of `size` videos from number `first` on.
 *
 * @param {import('node:fs/promises').FileHandle} file
 * @param {number} first
 * @param {number} size
 */
async function readFrames(file, first, size) {
  const shape = givenShape(model.config, model.tokenizerConfig);
  const bytesPerVideo = shape.reduce((product, extent) => product * extent, 1);
  const length = size * bytesPerVideo;
  const { buffer, bytesRead } = await file.read(
    Buffer.alloc(length),
    0,
    length,
    first * bytesPerVideo,
  );
  if (bytesRead < length) {
    throw new RangeError(`${values.given}: expected ${count} videos of [${shape}] bytes`);
  }
  const pixels = Float32Array.from(buffer, (value) => value / 255);
  return new Tensor('float32', pixels, [size, ...shape]);
}

const out = createWriteStream(values.out);
const given = values.given === undefined ? undefined : await open(values.given);
let flops = 0;
for (let first = 0; first < count; first += batch) {
  const size = Math.min(batch, count - first);
  const options = {
    schedule: values.schedule,
    cache: values['no-cache'] ? false : undefined,
    refresh: values.refresh === undefined ? undefined : Number(values.refresh),
    firstSample: first,
    seed: Number(values.seed),
  };
  const labels = Array.from({ length: size }, (_, i) => (first + i) % model.config.classes);
  const generation = given
    ? model.predict({ ...options, frames: await readFrames(given, first, size) })
    : model.generate({ ...options, labels });
  const result = await generation.result();
  flops += result.flops;
  const bytes = Uint8Array.from(result.pixels.data, (value) => Math.round(255 * value));
  if (!out.write(bytes)) await once(out, 'drain');
}
out.end();
await once(out, 'finish');
await given?.close();
model.dispose();
console.log(JSON.stringify({ backend: model.backend, flops: flops / count }));
