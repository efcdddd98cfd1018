// node bench/peers/random-checkpoint.js bench/peers/public/maskgit-256 --to FOLDER
//
// Writes a checkpoint of random weights for timing: with the configs of a folder, which are the sizes of a public model
// without its weights, or of a preset such as L, with the block of MaskGIT.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseGeneratorConfig, parseTokenizerConfig } from '../../dist/checkpoint/config.js';
import { Scratch, writeModel } from '../../dist/checkpoint/convert/write.js';
import { presets } from '../../dist/plan/index.js';
import { classCount } from '../../dist/plan/vocabulary.js';
import { engineTensors } from '../../dist/runtime/listing.js';

const { values, positionals } = parseArgs({
  options: { to: { type: 'string' } },
  allowPositionals: true,
});
const [source] = positionals;
const { to } = values;
if (source === undefined || to === undefined) {
  throw new TypeError('Expected a folder with configs and --to FOLDER');
}

/** config.json of a preset. @param {import('../../dist/plan/index.js').ModelShape} shape */
const presetConfig = (shape) => ({
  model_type: 'magnets',
  hidden_size: shape.hiddenSize,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  head_dim: shape.headDim,
  intermediate_size: shape.intermediateSize,
  norm_position: 'post',
  hidden_act: 'gelu_tanh',
  layer_norm_eps: 1e-6,
  codebook_size: shape.codebookSize,
  num_classes: classCount(shape),
  latent_shape: shape.latentShape,
  widths: shape.widths,
});

const preset = Object.hasOwn(presets, source) ? presets[/** @type {'L'} */ (source)] : undefined;
if (preset === undefined) {
  cpSync(source, to, { recursive: true, errorOnExist: true, force: false });
} else {
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, 'config.json'), `${JSON.stringify(presetConfig(preset), null, 2)}\n`);
}

/** Uniform in [-1, 1) by a linear congruential generator (Numerical Recipes). */
let state = 1;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return state / 2 ** 31;
};

/**
 * Norms of one, no biases, and products that keep the size of what goes in.
 * @param {{ name: string, shape: readonly number[] }} entry
 */
function filled({ name, shape }) {
  const inputs = shape.slice(1).reduce((product, extent) => product * extent, 1);
  const range = Math.sqrt(3 / inputs);
  return {
    name,
    shape,
    from: [],
    /** @param {Float32Array} target */
    make(target) {
      if (name.endsWith('bias')) target.fill(0);
      else if (shape.length === 1) target.fill(1);
      else for (let i = 0; i < target.length; ++i) target[i] = range * random();
    },
  };
}

/** @param {string} folder @param {readonly { name: string, shape: readonly number[] }[]} entries */
function write(folder, entries) {
  const tensors = entries.map(filled);
  const source = { path: folder, group: new Map() };
  return writeModel(
    folder,
    source,
    tensors,
    () => 'f32',
    new Scratch(tensors),
    5e9,
    () => {},
  );
}

/** @param {string} folder */
const configOf = (folder) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
const tokenizer = join(to, 'tokenizer');
await write(to, engineTensors.generator(parseGeneratorConfig(source, source, configOf(to))));
if (existsSync(tokenizer)) {
  const config = parseTokenizerConfig(source, configOf(tokenizer));
  await write(tokenizer, engineTensors.tokenizer(config));
}
