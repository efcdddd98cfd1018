// node bench/times.js '[{ "name": "full", "model": "fashion", "schedule": "full", "cache": true }, ...]' [--predict]
//
// Seconds of a batch by each of several ways to generate or, with --predict, to predict frames: medians of 5 rounds in
// which each has its turn, after one that is not counted; and the backend.

import { parseArgs } from 'node:util';
import { load, Tensor } from '../dist/index.js';
import { givenShape } from '../dist/runtime/prediction.js';
import { batchOf } from './batch.js';

const { values, positionals } = parseArgs({
  options: { predict: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const rounds = 5;
const ways = JSON.parse(positionals[0]);
const models = new Map();
for (const { model } of ways) if (!models.has(model)) models.set(model, await load(model));

function generate({ model: folder, schedule, cache }) {
  const model = models.get(folder);
  const options = { count: batchOf(model), schedule, cache: cache ? undefined : false };
  if (!values.predict) return model.generate({ ...options, labels: [0] });
  const dims = [1, ...givenShape(model.config, model.tokenizerConfig)];
  const black = new Float32Array(dims.reduce((product, extent) => product * extent, 1));
  return model.predict({ ...options, frames: new Tensor('float32', black, dims) });
}

const seconds = new Map(ways.map(({ name }) => [name, []]));
for (let round = -1; round < rounds; ++round) {
  for (const way of ways) {
    const result = await generate(way).result();
    if (round >= 0) seconds.get(way.name).push(result.seconds);
  }
}
const [{ backend }] = models.values();
for (const model of models.values()) model.dispose();
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(rounds / 2)];
const medians = [...seconds].map(([name, turns]) => [name, median(turns)]);
console.log(JSON.stringify({ backend, seconds: Object.fromEntries(medians) }));
