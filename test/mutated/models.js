// Mutated checkpoints: files damaged as bytes, configs and headers with other values in them, weights of any value; and
// sound models of other sizes than any fixture, whose weights are written to fit.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseGeneratorConfig, parseTokenizerConfig } from '../../dist/checkpoint/config.js';
import { scaleOf } from '../../dist/checkpoint/schema.js';
import { engineTensors } from '../../dist/runtime/listing.js';
import { damaged } from './random.js';

/**
 * @typedef {import('./random.js').Random} Random
 * @typedef {Record<string, Buffer>} Files by their path in the folder
 * @typedef {Record<string, any>} Json
 */

const fixtures = new URL('../fixtures/', import.meta.url).pathname;
const weights = 'model.safetensors';
const tokenizerConfig = 'tokenizer/config.json';
const tokenizerWeights = 'tokenizer/model.safetensors';

/** @param {string} folder @param {string[]} paths @returns {Files} */
function read(folder, paths) {
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path))]));
}

const schedules = JSON.stringify({ fast: { schedule: '1/8x2,1x1' }, slow: { schedule: '1x3' } });
const whole = ['config.json', weights, tokenizerConfig, tokenizerWeights];

/** Sound checkpoints. */
const seeds = [
  { ...read(join(fixtures, 'post'), whole), 'schedules.json': Buffer.from(schedules) },
  read(join(fixtures, 'pre'), whole),
  read(join(fixtures, 'video'), whole),
  read(join(fixtures, 'modulated'), ['config.json', weights]),
  read(join(fixtures, 'untied'), ['config.json', weights]),
];

/** @type {readonly unknown[]} */
const oddNumbers = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  7,
  8,
  0.5,
  1e-20,
  1e-30,
  1e30,
  1e31,
  1e308,
  255,
  256,
  4095,
  4096,
  4097,
  65535,
  65536,
  2 ** 20,
  2 ** 20 + 1,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 31),
];
/** @type {readonly unknown[]} */
const oddValues = [
  null,
  true,
  false,
  '',
  'text',
  '1/8',
  '1',
  '0/0',
  '1/0',
  '__proto__',
  '\ud800',
  [],
  {},
  [[]],
  [1],
  [1, 1, 1],
  [4096, 4096, 4096],
  { a: 1 },
  'x'.repeat(300),
  [null],
  ['a', 'a'],
  [0.1, 0.5, 1e30],
];
const words = [
  'layer_norm',
  'rms_norm',
  'none',
  'rms',
  'multiply',
  'class',
  'pre',
  'post',
  'gelu',
  'gelu_tanh',
  'silu',
  'dense',
  'plain',
  'vit',
  'conv',
  'titok',
  'confidence',
  'halton',
  'halton-rolled',
  'cosine',
  'linear',
  'square',
  'cubic',
  'arccos',
  'constant',
  'log-probability',
  'probability',
  'logit',
  'switch',
];
/** What a config may say although no fixture does. */
const optionalKeys = [
  'norm_type',
  'mlp_gate',
  'qk_norm',
  'modulation',
  'bias',
  'embedding_norm',
  'head',
  'tied',
  'null_class',
  'sub_tokens',
  'head_dim',
  'prediction',
  'class_labels',
  'sampling',
  'kind',
  'channels',
];

/** Every place in a JSON value: the object or list, and the key. @param {any} json @returns {[any, string][]} */
function placesIn(json) {
  if (typeof json !== 'object' || json === null) return [];
  return Object.keys(json).flatMap((key) => [
    /** @type {[any, string]} */ ([json, key]),
    ...placesIn(json[key]),
  ]);
}

/** @param {unknown} value @param {Random} random */
function otherValue(value, random) {
  if (typeof value === 'number' && random.chance(0.6)) {
    const near = [value + 1, value - 1, 2 * value, value / 2, -value, value * 2 ** 16, 1 / value];
    return random.of(random.chance(0.5) ? near : oddNumbers);
  }
  if (typeof value === 'boolean' && random.chance(0.7)) return !value;
  if (typeof value === 'string' && random.chance(0.7)) return random.of(words);
  return random.of(random.chance(0.5) ? oddNumbers : oddValues);
}

