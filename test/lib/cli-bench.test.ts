/** The command line of the benchmark, and the file that it writes (bench/README.md). */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fixtureFolder } from './fixtures.js';
import { magnets } from './magnets.js';

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

  const profiled = magnets('bench', ...args, '--profile', '--json').stdout;
  for (const { name, profile, samples } of JSON.parse(profiled).rows) {
    const seconds = Object.values<number>(profile);
    t.equal(seconds.length, 11, 'every kind of work');
    t.ok(
      seconds.every((value) => value > 0),
      `${name}: all work takes time`,
    );
    const mean = samples.reduce((sum: number, value: number) => sum + value, 0) / samples.length;
    const sum = seconds.reduce((sum, value) => sum + value, 0);
    t.ok(Math.abs(sum / mean - 1) < 1e-9, `${name}: whose time is whose says of all of it`);
  }
  const tables = magnets('bench', ...args, '--profile').stdout;
  t.equal(tables.match(/\| attention +\|.* ms +\|.* % +\|.* % +\|/g)?.length, 2, tables);
  for (const [end, pattern] of [
    ['csv', /^name,model,batch,.*,device\.name,.*,commit,date\n(baseline|paper),post,[23],.*\n/],
    [
      'md',
      /^\| name \| model \|.*\n\|---\|.*\n\| baseline \| post \|[\s\S]*: `npx magnets bench .*; name /,
    ],
  ] as const) {
    const file = join(folder, `results.${end}`);
    t.equal(magnets('bench', ...args.slice(0, -1), file).status, 0);
    t.match(readFileSync(file, 'utf8'), pattern);
  }
  const { status: refused, stderr } = magnets('bench', ...args.slice(0, -1), join(folder, 'a.xml'));
  t.equal(refused, 2);
  t.match(stderr, /Expected a name that ends in \.json, \.csv, \.md for results/);
});
