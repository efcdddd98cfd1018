/** The command line with a model of pictures. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { formatDuration, progress, timeLeft } from '../../lib/cli/output.js';
import { contactSheet, load, Tensor } from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';
import { cli, magnets } from './magnets.js';
import { readPng } from './png.js';

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
  for (const weights of ['auto', 'f32', 'bf16', 'int8']) {
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

t.test('a file for each sample', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const generate = (out: string, ...args: string[]) =>
    magnets(
      ...['generate', 'a', '3', '--model', fixtureFolder('post'), '--count', '7', '--steps', '4'],
      ...['--seed', '5', '--scale', '1', '--out', join(folder, out), ...args],
    );
  const sheet = generate('sheet.png', '--columns', '1', '--json');
  const strip = ['--strip', join(folder, 'strip.png'), '--columns', '1'];
  t.equal(generate('sheet.png', ...strip).status, 0);
  const wanted = readFileSync(join(folder, 'strip.png'));
  const numbered = generate('new/%03d-a.png', '--batch-size', '3', '--json', ...strip);
  t.same([numbered.status, numbered.stderr], [0, '']);
  t.same(
    readdirSync(join(folder, 'new')).sort(),
    Array.from({ length: 7 }, (_, i) => `00${i}-a.png`),
    'and nothing that is unfinished',
  );
  const model = await load(fixtureFolder('post'));
  t.teardown(() => model.dispose());
  const request = { labels: ['a', 3], count: 7, steps: 4, seed: 5 };
  const { dims, data } = (await model.generate(request).result()).pixels;
  const size = data.length / 7;
  for (let i = 0; i < 7; ++i) {
    const pixels = data.subarray(i * size, (i + 1) * size);
    const sample = new Tensor('float32', pixels, [1, ...dims.slice(1)]);
    const file = readFileSync(join(folder, 'new', `00${i}-a.png`));
    t.same(file, Buffer.from(contactSheet(sample, { scale: 1 })), `sample ${i}`);
  }
  t.same(readFileSync(join(folder, 'strip.png')), wanted);
  const [one, other] = [JSON.parse(sheet.stdout), JSON.parse(numbered.stdout)];
  for (const key of ['count', 'seed', 'schedule', 'flops', 'baselineFlops', 'tokenizerFlops']) {
    t.same(other[key], one[key], key);
  }

  t.match(generate('%d-%d.png'), { status: 2, stderr: /Expected one number such as %06d/ });
  t.match(generate('%d.jpg'), { status: 2, stderr: /ends in \.png for --out/ });
  t.equal(generate('%d.png', '--device', 'cpu,cpu').status, 0);
  t.same(
    readFileSync(join(folder, '6.png')),
    readFileSync(join(folder, 'new', '006-a.png')),
    'on two devices',
  );
});

t.test('files that were interrupted, and the rest of them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const args = [
    ...['generate', 'a', '3', 'none', '--model', fixtureFolder('post'), '--steps', '4'],
    ...['--batch-size', '1', '--threads', '1', '--out', join(folder, '%d.png')],
  ];
  const child = spawn(process.execPath, [cli, ...args, '--count', '60000']);
  const output = text(child.stderr);
  while (!existsSync(join(folder, '3.png'))) await wait(10);
  child.kill('SIGINT');
  const [status] = await once(child, 'exit');
  const said = await output;
  t.equal(status, 130);
  t.match(
    said,
    /^magnets: interrupted; \d+ of 60000 are written, the others by --seed \d+ --first/,
  );
  const [, seed, first, count] = /--seed (\d+) --first-sample (\d+) --count (\d+)\n$/.exec(said)!;
  t.equal(Number(first) + Number(count), 60000);
  const { length } = readdirSync(folder);
  t.equal(length, Number(first), 'what is written is whole, without a gap');

  const next = join(folder, `${first}.png`);
  t.equal(magnets(...args, '--seed', seed!, '--first-sample', first!, '--count', '1').status, 0);
  const resumed = readFileSync(next);
  rmSync(next);
  t.equal(magnets(...args, '--seed', seed!, '--count', String(length + 1)).status, 0);
  t.same(readFileSync(next), resumed, 'the sample, and its label, that a run without a break has');
});

t.test('files that the system interrupts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const model = ['--model', fixtureFolder('post'), '--steps', '4', '--threads', '1'];
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const own = join(folder, signal);
    const args = ['--batch-size', '1', '--count', '60000', '--out', join(own, '%d.png')];
    const child = spawn(process.execPath, [cli, 'generate', 'a', ...model, ...args]);
    const output = text(child.stderr);
    while (!existsSync(join(own, '3.png'))) await wait(10);
    child.kill(signal);
    t.same(await once(child, 'exit'), [code, null]);
    const [, first] = /^magnets: interrupted; .* --first-sample (\d+) --count \d+\n$/.exec(
      await output,
    )!;
    t.equal(readdirSync(own).length, Number(first));
  }
});

t.test('the bar on a terminal', async (t) => {
  t.equal(formatDuration(0.2), '1 s');
  t.equal(formatDuration(200), '3 min 20 s');
  t.equal(formatDuration(7300), '2 h 1 min');
  const written: string[] = [];
  const { stderr } = process;
  const { write, isTTY } = stderr;
  stderr.write = (text) => written.push(String(text)) > 0;
  try {
    stderr.isTTY = false;
    progress('work', 1, 4, 9);
    t.same(written, [], 'quiet in a pipe');
    stderr.isTTY = true;
    progress('work', 1, 4, 9);
    progress('work', 4, 4, 0);
  } finally {
    Object.assign(stderr, { write, isTTY });
  }
  const bar = (filled: number) => `[${'#'.repeat(filled)}${' '.repeat(24 - filled)}]`;
  t.same(written, [`\rwork ${bar(6)} 1/4, 9 s left\x1b[K`, `\rwork ${bar(24)} 4/4\x1b[K`, '\n']);
  const left = timeLeft();
  t.equal(left(0), undefined);
  t.ok(left(0.5)! >= 0 && left(0.5)! < 60);
});
