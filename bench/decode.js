// node bench/decode.js [--threads 2] [--repeats 5] [--weights f32] [--out FILE]
//
// Tokens to the pixels of one picture of 256 x 256, by decoders of the sizes of MaskGIT's tokenizer and of VQ-16 with
// random weights, on the CPU: time, and the share of the best rate of multiply-adds, measured in the same run.

import { writeFileSync } from 'node:fs';
import { formatFlops, table } from '../dist/cli/output.js';
import { commandLine, formatResults, resultFile } from '../dist/cli/result-file.js';
import { openDevice } from '../dist/runtime/device.js';
import { deviceFacts } from '../dist/runtime/machine.js';
import { timing } from '../dist/runtime/timing.js';
import { choices, integer, readOptions } from './options.js';

/** @typedef {import('../dist/checkpoint/conv-tokenizer.js').ConvTokenizerConfig} Config */

const { values } = readOptions({
  threads: { type: 'string', default: '2' },
  repeats: { type: 'string', default: '5' },
  weights: { type: 'string', default: 'f32' },
  out: { type: 'string' },
});

/** @type {Config} */
const maskgit = {
  kind: 'conv',
  sampleShape: [1, 256, 256],
  channels: 3,
  baseChannels: 128,
  multipliers: [1, 1, 2, 2, 4],
  encoderBlocks: 2,
  decoderBlocks: 2,
  attention: false,
  shortcut: 'none',
  downsample: 'mean',
  encoderOutputKernel: 1,
  codebookSize: 1024,
  codebookDim: 256,
  codeChannels: 256,
  quantizer: 'nearest',
  normGroups: 32,
  normEps: 1e-6,
  signedPixels: false,
};
/** @type {Readonly<Record<string, Config>>} */
const configs = {
  MaskGIT: maskgit,
  'VQ-16': {
    ...maskgit,
    shortcut: 'projection',
    decoderBlocks: 3,
    attention: true,
    downsample: 'conv',
    encoderOutputKernel: 3,
    codebookSize: 16384,
    codebookDim: 8,
    quantizer: 'cosine',
    signedPixels: true,
  },
};

const repeats = integer('repeats', values.repeats);
const { device, weights } = openDevice({
  device: 'cpu',
  threads: integer('threads', values.threads),
  weights: choices('weights', values.weights, ['f32', 'bf16'])[0],
});
const decoders = [];
for (const [name, config] of Object.entries(configs)) {
  const tokenizer = await device.loadTokenizer(config, { seed: 1 }, weights);
  const tokens = Int32Array.from({ length: 256 }, (_, i) => (37 * i) % config.codebookSize);
  decoders.push({ name, tokenizer, tokens, flops: 0, samples: /** @type {number[]} */ ([]) });
}
let peakFlopsPerSecond = 0;
for (let i = -1; i < repeats; ++i) {
  for (const decoder of decoders) {
    const started = performance.now();
    const { flops } = await decoder.tokenizer.detokenize(decoder.tokens, 1);
    const seconds = (performance.now() - started) / 1000;
    decoder.flops = flops;
    if (i >= 0) decoder.samples.push(seconds);
    peakFlopsPerSecond = Math.max(peakFlopsPerSecond, await device.measurePeak());
  }
}
const rows = decoders.map(({ name, flops, samples }) => ({
  name,
  batch: 1,
  weights,
  flops,
  ...timing(samples),
}));
const lines = rows.map(({ name, flops, median, min }) => {
  const share = (/** @type {number} */ seconds) =>
    `${((100 * flops) / seconds / peakFlopsPerSecond).toFixed(1)} %`;
  const time = `${(1000 * median).toFixed(0)} ms`;
  return [name, formatFlops(flops), time, share(median), share(min)];
});
console.log(table(['', 'FLOPs', 'median', 'of the peak', 'at its best'], lines));
const facts = deviceFacts(device);
console.log(`\n${facts.backend}: at its best ${formatFlops(peakFlopsPerSecond)}/s`);
if (values.out !== undefined) {
  const command = commandLine(['node', 'bench/decode.js'], process.argv.slice(2));
  const result = resultFile({ ...facts, peakFlopsPerSecond }, command, {}, rows);
  writeFileSync(values.out, formatResults(result, values.out));
}
for (const { tokenizer } of decoders) tokenizer.dispose();
device.dispose();
