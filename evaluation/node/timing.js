// node evaluation/node/timing.js '[{ "name": "paper", "model": "models/fashion", "schedule": "paper", "cache": true }]'
//   [--predict]
//
// Times several methods to generate or, with --predict, to predict frames. Each method generates one batch in each of 6
// rounds, of which the first is not counted. Prints the device and the median seconds of each method.

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { load, Tensor } from '../../dist/index.js';
import { samplesThatFill } from '../../dist/runtime/device.js';
import { givenShape } from '../../dist/runtime/prediction.js';
import { timing } from '../../dist/runtime/timing.js';

/** @typedef {import('../../dist/index.js').Format} Format */
/**
 * @typedef {{ name: string, model: string, schedule: string, cache: boolean, refresh: number | null, weights?: Format }}
 *   Method
 */

const { values, positionals } = parseArgs({
  options: { predict: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const rounds = 5;
/** @type {Method[]} */
const methods = JSON.parse(positionals[0] ?? '[]');
/** @type {Map<string, Awaited<ReturnType<typeof load>>>} */
const models = new Map();
/** What is loaded once. @param {Method} method */
const keyOf = ({ model, weights = 'auto' }) => JSON.stringify([model, weights]);
for (const method of methods) {
  const { model, weights } = method;
  if (!models.has(keyOf(method))) models.set(keyOf(method), await load(model, { weights }));
}

/** @param {Method} method */
function generate(method) {
  const { schedule, cache, refresh } = method;
  const model = models.get(keyOf(method));
  if (!model) throw new RangeError(`${method.model}: expected a model that was loaded`);
  const options = {
    count: samplesThatFill(model, model.tokenCount),
    schedule,
    cache: cache ? undefined : false,
    refresh: refresh ?? undefined,
  };
  if (!values.predict) return model.generate({ ...options, labels: [0] });
  const shape = [1, ...givenShape(model.config, model.tokenizerConfig)];
  const black = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  return model.predict({ ...options, frames: new Tensor('float32', black, shape) });
}

/** @type {Record<string, number[]>} */
const samples = Object.fromEntries(methods.map(({ name }) => [name, []]));
for (let round = 0; round <= rounds; ++round) {
  for (const method of methods) {
    const { seconds } = await generate(method).result();
    if (round > 0) samples[method.name]?.push(seconds);
  }
}

const seconds = Object.entries(samples).map(([name, numbers]) => [name, timing(numbers).median]);
const [model] = models.values();
const device = { name: cpus()[0]?.model, backend: model?.backend, threads: model?.threads };
for (const each of models.values()) each.dispose();
console.log(JSON.stringify({ device, seconds: Object.fromEntries(seconds) }));
