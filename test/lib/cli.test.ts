/** The command line, by spawning it. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { plan, presets } from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';
import { cli, magnets } from './magnets.js';
import { readPng } from './png.js';

t.test('plan', async (t) => {
  const json = (...args: string[]) => {
    const { status, stdout, stderr } = magnets('plan', ...args, '--json');
    t.same([status, stderr], [0, '']);
    return JSON.parse(stdout);
  };
  const paper = ['--model', 'L', '--steps', '12', '--schedule', 'paper'];
  const one = json(...paper);
  const { model } = one;
  t.match(one, { samples: 1, branches: 1, schedule: '1/8x3,1/4x3,1/2x3,1x3', cache: true });
  t.same(model, presets.L, 'with the whole shape of the model');
  t.same(one, plan({ model: presets.L, steps: 12 }), 'as by the API');
  t.same(
    one.steps.map((step: { activeRows: number }) => step.activeRows),
    [257, 256, 253, 257, 236, 221, 257, 181, 155, 257, 97, 66],
  );
  t.match(one.steps[0], {
    step: 0,
    width: { name: '1/8', heads: 2, hidden: 512 },
    refresh: true,
    masked: 256,
    maskedAfter: [253],
  });
  const batch = json(...paper, '--batch', '3', '--guidance', '2');
  t.match(batch, { samples: 3, branches: 6, flops: 6 * one.flops, flopsRatio: one.flopsRatio });

  const text = magnets('plan', ...paper, '--batch', '2').stdout;
  const [title, , header, , first] = text.split('\n');
  t.equal(title, 'L, batch 2, 12 steps, 1/8x3,1/4x3,1/2x3,1x3');
  const cells = (line = '') =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  t.same(cells(header), [
    ...['step', 'width', 'heads', 'hidden', 'refresh'],
    ...['active rows', 'masked', 'masked after', 'FLOPs'],
  ]);
  t.same(cells(first).slice(0, 8), ['0', '1/8', '2', '512', 'yes', '514', '512', '506']);
  t.match(magnets('plan', '--model', 'XL').stdout, /3\.09x fewer/);
  t.match(magnets('plan', '--model', 'video-L', '--schedule', 'baseline').stdout, /1\.00x fewer/);
  t.match(
    magnets('plan', '--model', fixtureFolder('pre'), '--steps', '4').stdout,
    /^pre, batch 1, 4 steps, 1\/8x1,1\/4x1/,
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
  t.match(result, { model: 'post', count: 5, seed: 7, steps: 4, out, strip });
  t.match(result.backend, /^cpu\//);
  t.equal(result.flopsRatio, result.baselineFlops / result.flops);
  t.ok(result.tokenizerFlops > 0);
  const sheet = readPng(readFileSync(out));
  t.match(sheet, { width: 3 * (8 * 3 + 3) + 3, height: 2 * (6 * 3 + 3) + 3, channels: 3 });
  t.match(readPng(readFileSync(strip)), { width: 4 * (8 * 3 + 3) + 3, height: 6 * 3 + 6 });
  t.match(
    magnets(...args, '--out', out).stdout,
    /5 pictures in 4 steps .*, seed \d+, .*\n.*the full-size baseline needs/,
  );
  t.match(magnets(...args, '--scale', '1', '--out', out), { status: 0 });
  t.match(readPng(readFileSync(out)), { width: 3 * 9 + 1, height: 2 * 7 + 1 });
});

t.test('the seed is drawn anew and said, and gives the same samples again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const generate = (...args: string[]) => {
    const out = join(folder, 'out.png');
    const model = ['--model', fixtureFolder('post'), '--count', '4', '--out', out];
    const { status, stdout } = magnets('generate', 'a', ...model, ...args);
    t.equal(status, 0);
    return { stdout, pixels: readPng(readFileSync(out)).data };
  };
  const { stdout, pixels } = generate('--json');
  const { seed } = JSON.parse(stdout);
  t.ok(Number.isSafeInteger(seed) && seed >= 0);
  const again = generate('--seed', String(seed), '--batch-size', '3');
  t.same(again.pixels, pixels, 'whatever the size of the batches');
  t.match(again.stdout, `seed ${seed}, `);
  t.notSame(JSON.parse(generate('--json').stdout).seed, seed);
  const large = String(2n ** 64n - 1n);
  t.equal(JSON.parse(generate('--json', '--seed', large).stdout).seed, large, 'exactly');
});

t.test('every way to compute that the CPU has', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const generate = (...args: string[]) => {
    const model = ['--model', fixtureFolder('post'), '--out', join(folder, 'out.png')];
    return magnets('generate', 'a', ...model, ...args);
  };
  for (const weights of ['auto', 'f32', 'bf16']) {
    t.match(generate('--weights', weights, '--compute', 'f32'), { status: 0 }, weights);
  }
  t.match(generate('--weights', 'f16', '--device', 'cpu'), { status: 1, stderr: /for weights/ });
  t.match(generate('--compute', 'bf16', '--device', 'cpu'), { status: 1, stderr: /for compute/ });
  t.match(generate('--compute', 'f16', '--device', 'cuda:99'), {
    status: 1,
    stderr: /^magnets: cannot open cuda:99: /,
  });
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
      '--seed',
      '7',
      ...labels,
      '--out',
      out,
    );
    t.equal(status, 0);
    return readPng(readFileSync(out)).data;
  };
  const want = pixels('a', 'b', '3');
  t.same(pixels('a', '--label', 'b', '3'), want);
  t.same(pixels('--label', 'a', 'b', '--label', '3'), want);
  t.notSame(pixels('b', 'a', '3'), want);
});

t.test('bench', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const out = join(folder, 'new', 'results.json');
  const args = ['--model', fixtureFolder('post'), '--batch', '2,3', '--steps', '8'];
  args.push('--threads', '2', '--repeats', '2', '--out', out);
  const { status, stdout } = magnets('bench', ...args, '--json');
  t.equal(status, 0);
  t.equal(readFileSync(out, 'utf8'), stdout, 'the file is what is printed');
  const { device, commit, command, date, peakMemoryBytes, rows } = JSON.parse(stdout);
  t.match(device, { name: String, backend: /^cpu\//, threads: 2, peakFlopsPerSecond: Number });
  t.equal(device.backend, `cpu/${device.instructionSet}`);
  t.equal(device.name, cpus()[0]?.model);
  t.match(commit ?? '', /^$|^[0-9a-f]{7,}(-dirty)?$/);
  t.equal(command, `npx magnets bench ${args.join(' ')} --json`);
  t.match(date, /^\d{4}-\d\d-\d\d$/);
  t.ok(peakMemoryBytes > 2 ** 20 && device.peakFlopsPerSecond > 0);
  t.same(
    rows.map(({ name, batch }: { name: string; batch: number }) => [name, batch]),
    [
      ['baseline', 2],
      ['paper', 2],
      ['baseline', 3],
      ['paper', 3],
    ],
  );
  for (const [i, row] of rows.entries()) {
    const baseline = rows[i - (i % 2)];
    const schedule = i % 2 === 0 ? '1x8' : '1/8x2,1/4x2,1/2x2,1x2';
    t.match(row, {
      model: 'post',
      steps: 8,
      schedule,
      guidance: 0,
      weights: 'f32',
      compute: 'f32',
    });
    t.equal(row.flopsRatio, baseline.flops / row.flops);
    t.equal(row.timeRatio, baseline.median / row.median);
    const { samples, median, min, max } = row;
    t.equal(samples.length, 2);
    t.same(
      [min, median, max],
      [Math.min(...samples), (samples[0] + samples[1]) / 2, Math.max(...samples)],
    );
    const { projections, attention, mlp, lmHead } = row.parts;
    t.equal(projections + attention + mlp + lmHead, row.flops);
  }
  const text = magnets('bench', ...args, '--weights', 'bf16').stdout;
  t.match(text, /weights bf16, compute f32/);
  t.equal(text.match(/all FLOPs, launched = formula/g)?.length, 2, 'a table for each batch');
  const alone = magnets('bench', ...args, '--schedule', 'baseline', '--json').stdout;
  t.same(
    JSON.parse(alone).rows.map(({ name }: { name: string }) => name),
    ['baseline', 'baseline'],
  );
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
  t.match(magnets('bench', '--dtype', 'bf16'), { status: 2, stderr: /Unknown option '--dtype'/ });
  t.match(magnets('plan', '--schedule', 'full'), { status: 1, stderr: /'baseline', which is/ });
  t.match(magnets('bench', '--batch', '1,x'), { status: 2, stderr: /a number for --batch/ });
  t.match(magnets('bench', '--batch', '1,0'), { status: 1, stderr: /for batch but received 0/ });
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
