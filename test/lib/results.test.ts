/** The files of bench/results have the schema of bench/README.md, and the tables of README.md and docs/ are made of them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'bench', 'results');

type Numbers = Record<string, unknown> & { samples?: number[]; min?: number; max?: number };

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** What is wrong with numbers over samples, which have a median (times) or a mean (quality). */
function* faultsOfNumbers({ samples, min, max, median }: Numbers): Generator<string> {
  if (samples === undefined) return;
  if (samples.length === 0 || !samples.every(Number.isFinite)) yield 'samples';
  if (min !== Math.min(...samples)) yield 'min';
  if (max !== Math.max(...samples)) yield 'max';
  if (median !== undefined && median !== medianOf(samples)) yield 'median';
}

/** What is wrong with a result file. */
function* faultsOf(file: string): Generator<string> {
  const { device, commit, command, date, note, rows } = JSON.parse(
    readFileSync(join(folder, file), 'utf8'),
  );
  if (typeof device !== 'object' || device === null) yield 'device';
  if (!/^$|^[0-9a-f]{7,}/.test(commit ?? '')) yield 'commit';
  if (!/^(npx|npm|node|python3|build)/.test(command)) yield 'command';
  if (!/^\d{4}-\d\d-\d\d$/.test(date)) yield 'date';
  if (!Array.isArray(rows) || rows.length === 0) yield 'rows';
  for (const [i, row] of rows.entries()) {
    const at = (fault: string) => `rows[${i}]: ${fault}`;
    const { flops, parts, flopsRatio, task } = row;
    if (typeof row.name !== 'string') yield at('name');
    if (flops !== undefined && !Number.isSafeInteger(flops)) yield at('flops');
    if (parts !== undefined) {
      const { projections, attention, mlp, lmHead } = parts;
      if (projections + attention + mlp + lmHead !== flops) yield at('parts');
    }
    if (row.median !== undefined && !row.samples && !/not kept/.test(note)) yield at('samples');
    for (const fault of faultsOfNumbers(row)) yield at(fault);
    for (const measure of ['frechet', 'accuracy', 'mse', 'psnr']) {
      if (row[measure] === undefined) continue;
      for (const fault of faultsOfNumbers(row[measure])) yield at(`${measure}: ${fault}`);
    }
    if (flopsRatio === undefined) continue;
    const isBaseline = (one: typeof row) =>
      one.name === 'baseline' &&
      ['model', 'weights', 'batch', 'task'].every((setting) => one[setting] === row[setting]);
    // A file whose raw samples were not kept has ratios of three digits.
    const tolerance = row.samples === undefined && task === undefined ? 0.005 : 1e-9;
    const ratio = rows.find(isBaseline).flops / flops;
    if (!(Math.abs(ratio - flopsRatio) <= tolerance)) yield at('flopsRatio');
  }
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  t.test(file, async (t) => {
    t.same([...faultsOf(file)], []);
  });
}

const tables = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'scripts', 'tables.js'), ...args], { encoding: 'utf8' });

t.test('the tables of README.md and docs are those that npm run tables makes', async (t) => {
  t.match(tables('--check'), { status: 0, stderr: '' });
});

t.test('docs/charts are drawn from these results, by this code', async (t) => {
  const script = join(root, 'bench', 'charts.js');
  const check = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  t.match(check, { status: 0, stderr: '' });
});

t.test('docs/plan.svg is what scripts/draw-plan.js draws', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'plan.svg');
  spawnSync(process.execPath, [join(root, 'scripts', 'draw-plan.js'), file]);
  t.equal(readFileSync(file, 'utf8'), readFileSync(join(root, 'docs/plan.svg'), 'utf8'));
});

t.test('a table that differs is found and renewed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const page = join(folder, 'page.md');
  writeFileSync(page, 'A\n<!-- table: cost-formula -->\nold\n<!-- /table -->\nB\n');
  t.match(tables('--check', page), { status: 1, stderr: /page\.md: its tables differ/ });
  t.match(tables(page), { status: 0, stdout: `${page}\n` });
  t.match(tables('--check', page), { status: 0 });
  const text = readFileSync(page, 'utf8');
  t.match(
    text,
    /^A\n<!-- table: cost-formula -->\n\n\| model .*3\.08x.*\n\n<!-- \/table -->\nB\n$/s,
  );
  writeFileSync(page, text.replace('3.08x', '3.09x'));
  t.match(tables('--check', page), { status: 1 });
  writeFileSync(page, text.replace('<!-- /table -->', ''));
  t.match(tables('--check', page), { status: 1, stderr: /expected <!-- \/table --> after each/ });
  writeFileSync(page, text.replace('cost-formula', 'cost-moon'));
  t.match(tables('--check', page), {
    status: 1,
    stderr: /a table among .* but received cost-moon/,
  });
});
