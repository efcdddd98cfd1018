// What a run of device.sh left in its folder, and how its numbers are printed.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {{ name: string, model: string, batch: number, median: number, flops: number, heads: number, shape: string,
 *   m: number, n: number, k: number, sequences: number, queries: number, keys: number, bytes_per_second: number,
 *   tile: string, formula: string }} Row
 * @typedef {{ device: { peakFlopsPerSecond?: number }, rows: Row[] }} Results
 */

/** Bytes a second of an H100, for a run that measured no copy. */
const copyRate = 3.0e12;

/** A folder of results. */
export class Run {
  /** @param {string} folder */
  constructor(folder) {
    this.folder = folder;
    /** What PyTorch measured of single operations, a large product and a copy included. */
    this.peerOperations = [
      'pytorch-operations',
      'pytorch-attention',
      'pytorch-attention-video',
    ].flatMap((name) => this.read(name)?.rows ?? []);
    const product = this.peerOperations.find(({ name }) => name === 'mm');
    /** FLOPs a second of a large product; undefined where none was measured. */
    this.productRate = product && product.flops / product.median;
    /** Bytes a second of a copy. */
    this.copyRate =
      this.peerOperations.find(({ name }) => name === 'copy')?.bytes_per_second ?? copyRate;
  }

  /** Undefined where the part of the run failed or was cut. @param {string} name @returns {Results | undefined} */
  read(name) {
    const file = join(this.folder, `${name}.json`);
    if (!existsSync(file)) return undefined;
    try {
      return JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      return undefined; // cut in the middle of a write
    }
  }
}

/** A minus sign where there is no number. @param {number | undefined} value @param {number} factor @param {number} digits */
export const number = (value, factor = 1, digits = 2) =>
  value === undefined || Number.isNaN(value) ? '-' : (value * factor).toFixed(digits);

/** @param {number | undefined} a @param {number | undefined} b */
export const over = (a, b) => (a === undefined || b === undefined ? undefined : a / b);

/** A table whose columns are aligned to the right. @param {readonly string[][]} lines */
export function print(lines) {
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  for (const line of lines)
    console.log(line.map((cell, i) => cell.padStart(widths?.[i] ?? 0)).join('  '));
  console.log('');
}
