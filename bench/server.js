#!/usr/bin/env node
// How requests share a model: eight at once beside one batch of eight, and requests that come at random (Poisson) at 70 %
// of what it can do, with the delays of the event loop. `node bench/server.js [--model fashion] [--seconds 20] --out FILE`

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { load } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    seconds: { type: 'string', default: '20' },
    load: { type: 'string', default: '0.7' },
    out: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const model = await load(values.model);

/** @param {number[]} sorted @param {number} share */
const quantile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;

/** @param {number[]} samples in seconds */
function summary(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median =
    ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) /
    2;
  return { samples, median, min: sorted[0], max: sorted.at(-1), p99: quantile(sorted, 0.99) };
}

/** @param {() => Promise<unknown>} run */
async function timed(run) {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

let seed = 0;
const one = () => model.generate({ labels: [seed % 10], seed: seed++ }).result();
const batch = () => model.generate({ labels: [1], count: 8, batchSize: 8, seed: seed++ }).result();
const atOnce = () => Promise.all(Array.from({ length: 8 }, one));

/** Runs for a share of the time, in turn, so that all see the same machine. */
async function inTurn(
  /** @type {(() => Promise<unknown>)[]} */ works,
  /** @type {number} */ share,
) {
  const times = works.map(() => /** @type {number[]} */ ([]));
  for (const work of works) await work();
  const end = performance.now() + 1000 * seconds * share;
  while (performance.now() < end) {
    for (const [i, work] of works.entries()) times[i]?.push(await timed(work));
  }
  return times.map(summary);
}

/** p99 in milliseconds of the time between two looks that are 10 ms apart: looking more often would slow the work down. */
async function loopDelay(/** @type {() => Promise<unknown>} */ work) {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  await work();
  histogram.disable();
  return histogram.percentile(99) / 1e6;
}

const [alone, eight, shared] = await inTurn([one, batch, atOnce], 0.4);
if (alone === undefined || eight === undefined || shared === undefined) throw new Error('no times');

// Requests come at random, each when its time has come, whatever has become of the others.
const rate = (Number(values.load) * 8) / shared.median;
/** @type {number[]} */
const latencies = [];
const idleDelay = await loopDelay(() => wait(1000));
const loadDelay = await loopDelay(async () => {
  const running = [];
  const end = performance.now() + 1000 * seconds * 0.5;
  let next = performance.now();
  while (next < end) {
    await wait(Math.max(0, next - performance.now()));
    running.push(timed(one).then((time) => latencies.push(time)));
    next += (-Math.log(1 - Math.random()) / rate) * 1000;
  }
  await Promise.all(running);
});
const poisson = summary(latencies);
const { batches } = model.metrics();

const command = (/** @type {string[]} */ ...args) =>
  execFileSync('git', args, { encoding: 'utf8' }).trim();
const name = values.model;
const flops = (/** @type {number} */ count) =>
  model.generate({ labels: [1], count, batchSize: count, seed: 1 }).plannedFlops;
const result = {
  device: { name: cpus()[0]?.model, backend: model.backend, threads: model.threads },
  commit: command('describe', '--always', '--dirty', '--exclude=*'),
  command: `node bench/server.js --model ${name} --seconds ${values.seconds} --load ${values.load} --out FILE`,
  date: new Date().toISOString().slice(0, 10),
  rows: [
    { name: 'one request', model: name, batch: 1, flops: flops(1), ...alone },
    { name: 'one batch of eight', model: name, batch: 8, flops: flops(8), ...eight },
    { name: 'eight requests at once', model: name, batch: 8, flops: flops(8), ...shared },
    {
      name: `Poisson at ${values.load} of eight at once`,
      model: name,
      batch: 1,
      flops: flops(1),
      requestsPerSecond: rate,
      eventLoopIdleP99Ms: idleDelay,
      eventLoopP99Ms: loadDelay,
      ...poisson,
    },
  ],
};
if (values.out) writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
for (const { name, median, p99 } of result.rows) {
  console.log(
    `${name}: median ${(1000 * median).toFixed(1)} ms, p99 ${(1000 * p99).toFixed(1)} ms`,
  );
}
console.log(
  `eight at once: ${(eight.median / shared.median).toFixed(3)}x the throughput of one batch of eight`,
);
console.log(
  `${rate.toFixed(1)} requests/s, ${latencies.length} requests; p99 ${(poisson.p99 / alone.median).toFixed(2)}x an idle p50`,
);
console.log(
  `event loop p99: idle ${idleDelay.toFixed(2)} ms, under load ${loadDelay.toFixed(2)} ms; batches ${JSON.stringify(batches)}`,
);
model.dispose();
