// What magnets takes on a CPU.

import { formatFlops, formatRatio } from '../../dist/cli/output.js';
import { find, formatTime, formatTimes, origin, read, rightAligned } from './result.js';

/** @typedef {import('./result.js').Row} Row */

export function costCpu() {
  const result = read('cpu-L');
  const baseline = find(result.rows, 'baseline');
  const paper = find(result.rows, 'paper');
  /** @param {Row} row */
  const rate = (row) => `${((row.flops ?? 0) / row.median / 1e9).toFixed(0)} GFLOP/s`;
  const rows = [
    [
      'FLOPs',
      ...[baseline, paper].map((row) => formatFlops(row.flops ?? 0)),
      formatRatio(paper.flopsRatio),
    ],
    ['time', formatTimes(baseline), formatTimes(paper), formatRatio(paper.timeRatio)],
    ['rate', rate(baseline), rate(paper), ''],
  ];
  const peak = `${(result.device.peakFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`;
  return [
    rightAligned(['', 'baseline', 'paper', 'ratio'], rows),
    `Multiply-adds on registers alone reach ${peak}. ${origin(result)}`,
  ];
}

/** One picture by each instruction set with each format of weights, and how much sooner than with f32. */
export function weightsCpu() {
  const formats = ['f32', 'bf16', 'int8'];
  const sets = ['', '-avx2'].map((set) =>
    formats.map((weights) => read(`cpu-L${weights === 'f32' ? '' : `-${weights}`}${set}`)),
  );
  const lines = sets.flatMap((all) =>
    ['baseline', 'paper'].map((name) => {
      const rows = all.map((result) => find(result.rows, name));
      const cells = rows.map((row) => {
        const ratio = /** @type {Row} */ (rows[0]).median / row.median;
        return `${formatTimes(row)}${row === rows[0] ? '' : `, ${formatRatio(ratio)}`}`;
      });
      return [`${all[0]?.device.instructionSet}, ${name}`, ...cells];
    }),
  );
  return [rightAligned(['', ...formats], lines), sets.flat().map(origin).join('; ')];
}

/** `paper` beside the baseline: what `npm run bench` prints. */
export function benchCpu() {
  const result = read('bench-cpu');
  const lines = result.rows.flatMap((row, i) => {
    const baseline = result.rows[i - 1];
    if (row.name === 'baseline' || baseline === undefined) return [];
    const { model, weights, batch, flopsRatio, timeRatio } = row;
    return [
      [
        `${model}, ${weights}, batch ${batch}`,
        formatTimes(baseline),
        formatTimes(row),
        formatRatio(timeRatio),
        formatRatio(flopsRatio),
        (timeRatio / flopsRatio).toFixed(2),
      ],
    ];
  });
  const header = ['', 'baseline', 'paper', 'time ratio', 'FLOPs ratio', 'time by FLOPs'];
  return [rightAligned(header, lines), origin(result)];
}

/** Of each operation and width the share of what bounds it, where all rows are computed and where fewest are. */
export function operationsCpu() {
  const names = ['qkv', 'attention', 'output', 'up', 'down', 'lm_head'];
  const all = ['operations-cpu', 'operations-cpu-avx2'].map(read);
  const widths = [...new Set(all.flatMap(({ rows }) => rows.map(({ heads }) => heads ?? 0)))];
  const lines = all.flatMap(({ device, rows }) =>
    names.map((name) => {
      const cells = widths.map((width) => {
        const own = rows.filter((row) => row.name === name && row.heads === width);
        const shares = own.map(
          ({ flops = 0, median }) => (100 * flops) / median / device.peakFlopsPerSecond,
        );
        return `${shares[0]?.toFixed(0)} %, ${shares.at(-1)?.toFixed(0)} %`;
      });
      return [`${device.instructionSet}, ${name}`, ...cells];
    }),
  );
  const limits = all.map(({ device }) => {
    const [peak, bytes] = [device.peakFlopsPerSecond, device.bytesPerSecond ?? 0];
    return `${device.instructionSet}: at its best ${(peak / 1e9).toFixed(0)} GFLOP/s, and ${(bytes / 1e9).toFixed(0)} GB/s of memory.`;
  });
  const header = ['', ...widths.map((heads) => (heads === 16 ? '1' : `1/${16 / heads}`))];
  return [rightAligned(header, lines), `${limits.join(' ')} ${all.map(origin).join('; ')}`];
}

export function serverCpu() {
  const result = read('server-fashion');
  const rows = result.rows.map((row) => [
    row.name,
    formatTime(row.median),
    formatTime(row.p99 ?? Number.NaN),
    row.eventLoopP99Ms === undefined ? '' : `${row.eventLoopP99Ms.toFixed(1)} ms`,
  ]);
  const idle = result.rows.find(({ eventLoopIdleP99Ms }) => eventLoopIdleP99Ms !== undefined);
  return [
    rightAligned(['', 'median', 'p99', "event loop's p99"], rows),
    `The event loop is looked at every 10 ms; idle its p99 is ${idle?.eventLoopIdleP99Ms?.toFixed(1)} ms. ${origin(result)}`,
  ];
}
