// @ts-check
// node bench/peers/onnxruntime.js CHECKPOINT ONNX [--steps N] [--guidance W] [--batch B] [--repeats R] [--threads N]
//   [--out FILE]
//
// Times a whole generation of a checkpoint on the CPU beside onnxruntime-node, which runs the networks that
// `python3 -m bench.peers.onnx CHECKPOINT --out ONNX` wrote: the transformer over every row at every step, then the
// tokenizer. onnxruntime draws no tokens: its sampling would be the caller's. All runs take turns. First the answers of
// both are compared.
//
// Rows (bench/README.md): `baseline`, every row at every step; `recipe`, the checkpoint's own steps, cache and order;
// `pixels`, the tokenizer. Each has a `runtime`, magnets or onnxruntime.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as onnx from 'onnxruntime-node';
import { load, Tensor } from '../../dist/index.js';
import { timing } from '../../dist/runtime/bench.js';
import { openDevice } from '../../dist/runtime/device.js';
import { checkedOutCommit, deviceFacts } from '../../dist/runtime/machine.js';

const { values, positionals } = parseArgs({
  options: {
    steps: { type: 'string' },
    guidance: { type: 'string' },
    batch: { type: 'string', default: '1' },
    repeats: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
  allowPositionals: true,
});
const [folder, networks] = positionals;
if (folder === undefined || networks === undefined) {
  throw new TypeError('Expected a checkpoint and a folder with its ONNX files');
}
const [batch, repeats, threads] = [values.batch, values.repeats, values.threads].map(Number);
// Before onnxruntime has threads: they wait by spinning.
const { device } = openDevice({ device: 'cpu', threads });
const facts = { ...deviceFacts(device), peakFlopsPerSecond: await device.measurePeak() };
device.dispose();
const model = await load(folder, { device: 'cpu', threads });
const steps = Number(values.steps ?? model.config.sampling.steps);
const guidance = Number(values.guidance ?? model.config.sampling.guidance);
const branches = guidance > 0 ? 2 : 1;
const { tokenCount, config } = model;

/** @param {string} name */
function open(name) {
  return onnx.InferenceSession.create(join(networks ?? '', name), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
}
/** @param {ArrayLike<number>} data @param {number[]} dims */
const int64 = (data, dims) =>
  new onnx.Tensor('int64', BigInt64Array.from(Array.from(data), BigInt), dims);

const transformer = await open('generator.onnx');
const decoder = model.tokenizerConfig === undefined ? undefined : await open('tokenizer.onnx');
const labels = Array.from({ length: batch }, (_, i) => i % Math.max(1, config.classes));
const masked = new Int32Array(batch * tokenCount).fill(-1);
const ids = int64(new Int32Array(branches * masked.length).fill(config.vocabSize - 1), [
  branches * batch,
  tokenCount,
]);
const classes = int64([...labels, ...labels.map(() => -1)].slice(0, branches * batch), [
  branches * batch,
]);
const tokens = Int32Array.from(masked, (_, i) => (i * 7919) % config.codebookSize);

/**
 * The largest difference, in standard deviations of the expected values.
 * @param {Float32Array} actual @param {Float32Array} expected
 */
function difference(actual, expected) {
  const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length;
  const variance = expected.reduce((sum, value) => sum + (value - mean) ** 2, 0) / expected.length;
  let largest = 0;
  for (let i = 0; i < expected.length; ++i) {
    largest = Math.max(largest, Math.abs(/** @type {number} */ (actual[i]) - expected[i]));
  }
  return largest / Math.sqrt(variance);
}

/** A network's only answer. @param {onnx.InferenceSession} session @param {Record<string, onnx.Tensor>} inputs */
async function answer(session, inputs) {
  const [output] = Object.values(await session.run(inputs));
  if (!(output?.data instanceof Float32Array)) throw new TypeError('Expected an answer in f32');
  return output.data;
}

async function check() {
  const ours = await model.forward({
    tokens: new Tensor('int32', masked, [batch, tokenCount]),
    labels,
  });
  const theirs = await answer(transformer, { ids, labels: classes });
  const logits = difference(ours.data, theirs.subarray(0, ours.data.length));
  const differences = { logits, pixels: 0 };
  if (decoder !== undefined) {
    const own = await model.detokenize(new Tensor('int32', tokens, [batch, tokenCount]));
    const theirs = await answer(decoder, { tokens: int64(tokens, [batch, tokenCount]) });
    differences.pixels = difference(own.data, theirs);
  }
  for (const [name, value] of Object.entries(differences)) {
    if (!(value < 1e-3)) throw new Error(`${name} of both differ by ${value} standard deviations`);
  }
  return differences;
}

/** @param {object} options */
async function generate(options) {
  const generation = model.generate({
    labels,
    steps,
    guidance,
    seed: 1,
    batchSize: batch,
    ...options,
  });
  const { flops } = await generation.result({ pixels: false });
  return flops;
}

/** @type {{ name: string, runtime: string, run: () => Promise<number | undefined> }[]} */
const runs = [
  { name: 'baseline', runtime: 'magnets', run: () => generate({ schedule: 'baseline' }) },
  { name: 'recipe', runtime: 'magnets', run: () => generate({}) },
  {
    name: 'baseline',
    runtime: 'onnxruntime',
    async run() {
      for (let i = 0; i < steps; ++i) await transformer.run({ ids, labels: classes });
      return undefined;
    },
  },
];
if (decoder !== undefined) {
  runs.push(
    {
      name: 'pixels',
      runtime: 'magnets',
      async run() {
        await model.detokenize(new Tensor('int32', tokens, [batch, tokenCount]));
        return undefined;
      },
    },
    {
      name: 'pixels',
      runtime: 'onnxruntime',
      async run() {
        await decoder.run({ tokens: int64(tokens, [batch, tokenCount]) });
        return undefined;
      },
    },
  );
}

const differences = await check();
console.log(`largest differences in standard deviations: ${JSON.stringify(differences)}`);
/** @type {{ flops: number | undefined, samples: number[] }[]} */
const results = runs.map(() => ({ flops: undefined, samples: [] }));
for (let round = -1; round < repeats; ++round) {
  for (const [i, { run }] of runs.entries()) {
    const started = performance.now();
    const flops = await run();
    const result = results[i];
    if (round < 0 || result === undefined) continue;
    result.flops = flops;
    result.samples.push((performance.now() - started) / 1000);
  }
}

const rows = runs.map(({ name, runtime }, i) => {
  const { flops, samples } = results[i] ?? { flops: undefined, samples: [] };
  const times = timing(samples);
  const [median, min, max] = [times.median, times.min, times.max].map((time) => time.toFixed(3));
  console.log(`${name.padEnd(10)}${runtime.padEnd(13)}${median} s (${min} .. ${max})`);
  return { name, runtime, model: config.name, batch, steps, guidance, flops, ...times };
});
console.log(`peak of the device ${(facts.peakFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`);
if (values.out !== undefined) {
  const file = {
    device: { ...facts, onnxruntime: onnx.env.versions.node ?? onnx.env.versions.common },
    commit: checkedOutCommit(),
    command: `node bench/peers/onnxruntime.js ${process.argv.slice(2).join(' ')}`,
    date: new Date().toISOString().slice(0, 10),
    repeats,
    differences,
    rows,
  };
  writeFileSync(values.out, `${JSON.stringify(file, null, 2)}\n`);
}
model.dispose();
