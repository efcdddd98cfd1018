// node bench/samples.js --model fashion --count 10000 --name paper --seed 1 --out FILE
//
// Pictures for training/evaluate.py: raw 8-bit pixels [count, height, width], label i % classes; prints what one
// picture cost. Names: full, paper, paper-nocache, width-1/8 and so on (that width alone at every step).

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { load } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    count: { type: 'string', default: '10000' },
    name: { type: 'string', default: 'paper' },
    seed: { type: 'string', default: '1' },
    guidance: { type: 'string' },
    'choice-temperature': { type: 'string' },
    out: { type: 'string' },
  },
});

const batch = 200;
const count = Number(values.count);
const number = (text) => (text === undefined ? undefined : Number(text));
const model = await load(values.model);
const { steps } = model.config.sampling;

function scheduleOf(name) {
  if (name === 'full' || name === 'paper') return { schedule: name };
  if (name === 'paper-nocache') return { schedule: 'paper', cache: false };
  if (name.startsWith('width-')) return { schedule: [[name.slice('width-'.length), steps]] };
  throw new Error(`Expected a name of a schedule but received ${name}`);
}

const out = createWriteStream(values.out);
let flops = 0;
let baselineFlops = 0;
let seconds = 0;
for (let first = 0; first < count; first += batch) {
  const size = Math.min(batch, count - first);
  const generation = model.generate({
    ...scheduleOf(values.name),
    labels: Array.from({ length: size }, (_, i) => (first + i) % model.config.classes),
    firstSample: first,
    seed: Number(values.seed),
    guidanceScale: number(values.guidance),
    choiceTemperature: number(values['choice-temperature']),
  });
  const result = await generation.result();
  flops += result.flops;
  baselineFlops += result.baselineFlops;
  seconds += result.seconds;
  if (!out.write(Uint8Array.from(result.pixels.data, (value) => Math.round(255 * value)))) {
    await once(out, 'drain');
  }
}
out.end();
await once(out, 'finish');
model.dispose();
console.log(
  JSON.stringify({
    name: values.name,
    flops: flops / count,
    flopsRatio: baselineFlops / flops,
    seconds: seconds / count,
  }),
);
