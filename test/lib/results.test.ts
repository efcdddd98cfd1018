/** The files of bench/results have the schema of bench/README.md, and the tables of README.md and docs/ are made of them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'bench', 'results');

type Assertions = Pick<typeof t, 'ok' | 'equal'>;
type Numbers = Record<string, unknown> & { samples?: number[]; min?: number; max?: number };

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** What is wrong with numbers over samples, which have a median (times) or a mean (quality). */
function checkNumbers(t: Assertions, name: string, numbers: Numbers): void {
  const { samples, min, max } = numbers;
  if (samples === undefined) return;
  t.ok(samples.length > 0 && samples.every(Number.isFinite), `${name}: samples are numbers`);
  t.equal(min, Math.min(...samples), `${name}: min`);
  t.equal(max, Math.max(...samples), `${name}: max`);
  if (numbers.median !== undefined) t.equal(numbers.median, medianOf(samples), `${name}: median`);
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  t.test(file, async (t) => {
    const { device, commit, command, date, note, rows } = JSON.parse(
      readFileSync(join(folder, file), 'utf8'),
    );
    t.type(device, Object);
    t.match(commit ?? '', /^$|^[0-9a-f]{7,}/);
    t.match(command, /^(npx|npm|node|python3|build)/);
    t.match(date, /^\d{4}-\d\d-\d\d$/);
    t.ok(rows.length > 0, 'rows');
    for (const row of rows) {
      const name = `${row.name} ${row.batch ?? ''}`;
      t.type(row.name, 'string');
      t.ok(row.flops === undefined || Number.isSafeInteger(row.flops), `${name}: flops`);
      if (row.parts !== undefined) {
        t.same(Object.keys(row.parts), ['projections', 'attention', 'mlp', 'lmHead']);
        const parts = Object.values<number>(row.parts);
        t.equal(
          parts.reduce((sum, part) => sum + part, 0),
          row.flops,
          `${name}: parts`,
        );
      }
      if (row.median !== undefined) {
        t.ok(row.samples !== undefined || /not kept/.test(note), `${name}: samples, or a note`);
      }
      checkNumbers(t, name, row);
      for (const measure of ['frechet', 'accuracy', 'mse', 'psnr']) {
        if (row[measure] !== undefined) checkNumbers(t, `${name}: ${measure}`, row[measure]);
      }
      const baseline = rows.find(
        (one: typeof row) =>
          one.name === 'baseline' && one.batch === row.batch && one.task === row.task,
      );
      if (row.flopsRatio !== undefined) {
        // Files whose raw samples were not kept have ratios of three digits.
        const tolerance = row.samples === undefined && row.task === undefined ? 0.005 : 1e-9;
        const error = Math.abs(baseline.flops / row.flops - row.flopsRatio);
        t.ok(error <= tolerance, `${name}: flopsRatio`);
      }
    }
  });
}

const tables = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'scripts', 'tables.js'), ...args], { encoding: 'utf8' });

t.test('the tables of README.md and docs are those that npm run tables makes', async (t) => {
  t.match(tables('--check'), { status: 0, stderr: '' });
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
