// npm run bench:peers -- [--only B,L] [--batch 1,2,8] [--threads 1,2] [--what forward,generation] [--weights f32,int8]
//   [--peers onnxruntime,pytorch,avx2] [--repeats 3] [--seconds 40] [--json] [--out FILE [--resume]]
//
// Beside magnets on the CPU: onnxruntime-node, with f32 and with dynamically quantized products, PyTorch where
// /usr/bin/python3 has it, and magnets with AVX2 alone where the processor has more (`--peers` chooses). All have the same
// random weights. First the answers are compared. Then they take turns at full-size passes (forward) and at whole
// generations of one sample in 12 steps (generation): ours by `paper` and by the baseline, theirs the loop of full-size
// passes, without the sampling that would be the caller's. --only takes presets or folders with a config. Of a part of the
// matrix no round but the first that counts begins after so many seconds. FILE is written after each part; --resume keeps
// the parts that it has.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { shapeOf } from '../../dist/cli/arguments.js';
import { formatDuration, formatRatio, progress, table } from '../../dist/cli/output.js';
import { commandLine, formatResults, resultFile } from '../../dist/cli/result-file.js';
import { plan } from '../../dist/plan/index.js';
import { info, openDevice } from '../../dist/runtime/device.js';
import { deviceFacts } from '../../dist/runtime/machine.js';
import { timing } from '../../dist/runtime/timing.js';
import { choices, integer, integers, readOptions } from '../options.js';
import { inTurns, onnxruntimeVersion } from './networks.js';
import { compare, openMagnets, openOnnxruntime, openPytorch, prepare, steps } from './subjects.js';

/**
 * @typedef {import('./subjects.js').Weights} Weights
 * @typedef {import('./subjects.js').Subject} Subject
 * @typedef {{ what: 'forward' | 'generation', model: string, threads: number, batch: number }} Part
 * @typedef {{ name: string, what: string, model: string, threads: number, batch: number, weights: Weights, steps?: number, schedule?: string }} Row
 * @typedef {Row & import('../../dist/runtime/timing.js').Timing} TimedRow
 * @typedef {Row & { run: () => Promise<number | undefined | void> }} Run
 */

const { values } = readOptions({
  only: { type: 'string', default: 'B,L' },
  batch: { type: 'string', default: '1,2,8' },
  threads: { type: 'string', default: '1,2' },
  what: { type: 'string', default: 'forward,generation' },
  weights: { type: 'string', default: 'f32,int8' },
  peers: { type: 'string', default: 'onnxruntime,pytorch,avx2' },
  repeats: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '40' },
  json: { type: 'boolean', default: false },
  out: { type: 'string' },
  resume: { type: 'boolean', default: false },
});

const batches = integers('batch', values.batch);
const [firstBatch = 1] = batches;
const allThreads = integers('threads', values.threads);
const repeats = integer('repeats', values.repeats);
const seconds = integer('seconds', values.seconds);
const formats = choices('weights', values.weights, ['f32', 'int8']);
const peers = choices('peers', values.peers, ['onnxruntime', 'pytorch', 'avx2']);
const kinds = choices('what', values.what, ['forward', 'generation']);
const log = values.json ? console.error : console.log;

const { device } = openDevice({ device: 'cpu', threads: Math.max(...allThreads) });
/** @type {Record<string, unknown>} */
const facts = { ...deviceFacts(device), onnxruntime: onnxruntimeVersion };
device.dispose();

/** @type {Part[]} */
const parts = values.only.split(',').flatMap((model) =>
  allThreads.flatMap((threads) =>
    kinds.flatMap((what) =>
      (what === 'forward' ? batches : [firstBatch]).map((batch) => ({
        ...{ what, model, threads, batch },
      })),
    ),
  ),
);

/** @type {TimedRow[]} */
const rows = [];
if (values.resume) {
  if (values.out === undefined) throw new TypeError('Expected --out FILE for --resume');
  if (existsSync(values.out)) {
    const before = JSON.parse(readFileSync(values.out, 'utf8'));
    const now = resultFile(facts, '', {}, []);
    if (before.commit !== now.commit) {
      throw new Error(`${values.out}: expected commit ${now.commit} but received ${before.commit}`);
    }
    rows.push(...before.rows);
    facts.torch = before.device.torch;
  }
}

/** The rows of a part that was measured. @param {Part} part */
const rowsOf = ({ what, model, threads, batch }) =>
  rows.filter(
    (row) =>
      row.what === `${basename(model)} ${what}` && row.threads === threads && row.batch === batch,
  );

/** How much longer each takes than ours with the same weights: a generation than ours by `paper`. */
function compared() {
  return rows.map((row) => {
    const ours = rows.find(
      (one) =>
        one.name === `magnets ${row.weights}` &&
        one.what === row.what &&
        one.threads === row.threads &&
        one.batch === row.batch &&
        one.schedule !== 'baseline',
    );
    return { ...row, ratioToOurs: row.median / /** @type {TimedRow} */ (ours).median };
  });
}

function save() {
  if (values.out === undefined) return;
  const args = process.argv.slice(2).filter((one) => one !== '--resume');
  const command = commandLine(['npm', 'run', 'bench:peers', '--'], args);
  const result = resultFile(facts, command, { repeats, seconds }, compared());
  writeFileSync(values.out, formatResults(result, values.out));
}

