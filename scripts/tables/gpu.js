// What magnets takes on a GPU, beside PyTorch.

import { readdirSync } from 'node:fs';
import { formatRatio } from '../../dist/cli/output.js';
import { find, formatTime, formatTimes, origin, read, results, rightAligned } from './result.js';

/** @typedef {import('./result.js').Row} Row */
/** @typedef {import('./result.js').Result} Result */

/** The results of PyTorch on the same kind of card. @param {Result} ours @returns {Result | undefined} */
function pytorchBeside(ours) {
  const names = readdirSync(results).filter((file) => /^pytorch-L.*\.json$/.test(file));
  return names
    .map((file) => read(file.replace(/\.json$/, '')))
    .find(({ device }) => device.name === ours.device.name);
}

export function costGpu() {
  const ours = read('cuda-L');
  const pytorch = pytorchBeside(ours);
  const batches = [...new Set(ours.rows.map(({ batch }) => batch))];
  const rows = batches.map((batch) => {
    const own = ours.rows.filter((row) => row.batch === batch);
    const peer = pytorch?.rows.filter((row) => row.batch === batch) ?? [];
    const paper = find(own, 'paper');
    /** @param {string} name */
    const peerTime = (name) => {
      const row = peer.find((one) => one.name === name);
      return row === undefined ? '' : formatTime(row.median);
    };
    return [
      String(batch),
      formatTimes(find(own, 'baseline')),
      formatTimes(paper),
      formatRatio(paper.timeRatio),
      formatRatio(paper.flopsRatio),
      peerTime('baseline'),
      peerTime('paper'),
    ];
  });
  const header = ['batch', 'baseline', 'paper', 'time ratio', 'FLOPs ratio'];
  header.push('PyTorch baseline', 'PyTorch paper');
  const beside = pytorch === undefined ? '' : `; PyTorch: ${origin(pytorch)}`;
  return [rightAligned(header, rows), `${origin(ours)}${beside}`];
}
