// node training/node/tokenize.js --model FOLDER
//
// Tokenizes for training/package.py until stdin ends. A request is the number of samples (uint32) and their pixels (uint8,
// [count, height, width, channels], of videos [count, frames, height, width, channels]); its answer on stdout is their tokens
// (int32, [count, N]). All numbers are little-endian.

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { load, Tensor } from '../../dist/index.js';

const { values } = parseArgs({ options: { model: { type: 'string', default: 'fashion' } } });
const model = await load(values.model);
if (!model.tokenizerConfig) throw new RangeError(`${values.model}: expected a tokenizer`);
const { sampleShape, channels } = model.tokenizerConfig;
const [frames, height, width] = sampleShape;
const shape = frames === 1 ? [height, width, channels] : [frames, height, width, channels];
const size = shape.reduce((product, extent) => product * extent, 1);

/** Yields the pixels of each request. */
async function* requests() {
  /** @type {Buffer[]} */
  let parts = [];
  let length = 0;
  for await (const part of process.stdin) {
    parts.push(part);
    length += part.length;
    while (length >= 4) {
      const [head, ...rest] = parts;
      if (head && head.length < 4) parts = [Buffer.concat([head, ...rest])];
      const end = 4 + size * /** @type {Buffer} */ (parts[0]).readUInt32LE();
      if (length < end) break;
      const all = Buffer.concat(parts);
      yield all.subarray(4, end);
      parts = [all.subarray(end)];
      length -= end;
    }
  }
}

for await (const bytes of requests()) {
  const pixels = Float32Array.from(bytes, (value) => value / 255);
  const dims = [bytes.length / size, ...shape];
  const { data } = await model.tokenize(new Tensor('float32', pixels, dims));
  if (!process.stdout.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))) {
    await once(process.stdout, 'drain');
  }
}
model.dispose();
