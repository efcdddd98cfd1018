// node scripts/draw-plan.js [FILE]: writes a drawing of what each step of a plan computes, from lib/plan; without a file
// docs/plan.svg.

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { plan, presets, sequenceLength } from '../dist/plan/index.js';

const model = presets.L;
const { steps, flops, baselineFlops, flopsRatio } = plan({ model, steps: 12 });
const allRows = sequenceLength(model);
const giga = (/** @type {number} */ value) => value / 1e9;
const baselineStep = baselineFlops / steps.length;

// Places in pixels. A column is a step; both panels stand on the same columns.
const left = 132;
const column = 66;
const right = left + column * steps.length;
const size = { width: right + 28, height: 506 };
const upper = { top: 112, bottom: 264 };
const lower = { top: 370, bottom: 450 };
const bar = 22;

/** @param {number} x @param {number} y @param {string} content @param {string} [attributes] */
const text = (x, y, content, attributes = '') =>
  `<text x="${x}" y="${y}" ${attributes}>${content}</text>`;

/** A bar that stands on `bottom`. @param {string} kind @param {number} x @param {number} bottom @param {number} height @param {number} [width] */
const standing = (kind, x, bottom, height, width = bar) =>
  `<rect class="${kind}" x="${x}" y="${(bottom - height).toFixed(1)}" width="${width}" height="${height.toFixed(1)}" rx="2"/>`;

/** An arrow that goes round. @param {number} x @param {number} y */
const refreshMark = (x, y) =>
  `<g class="refresh" transform="translate(${x} ${y})"><path d="M5.2 -3 A6 6 0 1 0 6 0"/><path class="tip" d="M8.6 -4.9 L5.6 -0.2 L2.2 -4.6 Z"/></g>`;

const upperHeight = upper.bottom - upper.top;
const lowerHeight = lower.bottom - lower.top;

const columns = steps.map(({ step, width, refresh, activeRows, masked, flops }) => {
  const x = left + step * column;
  const middle = x + column / 2;
  const widthX = middle - bar - 2;
  const rowsX = middle + 2;
  const share = upperHeight * (width.hidden / model.intermediateSize);
  const rows = upperHeight * (activeRows / allRows);
  const cost = lowerHeight * (flops / baselineStep);
  return [
    standing('width-all', widthX, upper.bottom, upperHeight),
    standing('width', widthX, upper.bottom, share),
    standing('rows-all', rowsX, upper.bottom, upperHeight),
    standing('rows', rowsX, upper.bottom, rows),
    text(rowsX + bar / 2, upper.top - 7, `${activeRows}`, 'class="number rows-text"'),
    refresh ? refreshMark(widthX + bar / 2, upper.top - 11) : '',
    text(middle, upper.bottom + 20, `${step}`, 'class="number strong"'),
    text(middle, upper.bottom + 38, `${masked}`, 'class="number muted"'),
    standing('cost-all', middle - bar - 2, lower.bottom, lowerHeight, 2 * bar + 4),
    standing('cost', middle - bar - 2, lower.bottom, cost, 2 * bar + 4),
    text(middle, lower.bottom + 18, giga(flops).toFixed(0), 'class="number cost-text"'),
  ].join('');
});

// A line under the steps of each width.
const phases = model.widths.map((width) => {
  const own = steps.filter((step) => step.width === width).map(({ step }) => step);
  const from = left + Math.min(...own) * column + 8;
  const to = left + (Math.max(...own) + 1) * column - 8;
  const y = upper.bottom + 50;
  const middle = (from + to) / 2;
  const sizes = `${width.heads} heads, ${width.hidden} hidden units`;
  return [
    `<path class="phase" d="M${from} ${y} H${to}"/>`,
    text(middle, y + 18, `width ${width.name}`, 'class="number width-text strong"'),
    text(middle, y + 34, sizes, 'class="number muted" font-size="11.5"'),
  ].join('');
});

/** @param {number} x @param {string} kind @param {string} content */
const legend = (x, kind, content) =>
  `<rect class="${kind}" x="${x}" y="49" width="13" height="13" rx="2"/>${text(x + 20, 60, content)}`;

const label = left - 14;
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" role="img" font-family="sans-serif" font-size="13">
<title>What each of 12 steps of a model of size L computes: its width, its active rows and its FLOPs</title>
<style>
.card { fill: #ffffff; stroke: #d0d7de }
text { fill: #1f2328 }
.number { text-anchor: middle }
.label { text-anchor: end }
.title { font-size: 16px; font-weight: bold }
.strong { font-weight: bold }
.muted { fill: #59636e }
.width { fill: #2f6fde } .width-all { fill: #dfe9fb } .width-text { fill: #2459b8 }
.rows { fill: #1f8a66 } .rows-all { fill: #d8efe6 } .rows-text { fill: #176b4f }
.cost { fill: #7a4fd0 } .cost-all { fill: #ebe3fb } .cost-text { fill: #633bb3 }
.refresh { fill: none; stroke: #c2570c; stroke-width: 2 } .refresh .tip { fill: #c2570c; stroke: none }
.phase { stroke: #2f6fde; stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #30363d }
text { fill: #e6edf3 }
.muted { fill: #9198a1 }
.width { fill: #4c8dff } .width-all { fill: #1b2a41 } .width-text { fill: #79adff }
.rows { fill: #35b184 } .rows-all { fill: #15352a } .rows-text { fill: #5bcfa5 }
.cost { fill: #a17ff0 } .cost-all { fill: #2b2145 } .cost-text { fill: #bfa6f7 }
.refresh { stroke: #f0883e } .refresh .tip { fill: #f0883e }
.phase { stroke: #4c8dff }
}
</style>
<rect class="card" x="0.5" y="0.5" width="${size.width - 1}" height="${size.height - 1}" rx="8"/>
${text(24, 32, "One image by a model of size L in 12 steps, schedule 'paper'", 'class="title"')}
${legend(24, 'width', 'width of the sub-model')}
${legend(222, 'rows', `active rows of ${allRows}`)}
${refreshMark(400, 56)}${text(414, 60, 'refresh: every row is computed, the cache is rewritten')}
${text(label, upper.top + upperHeight / 2 - 4, 'width and', 'class="label"')}
${text(label, upper.top + upperHeight / 2 + 13, 'active rows', 'class="label"')}
${text(label, upper.bottom + 20, 'step', 'class="label strong"')}
${text(label, upper.bottom + 38, 'masked tokens', 'class="label muted"')}
${text(label, lower.top + lowerHeight / 2 - 4, 'GFLOP, of the', 'class="label"')}
${text(label, lower.top + lowerHeight / 2 + 13, `baseline's ${giga(baselineStep).toFixed(0)}`, 'class="label"')}
${columns.join('\n')}
${phases.join('\n')}
${text(right - 8, lower.bottom + 40, `${giga(flops).toFixed(0)} GFLOP in all; the baseline needs ${giga(baselineFlops).toFixed(0)}, ${flopsRatio.toFixed(2)} times as many`, 'class="label strong"')}
</svg>
`;
const file = process.argv[2] ?? fileURLToPath(new URL('../docs/plan.svg', import.meta.url));
writeFileSync(file, svg);
