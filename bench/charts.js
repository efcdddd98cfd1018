// npm run charts: draws docs/charts/*.svg from bench/results. node bench/charts.js --check draws nothing, for which it needs
// no installed package, and fails where a chart was drawn from other results, or by other code.
//
// A chart is a Vega specification with its colors in light; a rule of CSS changes each of them where the reader's system
// is dark.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { costChart } from './charts/cost.js';
import { qualityChart } from './charts/quality.js';
import { darkOf } from './charts/style.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @typedef {{ title: string, spec: import('vega').Spec }} Chart */

/** The results of each chart, and how they are drawn. @type {Record<string, [string[], (...results: any[]) => Chart]>} */
const charts = {
  cost: [['cpu-schedules', 'cpu-schedules-int8'], costChart],
  'quality-fashion': [['quality-fashion'], qualityChart],
  'quality-moving-digits': [['quality-moving-digits'], qualityChart],
};

/** @param {string} file */
const read = (file) => readFileSync(join(root, file), 'utf8');
/** @param {string} name */
const resultsFile = (name) => `bench/results/${name}.json`;
const code = [
  'bench/charts.js',
  ...readdirSync(join(root, 'bench/charts')).map((file) => `bench/charts/${file}`),
];

/** What a chart was made of. @param {readonly string[]} results */
function stampOf(results) {
  const hash = createHash('sha256');
  for (const file of [...code.sort(), ...results.map(resultsFile)]) hash.update(read(file));
  return `<!-- npm run charts: ${hash.digest('hex').slice(0, 16)} -->`;
}

/** @param {Chart} chart @param {string} stamp */
async function toSvg({ title, spec }, stamp) {
  const vega = await import('vega');
  const svg = await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG();
  const rules = Object.entries(darkOf).flatMap(([light, dark]) =>
    ['fill', 'stroke'].map((property) => `[${property}="${light}"] { ${property}: ${dark} }`),
  );
  const style = `<style>@media (prefers-color-scheme: dark) {\n${rules.join('\n')}\n}</style>`;
  const head = `<title>${title.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</title>${style}`;
  return `${svg.replace(/<svg [^>]*>/, (start) => `${start}\n${stamp}\n${head}\n`)}\n`;
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
mkdirSync(join(root, 'docs/charts'), { recursive: true });
for (const [name, [results, draw]] of Object.entries(charts)) {
  const file = join('docs/charts', `${name}.svg`);
  const stamp = stampOf(results);
  if (!values.check) {
    const chart = draw(...results.map((result) => JSON.parse(read(resultsFile(result)))));
    writeFileSync(join(root, file), await toSvg(chart, stamp));
    console.log(file);
  } else if (!read(file).includes(stamp)) {
    console.error(`${file} differs from bench/results: npm run charts`);
    process.exitCode = 1;
  }
}
