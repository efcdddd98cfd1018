/** What the commands print: numbers as text, tables, progress, JSON. */

/** 1234567890 -> '1.235 GFLOP' */
export function formatFlops(flops: number): string {
  const units = ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP', 'PFLOP'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(flops || 1) / 3)));
  return `${(flops / 1000 ** unit).toPrecision(4)} ${units[unit]}`;
}

/** 3.0796 -> '3.08x' */
export function formatRatio(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

/** A Markdown table; a column that holds only numbers is aligned to the right. */
export function table(header: readonly string[], rows: readonly (string | number)[][]): string {
  const cells = [[...header], ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)));
  const numeric = header.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (numeric[i] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}

/** 200 -> '3 min 20 s' */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How many seconds are left when a share of the work is done, as fast as until then; undefined before any of it is. */
export function timeLeft(): (share: number) => number | undefined {
  const started = performance.now();
  return (share) =>
    share > 0 ? ((performance.now() - started) / 1000) * (1 / share - 1) : undefined;
}

/** A bar is on the line where the cursor is. */
let unfinished = false;

/** What is printed next is on a line of its own. */
export function endProgress(): void {
  if (unfinished) process.stderr.write('\n');
  unfinished = false;
}

/** Draws a bar on stderr where that is a terminal, and nothing in a pipe. */
export function progress(label: string, done: number, total: number, seconds?: number): void {
  if (!process.stderr.isTTY) return;
  const filled = Math.round((24 * done) / total);
  const bar = `${label} [${'#'.repeat(filled)}${' '.repeat(24 - filled)}] ${done}/${total}`;
  const left = seconds === undefined || done === total ? '' : `, ${formatDuration(seconds)} left`;
  process.stderr.write(`\r${bar}${left}\x1b[K`); // and nothing of a longer line before
  unfinished = true;
  if (done === total) endProgress();
}

/** A value as a JSON document. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export function printJson(value: unknown): void {
  process.stdout.write(toJson(value));
}
