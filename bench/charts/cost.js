// FLOPs and time of one picture for each schedule and width.

import { card, color, rectangle, short, text } from './style.js';

/** @typedef {{ name: string, model: string, steps: number, schedule: string, flops: number, median: number }} Row */
/** @typedef {{ device: { name: string, instructionSet: string, threads: number }, date: string, rows: Row[] }} Result */

/** @param {Row} row */
function labelOf({ name, schedule, steps }) {
  if (name === 'baseline') return ['baseline', 'full width, no cache'];
  if (name === 'paper') return ['paper', 'narrow to full, with cache'];
  return [`width ${schedule.slice(0, -`x${steps}`.length)}`, 'at every step, with cache'];
}

/** @param {Result} f32 @param {Result} int8 */
export function costChart(f32, int8) {
  const [first] = f32.rows;
  if (first === undefined) throw new Error('expected rows of schedules');
  const { model, steps } = first;
  const { device, date } = f32;
  const left = 218;
  const top = 116;
  const band = 46;
  const panel = 236;
  const gap = 72;
  const second = left + panel + gap;
  const size = { width: second + panel + 62, height: top + band * f32.rows.length + 28 };
  const title = `FLOPs and time of one picture, size ${model} in ${steps} steps`;
  const { background, autosize, config, heading } = card(
    title,
    `${device.name}, ${device.instructionSet}, ${device.threads} threads, ${date}`,
  );
  const mostFlops = Math.max(...f32.rows.map(({ flops }) => flops));
  const mostSeconds = Math.max(...f32.rows.map(({ median }) => median));

  /** A bar with its number at its end. @param {number} x @param {number} y @param {number} height @param {number} length @param {string} fill @param {string} number */
  const bar = (x, y, height, length, fill, number) => [
    rectangle({
      x: { value: x },
      y: { value: y },
      width: { value: Math.max(1, length) },
      height: { value: height },
      cornerRadius: { value: 2 },
      fill: { value: fill },
    }),
    text(x + length + 7, y + height / 2, number, {
      baseline: { value: 'middle' },
      fontSize: { value: 12 },
    }),
  ];
  const marks = f32.rows.flatMap((row, i) => {
    const y = top + i * band;
    const [name = '', detail = ''] = labelOf(row);
    const bytes = int8.rows.find((one) => one.name === row.name);
    if (bytes === undefined) throw new Error(`expected a row ${row.name} with int8`);
    const right = { align: { value: 'right' } };
    const weight = { value: row.name === 'paper' ? 'bold' : 'normal' };
    return [
      text(left - 16, y + 12, name, { ...right, fontWeight: weight }),
      text(left - 16, y + 27, detail, {
        ...right,
        fontSize: { value: 11.5 },
        fill: { value: color.muted },
      }),
      ...bar(
        left,
        y + 4,
        22,
        (panel * row.flops) / mostFlops,
        color.violet,
        short(row.flops / 1e9),
      ),
      ...bar(second, y, 14, (panel * row.median) / mostSeconds, color.blue, short(row.median)),
      ...bar(
        second,
        y + 16,
        14,
        (panel * bytes.median) / mostSeconds,
        color.lightBlue,
        short(bytes.median),
      ),
    ];
  });
  const key = (
    /** @type {number} */ x,
    /** @type {string} */ fill,
    /** @type {string} */ content,
  ) => [
    rectangle({
      x: { value: x },
      y: { value: top - 31 },
      width: { value: 12 },
      height: { value: 12 },
      cornerRadius: { value: 2 },
      fill: { value: fill },
    }),
    text(x + 18, top - 21, content),
  ];
  const legend = [
    ...key(left, color.violet, 'FLOPs, GFLOP'),
    ...key(second, color.blue, 'time, s: f32'),
    ...key(second + 112, color.lightBlue, 'weights int8'),
  ];
  const spec = { ...size, background, autosize, config, marks: [...heading, ...legend, ...marks] };
  return { title, spec };
}
