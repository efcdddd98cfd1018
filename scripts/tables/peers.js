// What magnets takes on a CPU beside other software.

import { formatRatio } from '../../dist/cli/output.js';
import { find, formatTime, formatTimes, origin, read, rightAligned } from './result.js';

/** @typedef {import('./result.js').Row} Row */

/** Of peers the time, and how much longer it takes than ours with the same weights. @param {Row | undefined} row */
function besideOurs(row) {
  if (row === undefined) return '';
  const { median, ratioToOurs = 1 } = row;
  return ratioToOurs === 1
    ? formatTime(median)
    : `${formatTime(median)} (${formatRatio(ratioToOurs)})`;
}

/**
 * A cell for each `row` and `column` of the rows of `npm run bench:peers` that measure `what`.
 * @param {'forward' | 'generation'} what @param {(row: Row) => string} rowOf @param {(row: Row) => string} columnOf
 */
function peersCpu(what, rowOf, columnOf) {
  /** @param {Row} row */
  const measures = (row) => row.what?.endsWith(` ${what}`) ?? false;
  const files = ['peers-B', 'peers-L'].map(read).filter((file) => file.rows.some(measures));
  const rows = files.flatMap((file) => file.rows.filter(measures));
  const columns = [...new Set(rows.map(columnOf))];
  const lines = [...new Set(rows.map(rowOf))].map((line) => {
    const own = rows.filter((row) => rowOf(row) === line);
    return [line, ...columns.map((name) => besideOurs(own.find((row) => columnOf(row) === name)))];
  });
  return [rightAligned(['', ...columns], lines), files.map(origin).join('; ')];
}

/** @param {Row} row */
const settingOf = ({ model, threads }) =>
  `${model}, ${threads === 1 ? '1 thread' : `${threads} threads`}`;

/** Ours by `paper` and by the baseline; of the others the loop of full-size passes. @param {Row} row */
const generationOf = ({ name, schedule }) =>
  schedule === 'paper' || schedule === 'baseline' ? `${name}, ${schedule}` : name;

export const peerPasses = () =>
  peersCpu(
    'forward',
    (row) => `${settingOf(row)}, batch ${row.batch}`,
    ({ name }) => name,
  );

export const peerGenerations = () => peersCpu('generation', generationOf, settingOf);

/** Public models on the CPU, beside onnxruntime on the same networks. */
export function publicCpu() {
  const names = ['maskgit-256', 'halton-base-256'];
  const results = names.map((name) => read(`onnxruntime-${name}`));
  const rows = results.map(({ rows }, i) => {
    /** @param {string} runtime @param {string} name */
    const time = (runtime, name) =>
      formatTimes(
        find(
          rows.filter((row) => row.runtime === runtime),
          name,
        ),
      );
    return [
      `${names[i]}, ${rows[0]?.steps} steps`,
      time('onnxruntime', 'baseline'),
      time('magnets', 'baseline'),
      time('magnets', 'recipe'),
      time('onnxruntime', 'pixels'),
      time('magnets', 'pixels'),
    ];
  });
  const header = ['', 'onnxruntime, every row', 'every row', 'recipe'];
  header.push('onnxruntime, pixels', 'pixels');
  return [rightAligned(header, rows), results.map(origin).join('; ')];
}
