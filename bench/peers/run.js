// @ts-check
// npm run bench:peers -- [--only B,L] [--batch 1,2,8] [--threads 1,2] [--what forward,generation] [--weights f32,int8]
//   [--peers onnxruntime,pytorch] [--repeats 3] [--seconds 20] [--json] [--out FILE]
//
// Beside magnets on the CPU: onnxruntime-node, with f32 and with dynamically quantized products, and PyTorch where
// /usr/bin/python3 has it (`--peers` chooses). All have the same random weights. First the answers are compared. Then
// they take turns at full-size passes (forward) and at whole generations of one sample in 12 steps (generation): ours by
// `paper` and by the baseline, theirs the loop of full-size passes, without the sampling that would be the caller's.
// --only takes presets or folders with a config. No round begins after so many seconds.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatRatio, progress, table } from '../../dist/cli/output.js';
import {
  checkResultName,
  commandLine,
  formatResults,
  resultFile,
} from '../../dist/cli/result-file.js';
import { load, Tensor } from '../../dist/index.js';
import { timing } from '../../dist/runtime/bench.js';
import { openDevice } from '../../dist/runtime/device.js';
import { deviceFacts } from '../../dist/runtime/machine.js';
import {
  answer,
  difference,
  f32Bound,
  inTurns,
  onnxruntimeVersion,
  openNetwork,
  question,
} from './networks.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const python = '/usr/bin/python3';
const steps = 12;

/**
 * @typedef {'f32' | 'int8'} Weights
 * @typedef {{ name: string, what: string, model: string, threads: number, batch: number, weights: Weights, steps?: number, schedule?: string }} Row
 * @typedef {Row & { run: () => Promise<number | undefined | void> }} Run
 * @typedef {object} Subject
 * @property {string} name
 * @property {Weights} weights
 * @property {() => Promise<Float32Array>} logits Of one sample, [N, V].
 * @property {(batch: number) => () => Promise<number | undefined | void>} forward
 * @property {(batch: number) => { schedule: string, run: () => Promise<number | undefined | void> }[]} generations
 * @property {() => void | Promise<void>} close
 */

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'B,L' },
    batch: { type: 'string', default: '1,2,8' },
    threads: { type: 'string', default: '1,2' },
    what: { type: 'string', default: 'forward,generation' },
    weights: { type: 'string', default: 'f32,int8' },
    peers: { type: 'string', default: 'onnxruntime,pytorch' },
    repeats: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

/** The numbers of a list. @param {'batch' | 'threads' | 'repeats' | 'seconds'} name */
function numbers(name) {
  return values[name].split(',').map((text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`Expected positive integers for --${name} but received ${values[name]}`);
  });
}

/** The members of a list. @template {string} T @param {'what' | 'weights' | 'peers'} name @param {readonly T[]} known */
function choices(name, known) {
  const chosen = values[name].split(',').filter((text) => text !== '');
  const wrong = chosen.find((text) => !known.includes(/** @type {T} */ (text)));
  if (wrong === undefined) return /** @type {T[]} */ (chosen);
  throw new RangeError(`Expected ${known.join(', ')} for --${name} but received ${wrong}`);
}

const batches = numbers('batch');
const [repeats = 1] = numbers('repeats');
const [seconds = 1] = numbers('seconds');
const what = choices('what', ['forward', 'generation']);
const formats = choices('weights', ['f32', 'int8']);
const peers = choices('peers', ['onnxruntime', 'pytorch']);
if (values.out !== undefined) checkResultName(values.out);
const log = values.json ? console.error : console.log;

/** The folder of a model's checkpoint and networks; what is not there is made. @param {string} model */
function prepare(model) {
  const folder = join(root, 'build/peers', basename(model));
  if (existsSync(join(folder, 'generator-int8.onnx'))) return folder;
  log(`${folder}: making random weights and the same as ONNX files`);
  rmSync(folder, { recursive: true, force: true });
  const parts = `${folder}.parts`;
  rmSync(parts, { recursive: true, force: true });
  const run = (/** @type {string} */ command, /** @type {string[]} */ args) =>
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  run(process.execPath, ['bench/peers/random-checkpoint.js', model, '--to', parts]);
  run(python, ['-W', 'ignore', '-m', 'bench.peers.onnx', parts, '--out', parts]);
  renameSync(parts, folder);
  return folder;
}

