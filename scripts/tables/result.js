// The result files of bench/results as tables read them, and their numbers as text.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../../dist/cli/output.js';

/**
 * What tables take from a result file (bench/README.md).
 * @typedef {{ mean: number, min: number, max: number }} Spread
 * @typedef {{ name: string, what?: string, weights?: string, schedule?: string, threads?: number, heads?: number,
 *   runtime?: string, model?: string, ratioToOurs?: number, steps?: number, task?: string, batch: number, flops?: number,
 *   flopsRatio: number, timeRatio: number,
 *   median: number, min?: number, max?: number, p99?: number, eventLoopP99Ms?: number, eventLoopIdleP99Ms?: number,
 *   accuracy: Spread, frechet: Spread, mse: Spread, psnr: Spread }} Row
 * @typedef {{ name: string, instructionSet?: string, threads?: number, driver?: string, peakFlopsPerSecond: number,
 *   bytesPerSecond?: number }} Device
 * @typedef {{ device: Device, command: string, date: string, rows: Row[] }} Result
 */

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const results = join(root, 'bench/results');

/** @param {string} name @returns {Result} */
export function read(name) {
  return JSON.parse(readFileSync(join(results, `${name}.json`), 'utf8'));
}

/** @param {Row[]} rows @param {string} name @returns {Row} */
export function find(rows, name) {
  const row = rows.find((one) => one.name === name);
  if (row === undefined)
    throw new Error(`expected a row ${name} among ${rows.map((one) => one.name)}`);
  return row;
}

/** A table whose columns but the first are aligned to the right. @param {string[]} header @param {string[][]} rows */
export function rightAligned(header, rows) {
  const [head, , ...lines] = table(header, rows).split('\n');
  return [head, `|---|${'---:|'.repeat(header.length - 1)}`, ...lines].join('\n');
}

/** Three significant digits. @param {number} seconds */
export function formatTime(seconds) {
  return seconds < 0.9995 ? `${(1000 * seconds).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
}

/** @param {Row} row */
export function formatTimes({ median, min, max }) {
  if (min === undefined || max === undefined) return formatTime(median);
  return `${formatTime(median)} (${formatTime(min)} .. ${formatTime(max)})`;
}

/** @param {Result} result */
export function origin({ device, command, date }) {
  const { name, instructionSet, threads, driver } = device;
  const facts = [instructionSet, threads && `${threads} threads`, driver && `driver ${driver}`];
  return `${name} (${facts.filter(Boolean).join(', ')}), ${date}: \`${command}\``;
}