/** FLOPs of a full-size pass over one sample. */
const flopsOf = new Map(
  await Promise.all(
    values.only.split(',').map(async (model) => {
      const { baselineFlops } = plan({ model: await shapeOf(model), steps: 1 });
      return /** @type {const} */ ([model, baselineFlops]);
    }),
  ),
);

/** What one round of a part costs, in one unit for all of them. @param {Part} part */
const costOf = ({ what, model, threads, batch }) =>
  ((flopsOf.get(model) ?? 0) * batch * (what === 'forward' ? 1 : steps)) / threads;

/** The seconds that parts will take, as fast as those before; undefined before the first. @param {readonly Part[]} left */
function estimate(left) {
  const done = parts.filter((part) => rowsOf(part).length > 0);
  if (done.length === 0) return undefined;
  const took = done.flatMap(rowsOf).reduce((sum, { median }) => sum + median, 0);
  const rate = took / done.reduce((sum, part) => sum + costOf(part), 0);
  return left.reduce((sum, part) => {
    const round = rate * costOf(part);
    return sum + round * Math.min(repeats + 1, 1 + Math.floor(seconds / round));
  }, 0);
}

/** @param {Part} part @param {readonly Subject[]} subjects */
async function measure({ what, model, threads, batch }, subjects) {
  const common = { what: `${basename(model)} ${what}`, model: basename(model), threads, batch };
  /** @type {Run[]} */
  const runs = subjects.flatMap(({ name, weights, forward, generations }) =>
    what === 'forward'
      ? [{ name, ...common, weights, run: forward(batch) }]
      : generations(batch).map((own) => ({ name, ...common, weights, steps, ...own })),
  );
  const timed = await inTurns(runs, {
    repeats,
    seconds,
    warmUp: what === 'forward', // of a generation all have run, and each has twelve passes
    onProgress: (done, total) => progress(`${common.what}, batch ${batch}`, done, total),
  });
  for (const { run, samples } of timed) {
    const { run: _, ...row } = run;
    rows.push({ ...row, ...timing(samples) });
  }
}

/** One after the other, so that none has to share the memory's huge pages while it loads. @param {string} folder @param {number} threads */
async function openAll(folder, threads) {
  const all = [await openMagnets(folder, threads, 'f32')]; // all answers are compared with these
  if (formats.includes('int8')) all.push(await openMagnets(folder, threads, 'int8'));
  for (const weights of peers.includes('onnxruntime') ? formats : []) {
    all.push(await openOnnxruntime(folder, threads, weights));
  }
  if (peers.includes('avx2')) {
    if (facts.instructionSet !== 'avx2' && info().cpu.instructionSets.includes('avx2')) {
      for (const weights of formats) all.push(await openMagnets(folder, threads, weights, 'avx2'));
    } else {
      log(`AVX2 alone: left out, this run has ${facts.instructionSet}`);
    }
  }
  if (peers.includes('pytorch') && formats.includes('f32')) {
    const pytorch = await openPytorch(folder, threads);
    if (pytorch === undefined) log('PyTorch: left out, /usr/bin/python3 has none');
    else all.push(pytorch);
    facts.torch = pytorch?.version;
  }
  return all;
}

for (const model of values.only.split(',')) {
  for (const threads of allThreads) {
    const own = parts.filter(
      (part) => part.model === model && part.threads === threads && rowsOf(part).length === 0,
    );
    if (own.length === 0) continue;
    const folder = prepare(model, log);
    const all = await openAll(folder, threads);
    await compare(folder, all, log);
    const subjects = all.filter(({ weights }) => formats.includes(weights));
    for (const part of own) {
      const left = parts.slice(parts.indexOf(part)).filter((one) => rowsOf(one).length === 0);
      const time = estimate(left);
      const soon = time === undefined ? '' : `, about ${formatDuration(time)}`;
      const setting = `${threads} ${threads === 1 ? 'thread' : 'threads'}, batch ${part.batch}`;
      const count = `${left.length} of ${parts.length} parts left`;
      log(`${basename(model)} ${part.what}, ${setting}: ${count}${soon}`);
      await measure(part, subjects);
      save();
    }
    for (const { close } of all) await close();
  }
}

if (values.json) {
  const lines = compared().map(({ name, schedule, what, threads, batch, median, ratioToOurs }) =>
    JSON.stringify({
      name: schedule === 'paper' || schedule === 'baseline' ? `${name}, ${schedule}` : name,
      ...{ what, threads, batch, seconds: median, ratioToOurs },
    }),
  );
  console.log(`[\n${lines.join(',\n')}\n]`);
} else {
  const lines = compared().map(
    ({ what, threads, batch, name, schedule, median, min, max, ratioToOurs }) => [
      what,
      threads,
      batch,
      schedule === undefined ? name : `${name}, ${schedule}`,
      `${median.toPrecision(3)} s (${min.toPrecision(3)} .. ${max.toPrecision(3)})`,
      formatRatio(ratioToOurs),
    ],
  );
  log(`\n${table(['', 'threads', 'batch', '', 'time', 'ratio to ours'], lines)}`);
}
