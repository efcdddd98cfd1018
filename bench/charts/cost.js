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

const flopsLeft = 218; // where the bars of FLOPs begin
const top = 116; // of the first row
const band = 46; // of a row
const panel = 236; // the longest bar
const timesLeft = flopsLeft + panel + 72; // where those of times begin

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

/** A schedule's name, a bar of FLOPs and two of times. @param {number} y @param {Row} row @param {Row} int8 @param {{ flops: number, median: number }} most */
function rowOf(y, row, int8, most) {
  const [name = '', detail = ''] = labelOf(row);
  const right = { align: { value: 'right' } };
  const weight = { value: row.name === 'paper' ? 'bold' : 'normal' };
  const small = { fontSize: { value: 11.5 }, fill: { value: color.muted } };
  const flops = (panel * row.flops) / most.flops;
  const seconds = (panel * row.median) / most.median;
  const int8Seconds = (panel * int8.median) / most.median;
  return [
    text(flopsLeft - 16, y + 12, name, { ...right, fontWeight: weight }),
    text(flopsLeft - 16, y + 27, detail, { ...right, ...small }),
    ...bar(flopsLeft, y + 4, 22, flops, color.violet, short(row.flops / 1e9)),
    ...bar(timesLeft, y, 14, seconds, color.blue, short(row.median)),
    ...bar(timesLeft, y + 16, 14, int8Seconds, color.lightBlue, short(int8.median)),
  ];
}

/** What a color means. @param {number} x @param {string} fill @param {string} content */
const key = (x, fill, content) => [
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

/** @param {Result} f32 @param {Result} int8 */
export function costChart(f32, int8) {
  const [first] = f32.rows;
  if (first === undefined) throw new Error('expected rows of schedules');
  const { model, steps } = first;
  const { device, date } = f32;
  const size = { width: timesLeft + panel + 62, height: top + band * f32.rows.length + 28 };
  const title = `FLOPs and time of one picture, size ${model} in ${steps} steps`;
  const { background, autosize, config, heading } = card(
    title,
    `${device.name}, ${device.instructionSet}, ${device.threads} threads, ${date}`,
  );
  const legend = [
    ...key(flopsLeft, color.violet, 'FLOPs, GFLOP'),
    ...key(timesLeft, color.blue, 'time, s: f32'),
    ...key(timesLeft + 112, color.lightBlue, 'weights int8'),
  ];
  const most = {
    flops: Math.max(...f32.rows.map(({ flops }) => flops)),
    median: Math.max(...f32.rows.map(({ median }) => median)),
  };
  const rows = f32.rows.flatMap((row, i) => {
    const bytes = int8.rows.find(({ name }) => name === row.name);
    if (bytes === undefined) throw new Error(`expected a row ${row.name} with int8`);
    return rowOf(top + i * band, row, bytes, most);
  });
  const spec = { ...size, background, autosize, config, marks: [...heading, ...legend, ...rows] };
  return { title, spec };
}
