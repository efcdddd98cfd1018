// node bench/summary.js FOLDER [--plans FILE]: what a run of device.sh found. For every generation and operation it prints
// our time, the peer's, the floor and their ratios; then each goal of the comparison, and whether it holds. What the run
// did not measure is said to be open.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { generations } from './summary/generations.js';
import { goalLines } from './summary/goals.js';
import { operations } from './summary/operations.js';
import { print, Run } from './summary/run.js';

const { positionals, values } = parseArgs({
  options: { plans: { type: 'string' } },
  allowPositionals: true,
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('Expected a folder of results but received none');
  process.exit(2);
}

const run = new Run(folder);
const plans = values.plans === undefined ? {} : JSON.parse(readFileSync(values.plans, 'utf8'));
const { lines, found } = generations(run, plans);
print(lines);

const ofOperations = operations(run);
if (ofOperations.lines.length > 1) print(ofOperations.lines);

const tiles = run.read('tiles')?.rows;
if (tiles !== undefined) {
  const others = tiles.filter(({ tile, formula }) => tile !== formula).length;
  console.log(`${others} of ${tiles.length} products have a faster tile than by formula\n`);
}

for (const line of goalLines(found, ofOperations.attention)) console.log(line);

const parts = join(folder, 'parts.txt');
if (existsSync(parts)) console.log(`\n${readFileSync(parts, 'utf8')}`);