/** @param {string} folder @param {number} threads @param {Weights} weights @returns {Promise<Subject>} */
async function openMagnets(folder, threads, weights) {
  const model = await load(folder, { device: 'cpu', threads, weights });
  const labels = (/** @type {number} */ batch) => Array.from({ length: batch }, (_, i) => i);
  const forward = (/** @type {number} */ batch) => {
    const shape = [batch, model.tokenCount];
    const tokens = new Tensor('int32', new Int32Array(batch * model.tokenCount).fill(-1), shape);
    return () => model.forward({ tokens, labels: labels(batch) });
  };
  return {
    name: `magnets ${weights}`,
    weights,
    logits: async () => (await forward(1)()).data,
    forward: (batch) => async () => void (await forward(batch)()),
    generations: (batch) =>
      ['paper', 'baseline'].map((schedule) => ({
        schedule,
        async run() {
          const options = { labels: labels(batch), steps, schedule, guidance: 0, seed: 1 };
          await model.generate({ ...options, batchSize: batch }).result({ pixels: false });
        },
      })),
    close: () => model.dispose(),
  };
}

/** @param {string} folder @param {number} threads @param {Weights} weights @returns {Promise<Subject>} */
async function openOnnxruntime(folder, threads, weights) {
  const name = weights === 'int8' ? 'generator-int8.onnx' : 'generator.onnx';
  const session = await openNetwork(join(folder, name), threads);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const shape = {
    vocabSize: config.codebook_size + config.num_classes + 2,
    tokenCount: config.latent_shape.reduce(
      (/** @type {number} */ a, /** @type {number} */ b) => a * b,
      1,
    ),
  };
  const asked = (/** @type {number} */ batch) =>
    question(
      shape,
      Array.from({ length: batch }, (_, i) => i),
    );
  return {
    name: `onnxruntime ${weights}`,
    weights,
    logits: () => answer(session, asked(1)),
    forward(batch) {
      const inputs = asked(batch);
      return async () => void (await session.run(inputs));
    },
    generations(batch) {
      const inputs = asked(batch);
      const run = async () => {
        for (let step = 0; step < steps; ++step) await session.run(inputs);
      };
      return [{ schedule: 'every pass full-size', run }];
    },
    close: () => session.release(),
  };
}

