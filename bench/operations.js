// npm run bench:operations -- [--threads 2] [--quick] [--from FILE] [--out FILE]
//
// Each operation of a generation at each width on the CPU (operations.cpp, which it builds), beside what bounds it: the
// best rate of multiply-adds and the bandwidth of memory, measured in the same run. --from takes what the program printed
// elsewhere: on a GPU, or on a machine without Node.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { formatFlops, table } from '../dist/cli/output.js';
import { commandLine, formatResults, resultFile } from '../dist/cli/result-file.js';
import { timing } from '../dist/runtime/timing.js';
import { integer, readOptions } from './options.js';

/** @typedef {{ name: string, batch: number, heads: number, shape: string, flops?: number, bytes: number, samples: readonly number[] }} Row */
/** @typedef {{ backend: string, threads?: number, peakFlopsPerSecond: number, bytesPerSecond?: number, compute: string, rows: Row[] }} Printed */

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = readOptions({
  threads: { type: 'string', default: '2' },
  quick: { type: 'boolean', default: false },
  from: { type: 'string' },
  out: { type: 'string' },
});

/** @returns {string} */
function measure() {
  const build = 'build/cpu';
  const cmake = (/** @type {string[]} */ ...args) =>
    execFileSync('cmake', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  const options = ['TESTS=ON', 'CUDA=OFF', 'EMULATION=OFF'].map((one) => `-DMAGNETS_${one}`);
  cmake('-S', '.', '-B', build, ...options);
  cmake('--build', build, '--parallel', '2', '--target', 'bench_operations_cpu');
  const threads = String(integer('threads', values.threads));
  const args = ['cpu', '--threads', threads, ...(values.quick ? ['--quick'] : [])];
  return execFileSync(`${build}/test/native/bench_operations_cpu`, args, {
    cwd: root,
    encoding: 'utf8',
  });
}

/** @type {Printed} */
const { rows, backend, threads, compute, peakFlopsPerSecond, bytesPerSecond } = JSON.parse(
  values.from === undefined ? measure() : readFileSync(values.from, 'utf8'),
);
const timed = rows.map((row) => ({ ...row, ...timing(row.samples) }));

/** The time that a row takes at least, and what it waits for. @param {Row} row */
function boundOf({ flops = 0, bytes }) {
  const [computing, moving] = [flops / peakFlopsPerSecond, bytes / (bytesPerSecond ?? Infinity)];
  return computing > moving
    ? { seconds: computing, by: 'multiply-adds' }
    : { seconds: moving, by: 'memory' };
}

const lines = timed.map((row) => {
  const { seconds, by } = boundOf(row);
  return [
    row.name,
    row.batch,
    `${row.heads}/16`,
    row.shape,
    `${(1e6 * row.median).toPrecision(4)} us`,
    row.flops === undefined ? '' : `${formatFlops(row.flops / row.median)}/s`,
    `${(row.bytes / row.median / 1e9).toPrecision(3)} GB/s`,
    `${((100 * seconds) / row.median).toFixed(0)} % of ${by}`,
  ];
});
console.log(
  table(['', 'batch', 'width', 'shape', 'time', 'rate', 'memory', 'of its bound'], lines),
);
const memory =
  bytesPerSecond === undefined ? '' : `, ${(bytesPerSecond / 1e9).toFixed(1)} GB/s of memory`;
console.log(`\n${backend}: at its best ${formatFlops(peakFlopsPerSecond)}/s${memory}`);
if (values.out !== undefined) {
  const name = backend.startsWith('cpu') ? cpus()[0]?.model : undefined;
  const instructionSet = /^cpu\/(.*)/.exec(backend)?.[1];
  const device = { name, backend, instructionSet, threads, peakFlopsPerSecond, bytesPerSecond };
  const command = commandLine(['npm', 'run', 'bench:operations', '--'], process.argv.slice(2));
  writeFileSync(
    values.out,
    formatResults(resultFile(device, command, { compute }, timed), values.out),
  );
}
