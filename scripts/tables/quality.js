// What evaluation measured: the quality of samples, for several methods and refreshes.

import { formatFlops, formatRatio } from '../../dist/cli/output.js';
import { find, read, rightAligned } from './result.js';

/** @typedef {import('./result.js').Spread} Spread */

/** What the methods and the references of evaluation/compare.py are. @type {Record<string, string>} */
const methods = {
  test: 'the real test samples',
  'test-reconstructed': 'the same through the tokenizer',
  'last-frame': 'the last given frame, repeated',
  baseline: '`baseline`: full width at every step, no cache',
  'baseline-cached': '`baseline-cached`: full width at every step, with cache',
  paper: '**`paper`**: nested widths with cache',
  'paper-nocache': '`paper-nocache`: nested widths without cache',
  'paper-int8': '`paper-int8`: nested widths with cache, weights int8',
  reversed: '`reversed`: wide to narrow, with cache',
  'ffn-only': '`ffn-only`: widths of the MLP alone (MatFormer), with cache',
  small: '`small`: a small model trained by itself, no cache',
};

/** @param {string} name */
function describe(name) {
  const [, width] = /^width-(.+)$/.exec(name) ?? [];
  if (width !== undefined) return `\`${name}\`: width ${width} at every step, with cache`;
  if (name.startsWith('auto:')) return `\`${name}\`: the searched schedule, with cache`;
  return methods[name] ?? `\`${name}\``;
}

/** @typedef {'frechet' | 'accuracy' | 'mse' | 'psnr'} Measure */

/** @type {Record<Measure, { heading: string, digits: number, scale: number }>} */
const measures = {
  mse: { heading: 'squared error, 1e-3', digits: 1, scale: 1000 },
  psnr: { heading: 'PSNR, dB', digits: 1, scale: 1 },
  frechet: { heading: 'Fréchet distance', digits: 1, scale: 1 },
  accuracy: { heading: 'class accuracy, %', digits: 1, scale: 100 },
};

/** The mean, and where the seeds differ visibly the least and the greatest. @param {Spread} spread @param {Measure} measure */
function formatSpread({ mean, min, max }, measure) {
  const { digits, scale } = measures[measure];
  const [middle, least, greatest] = [mean, min, max].map((value) =>
    (scale * value).toFixed(digits),
  );
  return least === greatest ? `${middle}` : `${middle} (${least} .. ${greatest})`;
}

/** @param {string} model @param {string} task @param {Measure[]} columns @param {string[]} [names] */
export function quality(model, task, columns, names) {
  const all = read(`quality-${model}`).rows.filter((row) => row.task === task);
  const rows = (names?.map((name) => find(all, name)) ?? all).map((row) => [
    describe(row.name),
    ...(row.flops === undefined
      ? ['', '', '']
      : [formatFlops(row.flops), formatRatio(row.flopsRatio), formatRatio(row.timeRatio)]),
    ...columns.map((measure) => formatSpread(row[measure], measure)),
  ]);
  const header = ['method', 'FLOPs a sample', 'FLOPs ratio', 'time ratio'];
  return [rightAligned([...header, ...columns.map((name) => measures[name].heading)], rows)];
}

/** How often the methods of evaluation/refresh.py refresh the cache. @param {string} name */
function describeRefresh(name) {
  const [, kind = name, when] = /^(full|paper)-(.+)$/.exec(name) ?? [];
  if (when === undefined) return methods[name] ?? name;
  const width = kind === 'full' ? 'full width' : '`paper`';
  if (when === 'never') return `${width}, none after the first step`;
  if (when === 'switch') return `${width}, at a new width`;
  if (when === '1') return `${width}, at every step`;
  return `${width}, ${kind === 'paper' ? 'at a new width and ' : ''}every ${when} steps`;
}

/** @param {string} model @param {Measure[]} columns */
export function refreshes(model, columns) {
  const { command, date, rows } = read(`refresh-${model}`);
  const timed = rows.every(({ timeRatio }) => timeRatio !== undefined);
  const lines = rows.map((row) => [
    describeRefresh(row.name),
    formatFlops(row.flops ?? 0),
    formatRatio(row.flopsRatio),
    ...(timed ? [formatRatio(row.timeRatio)] : []),
    ...columns.map((measure) => formatSpread(row[measure], measure)),
  ]);
  const header = ['refreshes', 'FLOPs a sample', 'FLOPs ratio', ...(timed ? ['time ratio'] : [])];
  return [
    rightAligned([...header, ...columns.map((name) => measures[name].heading)], lines),
    `${date}: \`${command}\``,
  ];
}
