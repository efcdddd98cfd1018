/**
 * Who chooses kernels: `magnets tune` on an emulated device, the file that it keeps, the tables that ship, and that none
 * of it changes a token.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { info, load, MagnetsError } from '../../lib/index.js';
import { presets } from '../../lib/plan/presets.js';
import { type NativeTileTiming, native } from '../../lib/runtime/native.js';
import { fastestTiles, tilesOf, tunedFile } from '../../lib/runtime/tiles.js';
import { tune } from '../../lib/runtime/tune.js';
import { fixtureFolder } from '../lib/fixtures.js';
import { magnets } from '../lib/magnets.js';
import { temporaryFolder } from '../lib/public-files.js';
import { emulated } from './emulated.js';

const folder = temporaryFolder(t);
process.env.EMULATOR_DEVICE ??= '90x4';
process.env.MAGNETS_PREBUILD ??= emulated(folder);
process.env.XDG_CACHE_HOME = join(folder, 'cache');

const device = native().info().cudaDevices[0]!;
const own = tunedFile(device);
const head = {
  device: { name: device.name, cuda: '13.0' },
  version: info().version,
};
const row = { rows: 80, out: 72, in: 80, products: 1, end: 'adds', tile: '128x256' };

function keep(contents: unknown): void {
  mkdirSync(dirname(own), { recursive: true });
  writeFileSync(own, typeof contents === 'string' ? contents : JSON.stringify(contents));
}

async function tokens() {
  const model = await load(fixtureFolder('post'), { device: 'cuda:0' });
  const options = { labels: [0, 1, 2], steps: 2, guidance: 2, seed: 7 };
  const result = await model.generate(options).result();
  model.dispose();
  return result.tokens.data;
}

t.test('the fastest tile, where it is worth it', (t) => {
  const of = (tileRows: number, byFormula: boolean, ...samples: number[]): NativeTileTiming => ({
    ...{ rows: 8, out: 16, in: 24, products: 3, end: 'stores' as const },
    ...{ tileRows, tileColumns: 64, byFormula, samples },
  });
  const other = { ...of(72, true, 5, 5, 5), rows: 16 };
  const timings = [of(72, true, 10, 11, 90), of(56, false, 8, 9, 8), other];
  t.same(fastestTiles(timings), [
    {
      ...{ name: 'product', rows: 8, out: 16, in: 24, products: 3, end: 'stores' },
      ...{ tile: '56x64', formula: '72x64', flops: 2 * 8 * 16 * 24 * 3 },
      medians: { '72x64': 11, '56x64': 8 },
    },
    {
      ...{ name: 'product', rows: 16, out: 16, in: 24, products: 3, end: 'stores' },
      ...{ tile: '72x64', formula: '72x64', flops: 2 * 16 * 16 * 24 * 3 },
      medians: { '72x64': 5 },
    },
  ]);
  const near = fastestTiles([of(72, true, 10), of(56, false, 9.9)]);
  t.equal(near[0]?.tile, '72x64', 'one percent is noise');
  t.end();
});

t.test('tune', async (t) => {
  t.match(info().cuda.devices[0]?.tiles, { source: 'formula', file: undefined });
  const before = await tokens();
  const args = ['--model', fixtureFolder('post'), '--batch', '3', '--steps', '1'];
  const { status, stdout, stderr } = magnets('tune', ...args);
  t.equal(status, 0, stderr);
  t.ok(stdout.includes(own), stdout);
  const { version, rows } = JSON.parse(readFileSync(own, 'utf8'));
  t.equal(version, info().version);
  const kinds = new Set(rows.map(({ products, end }: typeof row) => `${products} ${end}`));
  t.same([...kinds].sort(), ['1 activates', '1 f32', '3 stores'], 'those under no norm');
  for (const { rows: count, formula, tile, medians } of rows) {
    t.ok(count % 8 === 0 && medians[tile] > 0 && medians[formula] >= medians[tile]);
  }
  t.same(info().cuda.devices[0]?.tiles, { source: 'tuned', file: own });
  t.match(magnets('info').stdout, `cuda:0: kernels are chosen as measured here (${own})`);

  // Every product of three samples in a tile that the formula does not choose for any of them.
  keep({ ...head, rows: rows.map((one: object) => ({ ...one, tile: '128x256' })) });
  t.ok(rows.every((one: { formula: string }) => one.formula !== '128x256'));
  t.same(await tokens(), before, 'a tile changes no token');
});

t.test('files that are of no use', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const wrong: [string, unknown][] = [
    ['no JSON', '{"device":'],
    ['nothing', 'null'],
    ['deep', '['.repeat(1e5)],
    ['another device', { ...head, device: { ...head.device, name: 'another' }, rows: [] }],
    ['another driver', { ...head, device: { ...head.device, cuda: '12.9' }, rows: [] }],
    ['another version', { ...head, version: '0.0.1', rows: [] }],
    ['no rows', head],
    ...[null, {}, { ...row, rows: 0 }, { ...row, out: 2 ** 31 }, { ...row, in: '8' }].map(
      (one): [string, unknown] => ['a row', { ...head, rows: [one] }],
    ),
    ['a tile', { ...head, rows: [{ ...row, tile: '1e3x8' }] }],
    ['an end', { ...head, rows: [{ ...row, end: 'none' }] }],
  ];
  for (const [what, contents] of wrong) {
    process.env.XDG_CACHE_HOME = join(folder, `cache-${warnings.length}`);
    const file = tunedFile(device);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof contents === 'string' ? contents : JSON.stringify(contents));
    const before = warnings.length;
    t.equal(tilesOf(device).source, 'formula', what);
    tilesOf(device); // warned of once
    await new Promise((done) => setImmediate(done));
    t.equal(warnings.length, before + 1, `${what}: a warning`);
    t.match(warnings.at(-1), { code: 'MAGNETS_TILES', message: file });
  }
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  // Well-formed, but of no kernel that there is: the formula goes on.
  keep({ ...head, rows: [{ ...row, tile: '1x1' }] });
  const opened = native().openCuda(0, 'bf16', tilesOf(device).choices);
  t.equal(opened.backend, 'cuda:0');
  opened.dispose();
});

t.test('a table of the device', (t) => {
  const tables = join(folder, 'tables');
  mkdirSync(tables);
  const file = join(tables, `${device.name.replaceAll(' ', '-')}.json`);
  // Measured with another driver and version.
  const table = { device: { name: device.name, cuda: '12.8' }, version: '0.0.1', rows: [row] };
  writeFileSync(file, JSON.stringify(table));
  process.env.XDG_CACHE_HOME = join(folder, 'none');
  const { tile, ...shape } = row;
  const choices = [{ ...shape, tileRows: 128, tileColumns: 256 }];
  t.same(tilesOf(device, tables), { source: 'table', file, choices });
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  keep({ ...head, rows: [] });
  t.equal(tilesOf(device, tables).source, 'tuned', 'what was measured here comes first');
  t.end();
});

t.test('no device', async (t) => {
  const options = { model: presets.L, batches: [1], schedule: 'paper', guidance: 0 };
  const failure = await tune({ ...options, device: 'cuda:7' }).catch((error: Error) => error);
  t.match(failure, { code: 'ERR_UNSUPPORTED', message: /cuda:7/ });
  const cpu = await tune({ ...options, device: 'cpu' }).catch((error: Error) => error);
  t.ok(cpu instanceof MagnetsError && cpu.code === 'ERR_UNSUPPORTED', 'a processor is not tuned');
  t.match(cpu, { message: /Expected a CUDA device, .* but received cpu/ });
});
