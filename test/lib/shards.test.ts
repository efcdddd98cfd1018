/** Weights in several files: they are those of one, and an index leads nowhere else. */

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { convertCheckpoint } from '../../lib/checkpoint/convert/convert.js';
import { load } from '../../lib/index.js';
import { engineTensors } from '../../lib/runtime/listing.js';
import { publicFixture } from './fixtures.js';
import { temporaryFolder } from './public-files.js';

const source = publicFixture('halton-tiny/model.pth');
const index = 'model.safetensors.index.json';

/** Converts to files of at most so many bytes. */
async function converted(to: string, mostFileBytes: number, weights: 'f32' | 'int8' = 'f32') {
  await convertCheckpoint(
    source,
    { to, weights, heads: 4, version: '0', mostFileBytes },
    engineTensors,
  );
  return to;
}

async function tokensOf(folder: string) {
  const model = await load(folder, { device: 'cpu' });
  const { tokens } = await model.generate({ labels: [1], steps: 3, seed: 5 }).result();
  model.dispose();
  return tokens.data;
}

t.test('written and read', async (t) => {
  const folder = temporaryFolder(t);
  for (const weights of ['f32', 'int8'] as const) {
    const whole = await converted(join(folder, `whole-${weights}`), 5e9, weights);
    t.notOk(readdirSync(whole).includes(index));
    const split = await converted(join(folder, `split-${weights}`), 30_000, weights);
    const files = readdirSync(split).filter((name) => name.endsWith('.safetensors'));
    t.ok(files.length > 2, `${files.length} files`);
    const last = String(files.length).padStart(5, '0');
    t.equal(files.at(-1), `model-${last}-of-${last}.safetensors`);
    const { weight_map: map, metadata } = JSON.parse(readFileSync(join(split, index), 'utf8'));
    t.same([...new Set(Object.values(map))].sort(), files);
    t.ok(metadata.total_size > 0);
    t.same(await tokensOf(split), await tokensOf(whole), weights);
  }
});

t.test('one file is preferred, and links are followed', async (t) => {
  const folder = temporaryFolder(t);
  const split = await converted(join(folder, 'split'), 30_000);
  const expected = await tokensOf(split);
  // As Hugging Face's cache has it: names that are links to files elsewhere.
  const blobs = join(folder, 'blobs');
  mkdirSync(blobs);
  for (const name of readdirSync(split)) {
    renameSync(join(split, name), join(blobs, `of-${name}`));
    symlinkSync(join('..', 'blobs', `of-${name}`), join(split, name));
  }
  t.same(await tokensOf(split), expected);
  const whole = await converted(join(folder, 'whole'), 5e9);
  writeFileSync(join(whole, index), '{');
  t.same(await tokensOf(whole), expected, 'the index beside model.safetensors is not read');
});

t.test('damage', async (t) => {
  const folder = temporaryFolder(t);
  const split = await converted(join(folder, 'split'), 30_000);
  const file = join(split, index);
  const text = readFileSync(file, 'utf8');
  const map: Record<string, string> = JSON.parse(text).weight_map;
  const [name, shard] = Object.entries(map)[0]!;
  const other = Object.values(map).find((one) => one !== shard)!;
  const refused = async (what: string, json: unknown, message: RegExp) => {
    writeFileSync(file, typeof json === 'string' ? json : JSON.stringify(json));
    await t.rejects(load(split), { code: 'ERR_CHECKPOINT', message }, what);
    writeFileSync(file, text);
  };
  const mapped = (changes: object) => ({ weight_map: { ...map, ...changes } });
  await refused('no JSON', '{', /index\.json: expected JSON/);
  await refused('no map', { weight_map: [] }, /index\.json: expected a weight_map/);
  for (const path of [
    '../x.safetensors',
    '/x.safetensors',
    'a/b.safetensors',
    'x.bin',
    '..',
    3,
    '\\x.safetensors',
  ]) {
    await refused(
      `${path}`,
      mapped({ [name]: path }),
      /: expected the name of a \.safetensors file beside it/,
    );
  }
  await refused('no such file', mapped({ [name]: 'x.safetensors' }), /ENOENT|elsewhere/);
  await refused(
    'elsewhere',
    mapped({ [name]: other }),
    /expected no tensor that the index has elsewhere/,
  );
  await refused('not there', mapped({ more: shard }), /more: expected it in /);
  const less = Object.fromEntries(Object.entries(map).filter(([one]) => one !== name));
  await refused(
    'left out',
    { weight_map: less },
    /expected no tensor that the index has elsewhere/,
  );
  await refused('nothing', { weight_map: {} }, /expected a tensor \[.*\] but received nothing/);
  rmSync(join(split, shard));
  await t.rejects(load(split), { code: 'ERR_CHECKPOINT', message: /there is none \(ENOENT\)/ });
  rmSync(file);
  await t.rejects(load(split), { message: /model\.safetensors: expected a readable file/ });
});
