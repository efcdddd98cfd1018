// node bench/server.js [--model fashion] [--seconds 20] [--max-batch N] [--load 0.7] [--steps N] [--schedule S] [--out FILE]
//
// How requests share a model: eight at once beside one batch of eight, and requests that come at random (Poisson) at 70 %
// of what it can do, beside an ideal queue, with the delays of the event loop. A preset such as L has random weights.

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { commandLine, formatResults, resultFile } from '../dist/cli/result-file.js';
import { load } from '../dist/index.js';
import { presets } from '../dist/plan/index.js';
import { readBatching } from '../dist/runtime/batching.js';
import { configOf } from '../dist/runtime/bench.js';
import { openDevices } from '../dist/runtime/device.js';
import { nativeGeneratorConfig } from '../dist/runtime/listing.js';
import { Model } from '../dist/runtime/model.js';
import { timing } from '../dist/runtime/timing.js';
import { integer, number, readOptions } from './options.js';

const { values } = readOptions({
  model: { type: 'string', default: 'fashion' },
  seconds: { type: 'string', default: '20' },
  load: { type: 'string', default: '0.7' }, // 0: no requests at random
  'max-batch': { type: 'string' },
  steps: { type: 'string' },
  schedule: { type: 'string' },
  out: { type: 'string' },
});
const seconds = number('seconds', values.seconds);
const share = number('load', values.load);
const maxBatch =
  values['max-batch'] === undefined ? undefined : integer('max-batch', values['max-batch']);
const batching = maxBatch === undefined ? true : { maxBatch };
const how = {
  steps: values.steps === undefined ? undefined : integer('steps', values.steps),
  schedule: values.schedule,
};

/** @param {keyof typeof presets} size */
async function randomModel(size) {
  const opened = openDevices({});
  const config = configOf(presets[size]);
  const [device] = opened.devices;
  const weights = { seed: 1 };
  const generator = await device.loadGenerator(
    nativeGeneratorConfig(config),
    weights,
    opened.weights,
  );
  return new Model(opened, config, generator, undefined, readBatching(batching));
}

const size = Object.keys(presets).find((name) => name === values.model);
const model = size
  ? await randomModel(/** @type {keyof typeof presets} */ (size))
  : await load(values.model, { batching });

/** @param {number[]} samples in seconds */
function summary(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  return { ...timing(samples), p99: sorted[Math.floor(0.99 * sorted.length)] ?? Number.NaN };
}

/** @param {() => Promise<unknown>} run */
async function timed(run) {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

let seed = 0;
const one = () => model.generate({ ...how, labels: [seed % 10], seed: seed++ }).result();
const batch = () =>
  model.generate({ ...how, labels: [1], count: 8, batchSize: 8, seed: seed++ }).result();
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

/** When requests come, in seconds: at random, whatever has become of the others. @param {number} rate */
function arrivalsAt(rate) {
  const arrivals = [];
  let at = 0;
  while (at < seconds * 0.5) {
    arrivals.push(at);
    at -= Math.log(1 - Math.random()) / rate;
  }
  return arrivals;
}

/**
 * Latencies of a queue that loses no time: all that wait when a batch ends are the next, up to `most`, and a batch of n
 * takes `time(n)`.
 * @param {number[]} arrivals @param {number} most @param {(n: number) => number} time
 */
function idealQueue(arrivals, most, time) {
  const latencies = [];
  let now = 0;
  for (let first = 0; first < arrivals.length; ) {
    now = Math.max(now, arrivals[first] ?? 0);
    let end = first + 1;
    while (end < arrivals.length && end - first < most && (arrivals[end] ?? 0) <= now) ++end;
    now += time(end - first);
    for (const arrival of arrivals.slice(first, end)) latencies.push(now - arrival);
    first = end;
  }
  return latencies;
}

const rate = (share * 8) / eight.median;
const arrivals = rate > 0 ? arrivalsAt(rate) : [];
/** @type {number[]} */
const latencies = [];
const idleDelay = await loopDelay(() => wait(1000));
const loadDelay = await loopDelay(async () => {
  const running = [];
  const begun = performance.now();
  for (const arrival of arrivals) {
    const due = begun + 1000 * arrival;
    await wait(Math.max(0, due - performance.now()));
    running.push(one().then(() => latencies.push((performance.now() - due) / 1000)));
  }
  await Promise.all(running);
});
const poisson = summary(latencies);
const perSample = (eight.median - alone.median) / 7;
const ideal = summary(
  idealQueue(
    arrivals,
    maxBatch ?? Number.POSITIVE_INFINITY,
    (n) => alone.median + (n - 1) * perSample,
  ),
);
const { batches } = model.metrics();

const name = values.model;
const flops = (/** @type {number} */ count) =>
  model.generate({ ...how, labels: [1], count, batchSize: count, seed: 1 }).plannedFlops;
const rows = [
  { name: 'one request', model: name, batch: 1, flops: flops(1), ...alone },
  { name: 'one batch of eight', model: name, batch: 8, flops: flops(8), ...eight },
  { name: 'eight requests at once', model: name, batch: 8, flops: flops(8), ...shared },
  ...(rate > 0
    ? [
        {
          name: `Poisson at ${values.load} of a batch of eight`,
          model: name,
          batch: 1,
          flops: flops(1),
          requestsPerSecond: rate,
          idealP99: ideal.p99,
          eventLoopIdleP99Ms: idleDelay,
          eventLoopP99Ms: loadDelay,
          ...poisson,
        },
      ]
    : []),
];
if (values.out !== undefined) {
  const device = { name: cpus()[0]?.model, backend: model.backend, threads: model.threads };
  const command = commandLine(['node', 'bench/server.js'], process.argv.slice(2));
  writeFileSync(values.out, formatResults(resultFile(device, command, {}, rows), values.out));
}
for (const { name, median, p99 } of rows) {
  console.log(
    `${name}: median ${(1000 * median).toFixed(1)} ms, p99 ${(1000 * p99).toFixed(1)} ms`,
  );
}
console.log(
  `eight at once: ${(eight.median / shared.median).toFixed(3)}x the throughput of one batch of eight`,
);
if (rate > 0) {
  const times = (/** @type {number} */ time) => `${(time / alone.median).toFixed(1)}x an idle p50`;
  console.log(
    `${rate.toFixed(1)} requests/s, ${latencies.length} requests: p50 ${times(poisson.median)}, p99 ${times(poisson.p99)}; ` +
      `of an ideal queue ${times(ideal.median)}, ${times(ideal.p99)}`,
  );
  console.log(
    `event loop p99: idle ${idleDelay.toFixed(2)} ms, under load ${loadDelay.toFixed(2)} ms; batches ${JSON.stringify(batches)}`,
  );
}
model.dispose();
