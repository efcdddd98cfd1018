/** Result files (bench/README.md): one schema, as JSON, as CSV and as a Markdown table. */

import { extname } from 'node:path';
import { checkedOutCommit } from '../runtime/machine.js';
import { UsageError } from './arguments.js';

/** A row: its name, its settings, then numbers. */
export interface ResultRow {
  readonly name: string;
  readonly samples?: readonly number[];
}

export interface ResultFile {
  /** What it ran on, with versions of other software. */
  readonly device: object;
  readonly commit: string | undefined;
  /** The command that makes the file. */
  readonly command: string;
  /** YYYY-MM-DD */
  readonly date: string;
  readonly rows: readonly ResultRow[];
  /** Settings that hold for all rows. */
  readonly [setting: string]: unknown;
}

/** The command line as a shell takes it. */
export function commandLine(command: readonly string[], args: readonly string[]): string {
  const quoted = args.map((arg) =>
    /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`,
  );
  return [...command, ...quoted].join(' ');
}

/** A result file of this commit and day. */
export function resultFile(
  device: ResultFile['device'],
  command: string,
  settings: Readonly<Record<string, unknown>>,
  rows: ResultFile['rows'],
): ResultFile {
  const date = new Date().toISOString().slice(0, 10);
  return { device, commit: checkedOutCommit(), command, date, ...settings, rows };
}

/** One line for each row. */
function toJson({ rows, ...head }: ResultFile): string {
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  return `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [\n${lines}\n  ]\n}\n`;
}

/** `{ a: { b: 1 } }` -> `[['a.b', '1']]`; the samples of a row are one cell. */
function cells(values: object, prefix = ''): [string, string][] {
  return Object.entries(values).flatMap(([key, value]): [string, string][] => {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return [[prefix + key, value.join(' ')]];
    if (typeof value === 'object') return cells(value, `${prefix}${key}.`);
    return [[prefix + key, String(value)]];
  });
}

/** The columns of all rows, in the order in which they come up, and the cells of each row. */
function columnsOf(rows: readonly object[]): { columns: string[]; lines: string[][] } {
  const maps = rows.map((row) => new Map(cells(row)));
  const columns = [...new Set(maps.flatMap((map) => [...map.keys()]))];
  return { columns, lines: maps.map((map) => columns.map((column) => map.get(column) ?? '')) };
}

/** Every row says what it ran on, so that tables can be put together. */
function toCsv({ rows, device, commit, date }: ResultFile): string {
  const { columns, lines } = columnsOf(rows.map((row) => ({ ...row, device, commit, date })));
  const quoted = (cell: string) =>
    /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  return `${[columns, ...lines].map((line) => line.map(quoted).join(',')).join('\n')}\n`;
}

/** Numbers to four digits, without the samples, whose spread is there. */
function toMarkdown({ rows, device, commit, command, date }: ResultFile): string {
  const shown = rows.map(({ samples, ...row }) => row);
  const { columns, lines } = columnsOf(shown);
  const short = (cell: string) =>
    /^-?\d*\.\d{4,}/.test(cell) ? Number(cell).toPrecision(4) : cell;
  const line = (texts: readonly string[]) =>
    `| ${texts.map((text) => short(text).replaceAll('|', '\\|')).join(' | ')} |`;
  const facts = cells({ ...device, commit }).map(([key, value]) => `${key} ${short(value)}`);
  const table = [line(columns), `|${'---|'.repeat(columns.length)}`, ...lines.map(line)].join('\n');
  return `${table}\n\n${date}: \`${command}\`; ${facts.join(', ')}\n`;
}

const writers = { '.json': toJson, '.csv': toCsv, '.md': toMarkdown };

/** A name without an end is that of a device such as /dev/stdout: JSON. */
const endOf = (name: string) => extname(name) || '.json';

/** @throws UsageError where no format has the name's end. */
export function checkResultName(name: string): void {
  if (Object.hasOwn(writers, endOf(name))) return;
  const known = Object.keys(writers).join(', ');
  throw new UsageError(`Expected a name that ends in ${known} for results but received ${name}`);
}

/** The file as text, in the format of its name's end. @throws UsageError for another end. */
export function formatResults(result: ResultFile, name = 'results.json'): string {
  checkResultName(name);
  return writers[endOf(name) as keyof typeof writers](result);
}
