// Quality against time for every way to generate samples with a bundled model.

import { card, color, text } from './style.js';

/** @typedef {{ mean: number, min: number, max: number }} Spread */
/** @typedef {{ task: string, name: string, timeRatio?: number, frechet: Spread }} Row */
/** @typedef {{ model: string, samples: number, seeds: number[], rows: Row[] }} Result */
/** @typedef {{ left: number, right: number, top: number, bottom: number }} Box */

const plot = { left: 74, top: 84, width: 640, height: 330 };
const size = { width: 760, height: 474 };
const fontSize = 12;
const letter = 6.3; // about the width of one, in pixels
const between = 9; // of a point and its name

/** Where a name may stand beside its point, best first. */
const places = /** @type {const} */ ([
  [1, 0],
  [-1, 0],
  [0, -1],
  [0, 1],
  [1, -1],
  [-1, -1],
  [1, 1],
  [-1, 1],
]);

/** @param {string} name @param {number} x @param {number} y @param {readonly [number, number]} place */
function placed(name, x, y, [right, down]) {
  const width = letter * name.length;
  const diagonal = right !== 0 && down !== 0;
  const at = {
    x: x + right * (diagonal ? between * 0.6 : between),
    y: y + down * (diagonal ? between * 1.1 : between + 4),
  };
  const left = at.x - (right > 0 ? 0 : right < 0 ? width : width / 2);
  const box = { left, right: left + width, top: at.y - fontSize / 2, bottom: at.y + fontSize / 2 };
  return { ...at, box, align: right > 0 ? 'left' : right < 0 ? 'right' : 'center' };
}

/** @param {Box} a @param {Box} b */
const overlap = (a, b) =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
  Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

/** @param {Result} result */
export function qualityChart({ model, samples, seeds, rows }) {
  const points = rows
    .filter(({ task, timeRatio }) => task === 'generation' && timeRatio !== undefined)
    .map(({ name, timeRatio = 1, frechet }) => ({ name, time: 1 / timeRatio, ...frechet }));
  const values = points.flatMap(({ min, max }) => [min, max]);
  const room = 0.12 * (Math.max(...values) - Math.min(...values));
  const domain = { low: Math.min(...values) - room, high: Math.max(...values) + room };
  const xOf = (/** @type {number} */ time) => plot.left + (plot.width * time) / 1.1;
  const yOf = (/** @type {number} */ distance) =>
    plot.top + (plot.height * (domain.high - distance)) / (domain.high - domain.low);

  // Each name goes where it covers least of the points and of the names before it.
  const radius = 6;
  /** @type {Box[]} */
  const taken = points.flatMap(({ time, mean, min, max }) => {
    const [x, y] = [xOf(time), yOf(mean)];
    const spread = { left: x - 1, right: x + 1, top: yOf(max), bottom: yOf(min) };
    return [{ left: x - radius, right: x + radius, top: y - radius, bottom: y + radius }, spread];
  });
  const frame = { right: plot.left + plot.width, bottom: plot.top + plot.height };
  const covered = (/** @type {Box} */ box) => {
    const outside = Math.max(0, box.right - frame.right) + Math.max(0, plot.left - box.left);
    return taken.reduce((sum, one) => sum + overlap(box, one), 100 * outside);
  };
  const names = points.map(({ name, time, mean }) => {
    const all = places.map((place) => placed(name, xOf(time), yOf(mean), place));
    const best = all.reduce((a, b) => (covered(b.box) < covered(a.box) ? b : a));
    taken.push(best.box);
    return text(best.x, best.y, name, {
      align: { value: best.align },
      baseline: { value: 'middle' },
      fontSize: { value: fontSize },
      fontWeight: { value: name === 'paper' ? 'bold' : 'normal' },
    });
  });

  const title = `${model}: quality against time`;
  const isInt8 = (/** @type {string} */ name) => name.endsWith('-int8');
  const int8 = points.some(({ name }) => isInt8(name)) ? ', int8 where hollow' : '';
  const { background, autosize, config, heading } = card(
    title,
    `${samples.toLocaleString('en')} samples of each of ${seeds.length} seeds; weights f32${int8}; a line from the least to the greatest`,
  );
  const group = {
    type: 'group',
    encode: {
      enter: {
        x: { value: plot.left },
        y: { value: plot.top },
        width: { value: plot.width },
        height: { value: plot.height },
      },
    },
    scales: [
      { name: 'x', type: 'linear', domain: [0, 1.1], range: [0, plot.width] },
      {
        name: 'y',
        type: 'linear',
        zero: false,
        domain: [domain.low, domain.high],
        range: [plot.height, 0],
      },
    ],
    axes: [
      {
        orient: 'bottom',
        scale: 'x',
        values: [0, 0.2, 0.4, 0.6, 0.8, 1],
        format: '.0%',
        title: "time of one sample, of the baseline's",
        grid: false,
      },
      {
        orient: 'left',
        scale: 'y',
        tickCount: 6,
        title: 'Fréchet distance (lower is better)',
        grid: true,
        gridScale: 'x',
      },
    ],
  };
  const colorOf = (/** @type {string} */ name) =>
    name.replace(/-int8$/, '') === 'paper'
      ? color.orange
      : name === 'baseline'
        ? color.violet
        : color.blue;
  const dots = points.flatMap(({ name, time, mean, min, max }) => [
    {
      type: 'rule',
      encode: {
        enter: {
          x: { value: xOf(time) },
          y: { value: yOf(max) },
          y2: { value: yOf(min) },
          stroke: { value: colorOf(name) },
          strokeWidth: { value: 1.5 },
        },
      },
    },
    {
      type: 'symbol',
      encode: {
        enter: {
          x: { value: xOf(time) },
          y: { value: yOf(mean) },
          size: { value: name === 'paper' ? 110 : 70 },
          fill: { value: isInt8(name) ? color.card : colorOf(name) },
          stroke: { value: isInt8(name) ? colorOf(name) : color.card },
          strokeWidth: { value: 1.5 },
        },
      },
    },
  ]);
  const marks = [...heading, group, ...dots, ...names];
  return { title, spec: /** @type {any} */ ({ ...size, background, autosize, config, marks }) };
}
