// node bench/peers/onnxruntime.js CHECKPOINT ONNX [--steps N] [--guidance W] [--batch B] [--repeats R] [--threads N]
//   [--out FILE]
//
// Times a whole generation of a public model's checkpoint on the CPU beside onnxruntime-node, which runs the networks that
// `python3 -m bench.peers.onnx CHECKPOINT --out ONNX` wrote: the transformer over every row at every step, then the
// tokenizer. onnxruntime draws no tokens: its sampling would be the caller's. All runs take turns. First the answers of
// both are compared.
//
// Rows (bench/README.md): `baseline`, every row at every step; `recipe`, the checkpoint's own steps, cache and order;
// `pixels`, the tokenizer where it is convolutional. Each has a `runtime`, magnets or onnxruntime.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine, formatResults, resultFile } from '../../dist/cli/result-file.js';
import { load, Tensor } from '../../dist/index.js';
import { openDevice } from '../../dist/runtime/device.js';
import { deviceFacts } from '../../dist/runtime/machine.js';
import { timing } from '../../dist/runtime/timing.js';
import { integer, number, readOptions } from '../options.js';
import {
  answer,
  difference,
  f32Bound,
  inTurns,
  int64,
  onnxruntimeVersion,
  openNetwork,
  question,
} from './networks.js';

const { values, positionals } = readOptions(
  {
    steps: { type: 'string' },
    guidance: { type: 'string' },
    batch: { type: 'string', default: '1' },
    repeats: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
  true,
);
const [folder, networks] = positionals;
if (folder === undefined || networks === undefined) {
  throw new TypeError('Expected a checkpoint and a folder with its ONNX files');
}
const batch = integer('batch', values.batch);
const repeats = integer('repeats', values.repeats);
const threads = integer('threads', values.threads);
// Before onnxruntime has threads: they wait by spinning.
const { device } = openDevice({ device: 'cpu', threads });
const facts = { ...deviceFacts(device), peakFlopsPerSecond: await device.measurePeak() };
device.dispose();
const model = await load(folder, { device: 'cpu', threads });
const { sampling } = model.config;
const steps = integer('steps', values.steps ?? String(sampling.steps));
const guidance = number('guidance', values.guidance ?? String(sampling.guidance));
const branches = guidance > 0 ? 2 : 1;
const { tokenCount, config } = model;

const transformer = await openNetwork(join(networks, 'generator.onnx'), threads);
const decoder =
  model.tokenizerConfig?.kind === 'conv'
    ? await openNetwork(join(networks, 'tokenizer.onnx'), threads)
    : undefined;
const labels = Array.from({ length: batch }, (_, i) => i % Math.max(1, config.classes));
const masked = new Int32Array(batch * tokenCount).fill(-1);
const asked = question({ vocabSize: config.vocabSize, tokenCount }, [
  ...labels,
  ...(branches > 1 ? labels.map(() => -1) : []),
]);
const tokens = Int32Array.from(masked, (_, i) => (i * 7919) % config.codebookSize);

async function check() {
  const ours = await model.forward({
    tokens: new Tensor('int32', masked, [batch, tokenCount]),
    labels,
  });
  const theirs = await answer(transformer, asked);
  const logits = difference(ours.data, theirs.subarray(0, ours.data.length)).largest;
  const differences = { logits, pixels: 0 };
  if (decoder !== undefined) {
    const own = await model.detokenize(new Tensor('int32', tokens, [batch, tokenCount]));
    const theirs = await answer(decoder, { tokens: int64(tokens, [batch, tokenCount]) });
    differences.pixels = difference(own.data, theirs).largest;
  }
  for (const [name, value] of Object.entries(differences)) {
    if (!(value < f32Bound))
      throw new Error(`${name} of both differ by ${value} standard deviations`);
  }
  return differences;
}

/** @typedef {{ name: string, runtime: string, flops?: number, run: () => Promise<void> }} Run */

/** A generation of ours. @param {string} name @param {object} options @returns {Run} */
function generation(name, options) {
  const settings = { labels, steps, guidance, seed: 1, batchSize: batch, ...options };
  const { plannedFlops: flops } = model.generate(settings);
  const run = async () => void (await model.generate(settings).result({ pixels: false }));
  return { name, runtime: 'magnets', flops, run };
}

const runs = [
  generation('baseline', { schedule: 'baseline' }),
  generation('recipe', {}),
  {
    name: 'baseline',
    runtime: 'onnxruntime',
    async run() {
      for (let i = 0; i < steps; ++i) await transformer.run(asked);
    },
  },
];
if (decoder !== undefined) {
  const pixelTokens = new Tensor('int32', tokens, [batch, tokenCount]);
  const inputs = { tokens: int64(tokens, [batch, tokenCount]) };
  runs.push(
    {
      name: 'pixels',
      runtime: 'magnets',
      run: async () => void (await model.detokenize(pixelTokens)),
    },
    { name: 'pixels', runtime: 'onnxruntime', run: async () => void (await decoder.run(inputs)) },
  );
}

const differences = await check();
console.log(`largest differences in standard deviations: ${JSON.stringify(differences)}`);
const rows = (await inTurns(runs, { repeats })).map(({ run: { run: _, ...facts }, samples }) => {
  const times = timing(samples);
  const [median, min, max] = [times.median, times.min, times.max].map((time) => time.toFixed(3));
  console.log(`${facts.name.padEnd(10)}${facts.runtime.padEnd(13)}${median} s (${min} .. ${max})`);
  return { ...facts, model: config.name, batch, steps, guidance, ...times };
});
console.log(`peak of the device ${(facts.peakFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`);
if (values.out !== undefined) {
  const command = commandLine(['node', 'bench/peers/onnxruntime.js'], process.argv.slice(2));
  const device = { ...facts, onnxruntime: onnxruntimeVersion };
  const result = resultFile(device, command, { repeats, differences }, rows);
  writeFileSync(values.out, formatResults(result, values.out));
}
model.dispose();
