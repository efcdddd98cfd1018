// What the fuzzer calls: each takes bytes that nobody has checked, and may refuse them with a code but do nothing else.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parseGeneratorConfig, parseTokenizerConfig } from '../../dist/checkpoint/config.js';
import { openSource } from '../../dist/checkpoint/convert/open.js';
import { closeSource, readTensor } from '../../dist/checkpoint/convert/source.js';
import { parseJson } from '../../dist/checkpoint/json.js';
import { headerLength, parseHeader } from '../../dist/checkpoint/safetensors.js';
import { parseSchedules } from '../../dist/checkpoint/schedules.js';
import {
  animation,
  contactSheet,
  decodePng,
  MagnetsError,
  plan,
  Tensor,
} from '../../dist/index.js';
import { elementCount } from '../../dist/tensor.js';
import { flaxFile, torchFile } from './files.js';

const fixtures = new URL('../fixtures/', import.meta.url).pathname;

/** Fixtures and their like, to begin with. @param {...string} paths */
const read = (...paths) => paths.map((path) => readFileSync(join(fixtures, path)));

const folder = mkdtempSync(join(tmpdir(), 'magnets-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** @param {unknown} error @param {string} code */
function refused(error, code) {
  if (!(error instanceof MagnetsError) || error.code !== code) throw error;
}

/** A generator's config, and a plan of it. @param {Buffer} bytes */
function config(bytes) {
  try {
    const model = parseGeneratorConfig(
      'config.json',
      'any',
      parseJson('config.json', 'JSON', bytes),
    );
    plan({ model });
  } catch (error) {
    refused(error, 'ERR_CHECKPOINT');
  }
}

/** @param {Buffer} bytes */
function tokenizer(bytes) {
  try {
    parseTokenizerConfig('config.json', parseJson('config.json', 'JSON', bytes));
  } catch (error) {
    refused(error, 'ERR_CHECKPOINT');
  }
}

/** @param {Buffer} bytes */
function schedules(bytes) {
  const widths = [8, 4, 2, 1].map((p) => ({
    name: p > 1 ? `1/${p}` : '1',
    heads: 8 / p,
    hidden: 32 / p,
  }));
  try {
    parseSchedules('schedules.json', parseJson('schedules.json', 'JSON', bytes), { widths });
  } catch (error) {
    refused(error, 'ERR_CHECKPOINT');
  }
}

/** @param {Buffer} bytes */
function safetensors(bytes) {
  const file = 'model.safetensors';
  const dtypes = /** @type {const} */ (['F32', 'F16', 'BF16', 'I8']);
  try {
    const start = 8 + headerLength(file, bytes, bytes.length);
    parseHeader(file, bytes.subarray(8, start), bytes.length - start, dtypes);
  } catch (error) {
    refused(error, 'ERR_CHECKPOINT');
  }
}

/** A PNG or an APNG; its size comes from its header. @param {Buffer} bytes */
function picture(bytes) {
  const extent = (/** @type {number} */ at) =>
    bytes.length < at + 4 ? 1 : 1 + ((bytes.readUInt32BE(at) - 1) & 63);
  const channels = bytes[25] === 2 ? 3 : 1;
  try {
    decodePng(bytes, { width: extent(16), height: extent(20), channels });
  } catch (error) {
    refused(error, 'ERR_MEDIA');
  }
}

/** Files of others: zip and pickle, msgpack, safetensors, an index. @param {Buffer} bytes */
async function source(bytes) {
  const index = bytes[0] === 0x7b; // {
  const file = join(folder, index ? 'model.safetensors.index.json' : 'checkpoint');
  writeFileSync(file, bytes);
  try {
    const opened = await openSource(file);
    try {
      for (const group of opened.groups.values()) {
        for (const tensor of group.values()) {
          const count = elementCount(tensor.shape);
          if (count < 4096) await readTensor(tensor, new Float32Array(count));
        }
      }
    } finally {
      await closeSource(opened);
    }
  } catch (error) {
    refused(error, 'ERR_CHECKPOINT');
  }
}

/** @param {number} channels */
const video = (channels) =>
  new Tensor('float32', new Float32Array(3 * 4 * 5 * channels).fill(0.5), [1, 3, 4, 5, channels]);
const pictures = [1, 3].flatMap((channels) => [
  Buffer.from(contactSheet(video(channels))),
  Buffer.from(animation(video(channels), 'apng')),
]);

const names = ['post', 'pre', 'video', 'modulated', 'untied'];

/** Each target, and what it begins with. */
export const targets = {
  config: { run: config, seeds: read(...names.map((name) => `${name}/config.json`)) },
  tokenizer: {
    run: tokenizer,
    seeds: read('post/tokenizer/config.json', 'video/tokenizer/config.json'),
  },
  schedules: {
    run: schedules,
    seeds: [Buffer.from('{ "fast": { "schedule": "1/8x2,1/4x1,1x1" } }')],
  },
  safetensors: {
    run: safetensors,
    seeds: [Buffer.from('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}')].map((header) =>
      Buffer.concat([Buffer.of(header.length, 0, 0, 0, 0, 0, 0, 0), header, Buffer.alloc(8)]),
    ),
  },
  picture: { run: picture, seeds: pictures },
  source: {
    run: source,
    seeds: [
      torchFile,
      flaxFile,
      ...read('public/halton-order/order-16.safetensors'),
      Buffer.from('{"weight_map":{"a":"a.safetensors"}}'),
    ],
  },
};