/** Undefined where there is none. @param {string} folder @param {number} threads @returns {Promise<(Subject & { version: string }) | undefined>} */
async function openPytorch(folder, threads) {
  const child = spawn(python, ['-m', 'bench.peers.pytorch', folder, '--threads', `${threads}`], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.on('error', () => {}); // then there are no lines
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const hello = await next();
  if (hello === undefined) return undefined;
  const ask = async (/** @type {object} */ request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const reply = await next();
    if (reply === undefined) throw new Error('PyTorch ended without an answer');
    return reply.seconds;
  };
  return {
    name: 'PyTorch f32',
    weights: 'f32',
    version: hello.torch,
    async logits() {
      const scratch = mkdtempSync(join(tmpdir(), 'magnets-'));
      try {
        const file = join(scratch, 'logits');
        await ask({ batch: 1, passes: 1, file });
        const { buffer, byteOffset, byteLength } = readFileSync(file);
        return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
      } finally {
        rmSync(scratch, { recursive: true });
      }
    },
    forward: (batch) => () => ask({ batch, passes: 1 }),
    generations: (batch) => [
      { schedule: 'every pass full-size', run: () => ask({ batch, passes: steps }) },
    ],
    close: () => void child.stdin.end(),
  };
}

/**
 * Bytes lose about 1.5 % in each product (a step of the weights is 1/127 of the largest of a row, one of the activations
 * 1/255 of their range in the whole batch), and errors of four products a layer add up by their squares.
 * @param {string} folder
 */
function int8Bound(folder) {
  const { num_hidden_layers: layers } = JSON.parse(
    readFileSync(join(folder, 'config.json'), 'utf8'),
  );
  return 0.015 * Math.sqrt(4 * layers);
}

/** All answer what magnets answers in f32. @param {string} folder @param {readonly Subject[]} subjects */
async function compare(folder, subjects) {
  const [reference, ...others] = subjects;
  if (reference === undefined) return;
  const expected = await reference.logits();
  for (const { name, weights, logits } of others) {
    const { largest, rms } = difference(await logits(), expected);
    const [value, bound] = weights === 'f32' ? [largest, f32Bound] : [rms, int8Bound(folder)];
    const text = `logits of ${name} differ by ${value.toPrecision(2)} standard deviations`;
    if (!(value < bound)) throw new Error(`${text}, expected less than ${bound.toPrecision(2)}`);
    log(`${basename(folder)}: ${text}`);
  }
}

/** @type {(Row & import('../../dist/runtime/bench.js').Timing)[]} */
const rows = [];
/** @type {Record<string, unknown>} */
const versions = { onnxruntime: onnxruntimeVersion };

for (const model of values.only.split(',')) {
  const folder = prepare(model);
  for (const threads of numbers('threads')) {
    const opening = [openMagnets(folder, threads, 'f32')];
    if (formats.includes('int8')) opening.push(openMagnets(folder, threads, 'int8'));
    if (peers.includes('onnxruntime')) {
      opening.push(...formats.map((weights) => openOnnxruntime(folder, threads, weights)));
    }
    const all = await Promise.all(opening);
    if (peers.includes('pytorch') && formats.includes('f32')) {
      const pytorch = await openPytorch(folder, threads);
      if (pytorch === undefined) log(`PyTorch: left out, ${python} has none`);
      else all.push(pytorch);
      versions.torch = pytorch?.version;
    }
    await compare(folder, all);
    const subjects = all.filter(({ weights }) => formats.includes(weights));
    const measure = async (/** @type {Run[]} */ runs, /** @type {boolean} */ warmUp) => {
      const label = `${runs[0]?.what}, batch ${runs[0]?.batch}, ${threads} threads`;
      const onProgress = (/** @type {number} */ done, /** @type {number} */ total) =>
        progress(label, done, total);
      for (const { run, samples } of await inTurns(runs, {
        repeats,
        seconds,
        warmUp,
        onProgress,
      })) {
        const { run: _, ...row } = run;
        rows.push({ ...row, ...timing(samples) });
      }
    };
    const common = { model: basename(folder), threads };
    for (const batch of what.includes('forward') ? batches : []) {
      const runs = subjects.map(({ name, weights, forward }) => ({
        ...{ name, what: `${common.model} forward`, ...common, batch, weights },
        run: forward(batch),
      }));
      await measure(runs, true);
    }
    if (what.includes('generation')) {
      const [batch = 1] = batches;
      const runs = subjects.flatMap(({ name, weights, generations }) =>
        generations(batch).map(({ schedule, run }) => ({
          ...{
            name,
            what: `${common.model} generation`,
            ...common,
            batch,
            weights,
            steps,
            schedule,
          },
          run,
        })),
      );
      await measure(runs, false); // all have run already, and each has twelve passes
    }
    for (const { close } of all) await close();
  }
}

/** How much longer it takes than ours with the same weights: a generation than ours by `paper`. */
const compared = rows.map(({ samples, ...row }) => {
  const ours = rows.find(
    (one) =>
      one.name === `magnets ${row.weights}` &&
      one.what === row.what &&
      one.threads === row.threads &&
      one.batch === row.batch &&
      one.schedule !== 'baseline',
  );
  return { ...row, samples, ratioToOurs: row.median / /** @type {typeof row} */ (ours).median };
});

if (values.json) {
  const lines = compared.map(({ name, schedule, what, threads, batch, median, ratioToOurs }) =>
    JSON.stringify({
      name: schedule === 'paper' || schedule === 'baseline' ? `${name}, ${schedule}` : name,
      ...{ what, threads, batch, seconds: median, ratioToOurs },
    }),
  );
  console.log(`[\n${lines.join(',\n')}\n]`);
} else {
  const lines = compared.map(
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
if (values.out !== undefined) {
  const { device } = openDevice({ device: 'cpu', threads: Math.max(...numbers('threads')) });
  const facts = { ...deviceFacts(device), ...versions };
  device.dispose();
  const command = commandLine(['npm', 'run', 'bench:peers', '--'], process.argv.slice(2));
  const result = resultFile(facts, command, { repeats, seconds }, compared);
  writeFileSync(values.out, formatResults(result, values.out));
}
