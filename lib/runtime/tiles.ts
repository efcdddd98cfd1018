/**
 * In which tiles a CUDA device multiplies matrices: those that `magnets tune` measured on this machine, else those of the
 * table that ships for the device, else those that a formula predicts to be fastest (native/cuda/matmul/choose.cpp). All
 * give the same numbers, so it is only a matter of time. A file in the format of bench/README.md, one row a product.
 */

import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseJson } from '../checkpoint/json.js';
import type { NativeCudaDevice, NativeTile, NativeTileTiming } from './native.js';
import { packageRoot, packageVersion } from './package.js';
import { timing } from './timing.js';

/** What is known of the tiles of a device. */
export interface Tiles {
  /** `'formula'`: nothing was measured. */
  readonly source: 'tuned' | 'table' | 'formula';
  /** What was measured. */
  readonly file?: string;
  readonly choices: readonly NativeTile[];
}

/** A product in the file, with the fastest tile and the time of each in seconds. */
export interface TileRow {
  readonly name: 'product';
  readonly rows: number;
  readonly out: number;
  readonly in: number;
  readonly products: number;
  readonly end: NativeTile['end'];
  /** Rows x columns; by formula unless another one is faster. */
  readonly tile: string;
  readonly formula: string;
  readonly flops: number;
  readonly medians: Readonly<Record<string, number>>;
}

/** What a tile must be faster by than the formula's: less is noise. */
const worthwhile = 0.02;
const ends: readonly NativeTile['end'][] = ['stores', 'adds', 'activates', 'f32'];
/** A table of several models and many batches has some hundred kilobytes. */
const mostBytes = 2 ** 24;

/** One row for each product that was timed. */
export function fastestTiles(timings: readonly NativeTileTiming[]): TileRow[] {
  const products = new Map<string, NativeTileTiming[]>();
  for (const timed of timings) {
    const { rows, out, in: inputs, products: count, end } = timed;
    const key = [rows, out, inputs, count, end].join(' ');
    products.set(key, [...(products.get(key) ?? []), timed]);
  }
  return [...products.values()].map((own) => {
    const named = own.map(({ tileRows, tileColumns, byFormula, samples }) => ({
      tile: `${tileRows}x${tileColumns}`,
      median: timing(samples).median,
      byFormula,
    }));
    const formula = named.find(({ byFormula }) => byFormula)!;
    const best = named.reduce((a, b) => (b.median < a.median ? b : a));
    const { tile } = best.median < (1 - worthwhile) * formula.median ? best : formula;
    const { rows, out, in: inputs, products: count, end } = own[0]!;
    return {
      name: 'product',
      rows,
      out,
      in: inputs,
      products: count,
      end,
      tile,
      formula: formula.tile,
      flops: 2 * rows * out * inputs * count,
      medians: Object.fromEntries(named.map((one) => [one.tile, one.median])),
    };
  });
}

const isSize = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) < 2 ** 31;

function choiceOf(row: unknown): NativeTile {
  const { rows, out, in: inputs, products, end, tile } = (row ?? {}) as Partial<TileRow>;
  const size = /^(\d{1,4})x(\d{1,4})$/.exec(String(tile));
  const sizes = [rows, out, inputs, products].every(isSize);
  if (!sizes || size === null || !ends.includes(end as NativeTile['end'])) {
    throw new Error(`expected a product and its tile but received ${JSON.stringify(row)}`);
  }
  return {
    rows: rows!,
    out: out!,
    in: inputs!,
    products: products!,
    end: end!,
    tileRows: Number(size[1]),
    tileColumns: Number(size[2]),
  };
}

/** @throws Error that says what is wrong with the contents, or how the device that it was measured on is another one. */
function parse(contents: unknown, expected: Readonly<Record<string, string>>): NativeTile[] {
  const { device, version, rows } = (contents ?? {}) as Record<string, unknown>;
  const { name, cuda } = (device ?? {}) as Record<string, unknown>;
  const found: Record<string, unknown> = { name, cuda, version };
  for (const [key, value] of Object.entries(expected)) {
    if (found[key] !== value) {
      throw new Error(`expected ${key} ${value} but received ${JSON.stringify(found[key])}`);
    }
  }
  if (!Array.isArray(rows)) throw new Error('expected a list of rows');
  return rows.map(choiceOf);
}

const warned = new Set<string>();

/** The choices of a file; undefined where there is none, or, with a warning, where it is of no use. */
function read(file: string, expected: Readonly<Record<string, string>>): NativeTile[] | undefined {
  try {
    if (statSync(file).size > mostBytes) throw new Error(`expected at most ${mostBytes} bytes`);
    return parse(parseJson(file, 'JSON', readFileSync(file)), expected);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (!warned.has(file)) {
      warned.add(file);
      const quoted = message.length > 300 ? `${message.slice(0, 300)}...` : message;
      process.emitWarning(`${file} is not used: ${quoted}`, { code: 'MAGNETS_TILES' });
    }
    return undefined;
  }
}

/** Where programs of this user keep what they can make again. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (process.platform === 'win32') return LOCALAPPDATA || join(homedir(), 'AppData', 'Local');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches');
  return XDG_CACHE_HOME || join(homedir(), '.cache');
}

const fileName = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-');

/** `13000` -> `'13.0'` */
export const cudaVersion = (driver: number) =>
  `${Math.floor(driver / 1000)}.${Math.floor((driver % 1000) / 10)}`;

/** The file of `magnets tune`: of this device, driver and version alone. */
export function tunedFile({ name, driver }: NativeCudaDevice): string {
  const own = `${name} cuda ${cudaVersion(driver)} magnets ${packageVersion()}`;
  return join(cacheFolder(), 'magnets', `${fileName(own)}.json`);
}

/** Where tables ship. */
const tableFolder = join(packageRoot, 'native', 'cuda', 'tables');

export function tilesOf(device: NativeCudaDevice, tables = tableFolder): Tiles {
  const { name, driver } = device;
  const tuned = tunedFile(device);
  const own = { name, cuda: cudaVersion(driver), version: packageVersion() };
  const measured = read(tuned, own);
  if (measured !== undefined) return { source: 'tuned', file: tuned, choices: measured };
  const table = join(tables, `${fileName(name)}.json`);
  const shipped = read(table, { name });
  if (shipped !== undefined) return { source: 'table', file: table, choices: shipped };
  return { source: 'formula', choices: [] };
}
