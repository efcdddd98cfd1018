// npm run bench [-- --threads N] [--repeats N] [--models fashion,moving-digits,B] [--batch N,N] [--out FILE]
//
// FLOPs and time of the schedule `paper` beside the full-size baseline, in a few minutes: the bundled models, one sample
// and many at once, and random weights of size B; f32 and int8. Ends with one table.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shapeOf } from '../dist/cli/arguments.js';
import { formatFlops, formatRatio, progress, table } from '../dist/cli/output.js';
import { commandLine, formatResults, resultFile } from '../dist/cli/result-file.js';
import { bench } from '../dist/runtime/bench.js';
import { integer, integers, readOptions } from './options.js';

/** @typedef {import('../dist/runtime/bench.js').BenchRow} BenchRow */

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = readOptions({
  threads: { type: 'string', default: '2' },
  repeats: { type: 'string', default: '3' },
  models: { type: 'string', default: 'fashion,moving-digits,B' },
  batch: { type: 'string' },
  out: { type: 'string' },
});
const threads = integer('threads', values.threads);
const repeats = integer('repeats', values.repeats);
const chosen = values.batch === undefined ? undefined : integers('batch', values.batch);
/** How many samples at once where --batch does not say it. @type {Record<string, number[]>} */
const bundled = { fashion: [1, 8, 40], 'moving-digits': [1, 8] };
const formats = /** @type {const} */ (['f32', 'int8']);

/** @type {BenchRow[]} */
const rows = [];
/** @type {{ name?: string, instructionSet?: string, peakFlopsPerSecond: number }} */
let device = { peakFlopsPerSecond: 0 };
for (const name of values.models.split(',')) {
  const batches = Object.hasOwn(bundled, name) ? bundled[name] : undefined;
  const model = await shapeOf(batches === undefined ? name : join(root, 'models', name));
  for (const weights of formats) {
    const result = await bench({
      device: 'cpu',
      ...{ threads, weights, model, repeats },
      batches: chosen ?? batches ?? [1],
      steps: 12,
      schedules: ['paper'],
      guidance: 0,
      profile: true,
      onProgress: (done, total) => progress(`${name}, ${weights}`.padEnd(20), done, total),
    });
    rows.push(...result.rows);
    const best = Math.max(device.peakFlopsPerSecond, result.device.peakFlopsPerSecond);
    device = { ...result.device, peakFlopsPerSecond: best };
  }
}

const lines = rows.flatMap((row, i) => {
  const baseline = rows[i - 1];
  if (row.name === 'baseline' || baseline === undefined) return [];
  const { profile } = row;
  const sum = (/** @type {number[]} */ numbers) => numbers.reduce((total, one) => total + one, 0);
  const products = profile === undefined ? 0 : profile.projections + profile.mlp + profile.lmHead;
  const share = (100 * products) / sum(Object.values(profile ?? {}));
  return [
    [
      row.model,
      row.weights,
      row.batch,
      formatFlops(row.flops),
      formatRatio(row.flopsRatio),
      `${(1000 * baseline.median).toPrecision(3)} ms`,
      `${(1000 * row.median).toPrecision(3)} ms`,
      formatRatio(row.timeRatio),
      `${share.toFixed(0)} %`,
    ],
  ];
});
const header = ['model', 'weights', 'batch', 'FLOPs of paper', 'FLOPs ratio'];
header.push('time of baseline', 'of paper', 'time ratio', 'products');
console.log(`\n${table(header, lines)}`);
const { name, instructionSet, peakFlopsPerSecond } = device;
console.log(
  `\n${name}, ${instructionSet}, ${threads} threads; at its best ${formatFlops(peakFlopsPerSecond)}/s in f32`,
);
if (values.out !== undefined) {
  const command = commandLine(['npm', 'run', 'bench', '--'], process.argv.slice(2));
  writeFileSync(
    values.out,
    formatResults(resultFile(device, command, { repeats }, rows), values.out),
  );
}
