/** The command line, by spawning it. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import t from 'tap';
import { fixtureFolder } from './fixtures.js';
import { cli, magnets } from './magnets.js';

t.test('plan', async (t) => {
  const { status, stdout, stderr } = magnets(
    'plan',
    '--model',
    'L',
    '--steps',
    '12',
    '--schedule',
    'paper',
    '--json',
  );
  t.same([status, stderr], [0, '']);
  const plan = JSON.parse(stdout);
  t.match(plan, { model: 'L', steps: 12, schedule: '1/8x3,1/4x3,1/2x3,1x3' });
  t.ok(Math.abs(plan.ratio - 3.08) < 0.02 && plan.ratio === plan.baselineFlops / plan.flops);
  t.same(
    plan.rows.map((row: { rows: number }) => row.rows),
    [257, 256, 253, 257, 236, 221, 257, 181, 155, 257, 97, 66],
  );
  t.match(plan.rows[0], {
    step: 0,
    width: '1/8',
    heads: 2,
    hidden: 512,
    refresh: true,
    masked: 256,
    reveal: 3,
  });
  t.match(magnets('plan', '--model', 'XL').stdout, /3\.09x fewer/);
  t.match(magnets('plan', '--model', 'video-L', '--schedule', 'full').stdout, /1\.00x fewer/);
  t.match(
    magnets('plan', '--model', fixtureFolder('pre'), '--steps', '4').stdout,
    /^pre, 4 steps, 1\/8x1,1\/4x1/,
  );
});

t.test('generate', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const out = join(folder, 'new', 'out.png');
  const strip = join(folder, 'strip.png');
  const args = [
    'generate',
    'a',
    '3',
    'none',
    '--model',
    fixtureFolder('post'),
    '--count',
    '5',
    '--steps',
    '4',
  ];
  const { status, stdout, stderr } = magnets(
    ...args,
    '--schedule',
    'paper',
    '--guidance',
    '2',
    '--seed',
    '7',
    '--out',
    out,
    '--strip',
    strip,
    '--json',
  );
  t.same([status, stderr], [0, ''], 'quiet in a pipe');
  const result = JSON.parse(stdout);
  t.match(result, { model: 'post', count: 5, steps: 4, out, strip });
  t.equal(result.ratio, result.baselineFlops / result.flops);
  const sheet = decode(readFileSync(out));
  t.match(sheet, { width: 3 * (8 * 3 + 3) + 3, height: 2 * (6 * 3 + 3) + 3, channels: 3 });
  t.match(decode(readFileSync(strip)), { width: 4 * (8 * 3 + 3) + 3, height: 6 * 3 + 6 });
  t.match(
    magnets(...args, '--out', out).stdout,
    /5 pictures in 4 steps .*\n.*the full-size baseline needs/,
  );
});

t.test('the labels are those of positionals and options, in order', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const pixels = (...labels: string[]) => {
    const out = join(folder, 'out.png');
    const { status } = magnets(
      'generate',
      '--model',
      fixtureFolder('post'),
      ...labels,
      '--out',
      out,
    );
    t.equal(status, 0);
    return decode(readFileSync(out)).data;
  };
  const want = pixels('a', 'b', '3');
  t.same(pixels('a', '--label', 'b', '3'), want);
  t.same(pixels('--label', 'a', 'b', '--label', '3'), want);
  t.notSame(pixels('b', 'a', '3'), want);
});

t.test('bench', async (t) => {
  const args = [
    'bench',
    '--model',
    fixtureFolder('post'),
    '--batch',
    '2',
    '--steps',
    '8',
    '--threads',
    '2',
    '--repeats',
    '2',
  ];
  const { status, stdout } = magnets(...args, '--json');
  t.equal(status, 0);
  const result = JSON.parse(stdout);
  t.match(result, {
    model: 'post',
    batch: 2,
    steps: 8,
    schedule: '1/8x2,1/4x2,1/2x2,1x2',
    threads: 2,
    dtype: 'f32',
  });
  t.match(result.backend, /^cpu\//);
  t.equal(result.flopsRatio, result.baselineFlops / result.flops);
  t.equal(result.timeRatio, result.baselineSeconds.median / result.seconds.median);
  for (const key of ['gflops', 'peakGflops', 'rssBytes']) t.ok(result[key] > 0, key);
  for (const { median, min, max, samples } of [result.seconds, result.baselineSeconds]) {
    t.ok(samples.length === 2 && min <= median && median <= max);
  }
  t.match(magnets(...args, '--dtype', 'bf16').stdout, /all FLOPs, counted = formula/);
});

t.test('info', async (t) => {
  const info = JSON.parse(magnets('info', '--json').stdout);
  t.equal(info.cpu.instructionSets.at(-1), 'portable');
  t.match(info.backends, [
    { name: 'cpu', available: true },
    { name: 'cuda', available: false, reason: String },
  ]);
  t.match(magnets('info').stdout, /cuda: not used: /);
  const taskset = ['-c', '0', process.execPath, cli, 'info', '--json'];
  const { status, stdout } = spawnSync('taskset', taskset, { encoding: 'utf8' });
  if (status === 0) t.equal(JSON.parse(stdout).cpu.threads, 1, 'as many as the process may use');
});

t.test('help and mistakes', async (t) => {
  t.match(magnets('--help'), { status: 0, stdout: /magnets generate/ });
  for (const command of ['generate', 'predict', 'plan', 'bench', 'info']) {
    t.match(magnets(command, '--help'), { status: 0, stdout: new RegExp(`^magnets ${command}`) });
  }
  t.match(magnets('paint'), {
    status: 2,
    stderr: /^magnets: Expected a command .* but received "paint"\n$/,
  });
  t.match(magnets('plan', '--modle', 'L'), { status: 2, stderr: /Unknown option '--modle'/ });
  t.match(magnets('plan', '--steps', 'many'), {
    status: 2,
    stderr: /Expected a number for --steps/,
  });
  t.match(magnets('generate', 'a'), { status: 2, stderr: /Expected --out FILE/ });
  t.match(magnets('plan', '--steps', '0'), {
    status: 1,
    stderr: /^magnets: Expected an integer in 1 \.\. 1000 for steps but received 0\n$/,
  });
  t.match(magnets('plan', '--model', 'M'), {
    status: 1,
    stderr: /M.config\.json: expected a readable file/,
  });
  t.match(magnets('generate', 'z', '--model', fixtureFolder('post'), '--out', 'out.png'), {
    status: 1,
    stderr: /for label but received "z"/,
  });
  // In a process that has caught nothing before: where the CUDA library is built, it throws and the addon catches.
  t.match(magnets('bench', '--model', fixtureFolder('post'), '--device', 'cuda:0'), {
    status: 1,
    stderr: /^magnets: cannot open cuda:0: .+\n$/,
  });
});