/** The same JSON with one to three places changed. @param {Json} json @param {Random} random @returns {Json} */
function changed(json, random) {
  const copy = structuredClone(json);
  for (let i = random.of([1, 1, 1, 2, 3]); i > 0; --i) {
    const places = placesIn(copy);
    const [object, key] = random.of(places.length > 0 ? places : [[copy, 'a']]);
    switch (random.below(8)) {
      case 0:
        delete object[key];
        break;
      case 1: {
        const [other, otherKey] = random.of(placesIn(json));
        object[key] = structuredClone(other[otherKey]);
        break;
      }
      case 2:
        copy[random.of(optionalKeys)] = random.of([...words, ...oddNumbers, ...oddValues]);
        break;
      case 3:
        copy.sampling = {
          ...copy.sampling,
          [random.of([
            'temperature',
            'choice_temperature',
            'guidance',
            'top_k',
            'refresh',
            'order',
          ])]: random.of([...oddNumbers, ...words, [0.1, 1e30]]),
        };
        break;
      default:
        object[key] = otherValue(object[key], random);
    }
  }
  return JSON.parse(JSON.stringify(copy)); // as a file says it: without holes in lists
}

/** @param {Buffer} bytes @returns {Json} */
const parse = (bytes) => JSON.parse(bytes.toString());

/** @param {Json} header @param {Buffer} data @param {number} [length] what it says instead of its length */
function assemble(header, data, length) {
  const text = Buffer.from(JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(length ?? text.length));
  return Buffer.concat([start, text, data]);
}

/** @param {Buffer} file */
function split(file) {
  const start = 8 + Number(file.readBigUInt64LE(0));
  return { header: parse(file.subarray(8, start)), data: Buffer.from(file.subarray(start)) };
}

/** Values that break arithmetic: infinite, not a number, near the ends of their dtype. */
const oddBits = [
  0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0xff7fffff, 0x00000001, 0x80000000, 0x7e967699,
  0x3f800000, 0x4b000000, 0x7f7f7f7f,
];

/** Some values of the data, or all of a stretch, replaced. @param {Buffer} data @param {Random} random */
function withOddValues(data, random) {
  const last = Math.floor(data.length / 4) - 1;
  const bits = random.of(oddBits);
  const count = random.of([1, 1, 16, 1024]);
  const start = random.below(last + 1);
  for (let i = 0; i < count && start + i <= last; ++i) data.writeUInt32LE(bits, 4 * (start + i));
  return data;
}

/** A file of weights for these tensors, of random values of every size. @param {any[]} expected @param {Random} random */
function fittingWeights(expected, random) {
  /** @type {Json} */
  const header = {};
  /** @type {Buffer[]} */
  const pieces = [];
  let end = 0;
  const scale = random.of([0, 0.02, 0.02, 0.02, 1, 100, 1e10, 1e30]);
  /** @param {string} name @param {readonly number[]} shape @param {string} dtype */
  const add = (name, shape, dtype) => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const size = dtype === 'F32' ? 4 : dtype === 'I8' ? 1 : 2;
    const bytes = Buffer.alloc(count * size);
    for (let i = 0; i < count; ++i) {
      const value = name.endsWith('norm.weight') ? 1 : scale * (2 * random.next() - 1);
      const single = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
      if (dtype === 'F32') bytes.writeFloatLE(value, 4 * i);
      else if (dtype === 'BF16') bytes.writeUInt16LE(single >>> 16, 2 * i);
      else if (dtype === 'F16') bytes.writeUInt16LE(random.below(0x7800), 2 * i);
      else bytes.writeInt8(random.below(256) - 128, i);
    }
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    pieces.push(bytes);
  };
  const coarse = random.of(['F32', 'F32', 'F16', 'BF16', 'I8']);
  for (const entry of expected) {
    const dtype = entry.grain === 'fine' && coarse === 'I8' ? 'F32' : coarse;
    add(entry.name, entry.shape, dtype);
    if (dtype === 'I8') {
      const { name, shape } = scaleOf(entry);
      add(name, shape, 'F32');
    }
  }
  return assemble(header, Buffer.concat(pieces));
}

/** Small sizes that fit each other, for a model of any kind. @param {Json} config @param {Random} random @returns {Json} */
function resized(config, random) {
  const heads = random.of([1, 2, 3, 5, 8]);
  const headDim = random.of([1, 2, 3, 8, 12, 17]);
  const hidden = random.of([1, 2, 7, 16, 33, 64]);
  const classes = random.of([0, 1, 2, 5]);
  const modulation = random.of(['none', 'none', 'class']);
  const nullClass = classes === 0 || random.chance(0.7);
  const subTokens = random.of([1, 1, 1, 2, 3]);
  const widths = [
    { name: '1/8', heads: 1 + random.below(heads), hidden: 1 + random.below(hidden) },
    { name: '1', heads, hidden },
  ];
  const { prediction, sampling, class_labels, ...rest } = config;
  return {
    ...rest,
    hidden_size: random.of([1, 2, 4, 6, 16, 31, 48]),
    num_attention_heads: heads,
    head_dim: headDim,
    intermediate_size: hidden,
    num_hidden_layers: random.of([1, 2, 3]),
    norm_position: modulation === 'class' ? 'pre' : random.of(['pre', 'post']),
    norm_type: random.of(['layer_norm', 'rms_norm']),
    mlp_gate: random.of(['none', 'multiply']),
    qk_norm: random.of(['none', 'rms']),
    modulation,
    bias: random.chance(0.7),
    embedding_norm: random.chance(0.7),
    head: random.of(['dense', 'plain']),
    tied: random.chance(0.7),
    null_class: nullClass,
    num_classes: classes,
    hidden_act: random.of(['gelu', 'gelu_tanh', 'silu']),
    codebook_size: random.of([2, 3, 8, 13]) ** subTokens,
    sub_tokens: subTokens,
    latent_shape: [random.of([1, 1, 2]), 1 + random.below(4), 1 + random.below(5)],
    widths: random.chance(0.8) ? widths : [widths[1]],
  };
}

