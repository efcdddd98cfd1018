/** What the commands share: parsing, usage errors, numbers as text. */

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { readConfig } from '../checkpoint/checkpoint.js';
import { presets } from '../plan/presets.js';
import type { ModelShape } from '../plan/shape.js';
import { modelFolder } from '../runtime/load.js';

/** The command line is wrong: the message and how to ask for help, exit code 2. */
export class UsageError extends Error {}

type Parsed<T extends ParseArgsConfig['options']> = ReturnType<
  typeof parseArgs<{ options: T; allowPositionals: boolean; strict: true; tokens: true }>
>;

export function parse<T extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: T,
  allowPositionals = false,
): Parsed<T> {
  try {
    return parseArgs({ args, options, allowPositionals, strict: true, tokens: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The arguments that stand alone and those of option `name`, in order. */
export function valuesOf(
  tokens: readonly { kind: string; name?: string; value?: string | undefined }[],
  name: string,
): string[] {
  return tokens
    .filter((token) => token.kind === 'positional' || token.name === name)
    .map((token) => token.value!);
}

/** A finite number from the command line; undefined stays undefined. */
export function toNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new UsageError(`Expected a number for --${name} but received ${JSON.stringify(text)}`);
  }
  return value;
}

/** A preset, a bundled model or a checkpoint folder. */
export async function shapeOf(model: string): Promise<ModelShape> {
  return Object.hasOwn(presets, model)
    ? presets[model as keyof typeof presets]
    : await readConfig(modelFolder(model));
}

/** 1234567890 -> '1.23 GFLOP' */
export function formatFlops(flops: number): string {
  const units = ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP', 'PFLOP'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(flops || 1) / 3)));
  return `${(flops / 1000 ** unit).toPrecision(4)} ${units[unit]}`;
}

/** A markdown table; numbers right-aligned. */
export function table(header: string[], rows: (string | number)[][]): string {
  const cells = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)));
  const numeric = header.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (numeric[i] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}

/** A bar on a terminal's stderr; nothing in a pipe. */
export function progress(label: string, done: number, of: number): void {
  if (!process.stderr.isTTY) return;
  const filled = Math.round((24 * done) / of);
  process.stderr.write(
    `\r${label} [${'#'.repeat(filled)}${' '.repeat(24 - filled)}] ${done}/${of}`,
  );
  if (done === of) process.stderr.write('\n');
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
