// node bench/times.js '[{ "name": "full", "model": "fashion", "schedule": "full", "cache": true }, ...]' [--no-guidance]
//
// Seconds of a batch by each of several ways to generate: medians of 5 rounds in which each has its turn, after one that is
// not counted.

import { parseArgs } from 'node:util';
import { load } from '../dist/index.js';

const { values, positionals } = parseArgs({
  options: { 'no-guidance': { type: 'boolean', default: false } },
  allowPositionals: true,
});
const rounds = 5;
const ways = JSON.parse(positionals[0]);
const models = new Map();
for (const { model } of ways) if (!models.has(model)) models.set(model, await load(model));
const seconds = Object.fromEntries(ways.map(({ name }) => [name, []]));
for (let round = -1; round < rounds; ++round) {
  for (const { name, model: folder, schedule, cache } of ways) {
    const model = models.get(folder);
    const generation = model.generate({
      labels: [0],
      count: Math.ceil(2000 / model.tokens),
      schedule,
      cache: cache ? undefined : false,
      guidanceScale: values['no-guidance'] ? 0 : undefined,
    });
    const result = await generation.result();
    if (round >= 0) seconds[name].push(result.seconds);
  }
}
for (const model of models.values()) model.dispose();
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(rounds / 2)];
console.log(
  JSON.stringify(Object.fromEntries(ways.map(({ name }) => [name, median(seconds[name])]))),
);
