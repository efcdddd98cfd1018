/** The benchmarks of bench/ run, on the smallest sizes that there are, and write what bench/README.md says. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { load, Tensor } from '../../lib/index.js';
import { packageRoot } from '../../lib/runtime/package.js';
import { temporaryFolder } from './public-files.js';

const folder = temporaryFolder(t);

function run(command: string, ...args: string[]) {
  const env = { ...process.env, ORT_DISABLE_TELEMETRY: '1' };
  return spawnSync(command, args, { cwd: packageRoot, encoding: 'utf8', env });
}

t.test('npm run bench', async (t) => {
  const out = join(folder, 'bench.json');
  const args = [
    '--models',
    'fashion',
    '--batch',
    '1',
    '--repeats',
    '1',
    '--threads',
    '1',
    '--out',
    out,
  ];
  const { status, stdout, stderr } = run(process.execPath, 'bench/run.js', ...args);
  t.equal(status, 0, stderr);
  t.equal(stdout.match(/^\| fashion \| (f32 |int8) .* \| 3\.02x /gm)?.length, 2, stdout);
  const { command, rows, device } = JSON.parse(readFileSync(out, 'utf8'));
  t.equal(command, `npm run bench -- ${args.join(' ')}`);
  t.equal(device.threads, 1);
  t.equal(rows.length, 4);
});

t.test('summary.js says which goals a run on a GPU reached', async (t) => {
  const results = join(folder, 'summary');
  mkdirSync(results);
  const row = (name: string, median: number) => ({
    name,
    model: 'L',
    batch: 1,
    median,
    flops: 1e12,
  });
  const write = (name: string, rows: unknown[]) =>
    writeFileSync(join(results, `${name}.json`), JSON.stringify({ device: {}, rows }));
  write('ours-1', [row('paper', 5e-3), row('baseline', 0.02)]);
  write('pytorch-1', [row('paper', 0.01), row('baseline', 0.02)]);
  writeFileSync(join(results, 'ours-8.json'), '{"device": {}, "ro'); // a run that was cut
  const { status, stdout, stderr } = run(process.execPath, 'bench/summary.js', results);
  t.equal(status, 0, stderr);
  t.match(stdout, /^ +L +1 +paper +5\.00 +- +10\.00 +- +2\.00 +-$/m);
  t.match(stdout, /^holds {2}batch 1, paper, at least 1\.8 times PyTorch: 2\.00$/m);
  t.match(stdout, /^holds {2}batch 1, paper, at most 7\.2 ms: 5\.00$/m);
  t.match(stdout, /^fails {2}batch 1, baseline, at least 1\.45 times PyTorch: 1\.00$/m);
  t.match(stdout, /^open {3}batch 8, paper, at least 1\.4 times PyTorch: -$/m);
});

t.test('random weights, and the same networks as ONNX files', async (t) => {
  const model = join(folder, 'tiny');
  const made = run(
    process.execPath,
    'bench/peers/random-checkpoint.js',
    'bench/peers/tiny',
    '--to',
    model,
  );
  t.equal(made.status, 0, made.stderr);
  const tiny = await load(model, { device: 'cpu' });
  const tokens = new Tensor('int32', new Int32Array(64).fill(-1), [1, 64]);
  const { data } = await tiny.forward({ tokens, labels: [0] });
  tiny.dispose();
  const deviation = Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0) / data.length);
  t.ok(deviation > 0.1 && deviation < 10, 'weights that keep the size of what goes in');
  const exported = run('/usr/bin/python3', '-m', 'bench.peers.onnx', model, '--out', model);
  t.equal(exported.status, 0, exported.stderr);
  const bytes = (name: string) => readFileSync(join(model, name));
  t.notOk(bytes('generator.onnx').includes('MatMulInteger'));
  const int8 = bytes('generator-int8.onnx');
  t.ok(int8.includes('DynamicQuantizeLinear') && int8.includes('MatMulInteger'));
  t.ok(int8.length < bytes('generator.onnx').length / 2, 'bytes');
});

const hasPeer = existsSync(join(packageRoot, 'bench/node_modules/onnxruntime-node'));
t.test('npm run bench:peers', { skip: !hasPeer && 'bench has no node_modules' }, async (t) => {
  const args = ['--only', 'bench/peers/tiny', '--batch', '2', '--threads', '1', '--repeats', '1'];
  args.push('--peers', 'onnxruntime', '--json');
  const { status, stdout, stderr } = run(process.execPath, 'bench/peers/run.js', ...args);
  t.equal(status, 0, stderr);
  const rows = JSON.parse(stdout);
  t.equal(rows.length, 10, '4 subjects, and 6 generations');
  for (const row of rows) {
    t.same(Object.keys(row), ['name', 'what', 'threads', 'batch', 'seconds', 'ratioToOurs']);
    t.ok(row.seconds > 0 && row.ratioToOurs > 0);
  }
});

t.test(
  'a matrix that was stopped goes on',
  { skip: !hasPeer && 'bench has no node_modules' },
  (t) => {
    const out = join(folder, 'peers.json');
    const args = ['--only', 'bench/peers/tiny', '--batch', '1,2', '--threads', '1'];
    args.push(
      '--repeats',
      '1',
      '--peers',
      'avx2',
      '--what',
      'forward',
      '--weights',
      'f32',
      '--out',
      out,
    );
    const measure = (...more: string[]) =>
      run(process.execPath, 'bench/peers/run.js', ...args, ...more);
    t.equal(measure().status, 0);
    const { rows, ...head } = JSON.parse(readFileSync(out, 'utf8'));
    const kept = rows.filter(({ batch }: { batch: number }) => batch === 1);
    writeFileSync(out, JSON.stringify({ ...head, rows: kept }));
    t.match(measure('--resume').stdout, /batch 2: 1 of 2 parts left/);
    const resumed = JSON.parse(readFileSync(out, 'utf8'));
    t.same(resumed.rows.slice(0, kept.length), kept, 'what was measured before');
    t.equal(resumed.rows.length, rows.length);
    writeFileSync(out, JSON.stringify({ ...resumed, commit: '0000000' }));
    t.match(measure('--resume'), { status: 1, stderr: /expected commit .* but received 0000000/ });
    t.end();
  },
);
