// node bench/samples.js --model fashion --schedule paper [--no-cache] --count 10000 --seed 1 --out FILE [--given FILE]
//
// Samples for training/: raw 8-bit pixels, those of pictures [count, height, width, channels], of videos
// [count, frames, height, width, channels]; of label i % classes or, with the frames of --given (such pixels of as many
// frames as the model is given), predicted. Prints what one sample cost, and where.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { load, Tensor } from '../dist/index.js';
import { givenShape } from '../dist/runtime/prediction.js';
import { batchOf } from './batch.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    schedule: { type: 'string', default: 'paper' },
    'no-cache': { type: 'boolean', default: false },
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    given: { type: 'string' },
    out: { type: 'string', default: 'samples.u8' },
  },
});
const count = Number(values.count);
const model = await load(values.model);
const batch = batchOf(model);
const given = values.given === undefined ? undefined : await open(values.given);

/** The frames given for `size` samples from `first` on. */
async function readFrames(first, size) {
  const shape = givenShape(model.config, model.tokenizerConfig);
  const sample = shape.reduce((product, extent) => product * extent, 1);
  const length = size * sample;
  const { buffer, bytesRead } = await given.read(Buffer.alloc(length), 0, length, first * sample);
  if (bytesRead < length) {
    throw new RangeError(`${values.given}: expected ${count} samples of [${shape}] bytes`);
  }
  const pixels = Float32Array.from(buffer, (value) => value / 255);
  return new Tensor('float32', pixels, [size, ...shape]);
}

async function generate(first, size) {
  const options = {
    schedule: values.schedule,
    cache: values['no-cache'] ? false : undefined,
    firstSample: first,
    seed: Number(values.seed),
  };
  if (given) return model.predict({ ...options, frames: await readFrames(first, size) });
  const labels = Array.from({ length: size }, (_, i) => (first + i) % model.config.classes);
  return model.generate({ ...options, labels });
}

const out = createWriteStream(values.out);
let flops = 0;
let seconds = 0;
for (let first = 0; first < count; first += batch) {
  const result = await (await generate(first, Math.min(batch, count - first))).result();
  flops += result.flops;
  seconds += result.seconds;
  const { data } = result.pixels;
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; ++i) bytes[i] = Math.round(255 * data[i]);
  if (!out.write(bytes)) await once(out, 'drain');
}
out.end();
await once(out, 'finish');
await given?.close();
model.dispose();
const { backend } = model;
console.log(JSON.stringify({ backend, flops: flops / count, seconds: seconds / count }));
