// npm run tables [-- --check] [FILE...]: writes the tables in README.md and docs/*.md, or in these files, from
// bench/results/*.json and, for costs by formula, from lib/plan. A table NAME is what lies between the lines
// `<!-- table: NAME -->` and `<!-- /table -->`. With --check nothing is written, and a file that differs is a failure.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchCpu, costCpu, operationsCpu, serverCpu, weightsCpu } from './tables/cpu.js';
import { costFormula } from './tables/formula.js';
import { costGpu } from './tables/gpu.js';
import { peerGenerations, peerPasses, publicCpu } from './tables/peers.js';
import { quality, refreshes } from './tables/quality.js';
import { root } from './tables/result.js';

/** The methods of README.md. */
const short = ['baseline', 'paper', 'small'];

/** The paragraphs of each table, by name. @type {Record<string, () => string[]>} */
const tables = {
  'public-cpu': publicCpu,
  'cost-cpu': costCpu,
  'weights-cpu': weightsCpu,
  'bench-cpu': benchCpu,
  'peers-cpu': peerPasses,
  'peers-generation-cpu': peerGenerations,
  'operations-cpu': operationsCpu,
  'cost-gpu': costGpu,
  'cost-formula': costFormula,
  'server-cpu': serverCpu,
  'quality-fashion': () => quality('fashion', 'generation', ['frechet', 'accuracy'], short),
  'quality-fashion-all': () => quality('fashion', 'generation', ['frechet', 'accuracy']),
  'quality-moving-digits-all': () =>
    quality('moving-digits', 'generation', ['frechet', 'accuracy']),
  'prediction-moving-digits-all': () =>
    quality('moving-digits', 'prediction', ['mse', 'psnr', 'frechet', 'accuracy']),
  'refresh-fashion': () => refreshes('fashion', ['frechet', 'accuracy']),
  'refresh-moving-digits': () => refreshes('moving-digits', ['mse', 'psnr', 'accuracy']),
};

/** The text with every table made anew. @param {string} file @param {string} text */
function withTables(file, text) {
  const marked = text.replace(
    /^<!-- table: (.*) -->\n[\s\S]*?^<!-- \/table -->$/gm,
    (_, /** @type {string} */ name) => {
      const make = Object.hasOwn(tables, name) ? tables[name] : undefined;
      if (make === undefined) {
        const known = Object.keys(tables).join(', ');
        throw new Error(`${file}: expected a table among ${known} but received ${name}`);
      }
      return `<!-- table: ${name} -->\n\n${make().join('\n\n')}\n\n<!-- /table -->`;
    },
  );
  const [starts, whole] = [
    /<!-- table:/g,
    /^<!-- table: .* -->\n\n[\s\S]*?^<!-- \/table -->$/gm,
  ].map((pattern) => marked.match(pattern)?.length ?? 0);
  if (starts !== whole)
    throw new Error(`${file}: expected <!-- /table --> after each <!-- table: NAME -->`);
  return marked;
}

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const pages = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'));
const files =
  positionals.length > 0
    ? positionals
    : [join(root, 'README.md'), ...pages.map((file) => join(root, 'docs', file))];
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const made = withTables(file, text);
  if (made === text) continue;
  if (values.check) {
    console.error(`${file}: its tables differ from bench/results: npm run tables`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, made);
    console.log(file);
  }
}