/** A model whose weights fit its config, sound or not quite. @param {Random} random @returns {Files} */
function fitted(random) {
  /** @type {Files} */
  const files = {};
  const seed = random.of(seeds);
  let json = resized(parse(/** @type {Buffer} */ (seed['config.json'])), random);
  if (random.chance(0.4)) json = changed(json, random);
  files['config.json'] = Buffer.from(JSON.stringify(json));
  const tokenizer = random.chance(0.5) ? seed[tokenizerConfig] : undefined;
  try {
    const config = parseGeneratorConfig('config.json', 'fitted', json);
    files[weights] = fittingWeights(small(engineTensors.generator(config)), random);
    if (tokenizer === undefined) return files;
    const [frames, height, width] = config.latentShape;
    const patch = [random.of([1, 2]), random.of([1, 2, 4]), random.of([1, 3])];
    /** @type {Json} */
    let own = {
      ...parse(tokenizer),
      codebook_size: config.codebookSize,
      codebook_dim: random.of([1, 2, 5]),
      sample_shape: [frames, height, width].map((extent, i) => extent * (patch[i] ?? 1)),
      patch_shape: patch,
      channels: random.of([1, 2, 3, 4]),
      encoder_layers: random.of([0, 1, 2]),
      decoder_layers: random.of([1, 2]),
    };
    if (random.chance(0.3)) own = changed(own, random);
    files[tokenizerConfig] = Buffer.from(JSON.stringify(own));
    const expected = engineTensors.tokenizer(parseTokenizerConfig(tokenizerConfig, own));
    files[tokenizerWeights] = fittingWeights(small(expected), random);
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'ERR_CHECKPOINT') throw error;
    // Refused before there are weights to write.
  }
  return files;
}

/** Tensors that are not too large to be written many thousand times: else none, and the load refuses that. */
/** @param {readonly any[]} tensors @returns {any[]} */
function small(tensors) {
  const size = tensors.reduce(
    (sum, { shape }) =>
      sum + shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1),
    0,
  );
  return size < 2 ** 17 ? [...tensors] : [];
}

/** @param {Random} random @returns {Files} */
export function mutatedModel(random) {
  if (random.chance(0.4)) return fitted(random);
  const files = { ...random.of(seeds) };
  const names = Object.keys(files);
  const configs = names.filter((name) => name.endsWith('.json'));
  const tensors = names.filter((name) => name.endsWith('.safetensors'));
  /** @param {string[]} among @param {(bytes: Buffer) => Buffer} change */
  const change = (among, change) => {
    const name = random.of(among);
    files[name] = change(/** @type {Buffer} */ (files[name]));
  };
  switch (random.below(7)) {
    case 0:
      change(names, (bytes) => damaged(bytes, random));
      break;
    case 1:
      change(tensors, (bytes) => {
        const { header, data } = split(bytes);
        return assemble(header, withOddValues(data, random));
      });
      break;
    case 2:
      change(tensors, (bytes) => {
        const { header, data } = split(bytes);
        const lies = random.chance(0.1) ? random.below(2 ** 24) : undefined;
        return assemble(changed(header, random), data, lies);
      });
      break;
    case 3:
      change(tensors, (bytes) => {
        const start = 8 + Number(bytes.readBigUInt64LE(0));
        const head = damaged(Buffer.from(bytes.subarray(0, start)), random);
        return Buffer.concat([head, bytes.subarray(start)]);
      });
      break;
    case 4: {
      const [a, b] = [random.of(names), random.of(names)];
      [files[a], files[b]] = /** @type {[Buffer, Buffer]} */ ([files[b], files[a]]);
      break;
    }
    default:
      change(configs, (bytes) => Buffer.from(JSON.stringify(changed(parse(bytes), random))));
  }
  if (random.chance(0.02)) delete files[random.of(names)];
  return files;
}
