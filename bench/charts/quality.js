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
const mostTime = 1.1; // of the axis, in times of the baseline

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

/** @typedef {{ name: string, time: number, mean: number, min: number, max: number }} Point */
/** @typedef {{ low: number, high: number }} Domain of the distance */
/** @typedef {{ x: (time: number) => number, y: (distance: number) => number }} Places in pixels */

/** The names of the points, each where it covers least of the points and of the names before it. @param {Point[]} points @param {Places} at */
function namesOf(points, at) {
  const radius = 6;
  /** @type {Box[]} */
  const taken = points.flatMap(({ time, mean, min, max }) => {
    const [x, y] = [at.x(time), at.y(mean)];
    const spread = { left: x - 1, right: x + 1, top: at.y(max), bottom: at.y(min) };
    return [{ left: x - radius, right: x + radius, top: y - radius, bottom: y + radius }, spread];
  });
  const covered = (/** @type {Box} */ box) => {
    const right = plot.left + plot.width;
    const outside = Math.max(0, box.right - right) + Math.max(0, plot.left - box.left);
    return taken.reduce((sum, one) => sum + overlap(box, one), 100 * outside);
  };
  return points.map(({ name, time, mean }) => {
    const all = places.map((place) => placed(name, at.x(time), at.y(mean), place));
    const best = all.reduce((a, b) => (covered(b.box) < covered(a.box) ? b : a));
    taken.push(best.box);
    return text(best.x, best.y, name, {
      align: { value: best.align },
      baseline: { value: 'middle' },
      fontSize: { value: fontSize },
      fontWeight: { value: name === 'paper' ? 'bold' : 'normal' },
    });
  });
}

/** The frame with its axes. @param {Domain} domain */
const axes = ({ low, high }) => ({
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
    { name: 'x', type: 'linear', domain: [0, mostTime], range: [0, plot.width] },
    { name: 'y', type: 'linear', zero: false, domain: [low, high], range: [plot.height, 0] },
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
});

const isInt8 = (/** @type {string} */ name) => name.endsWith('-int8');

function colorOf(/** @type {string} */ name) {
  if (name.replace(/-int8$/, '') === 'paper') return color.orange;
  return name === 'baseline' ? color.violet : color.blue;
}

/** A line from the least to the greatest of all seeds, and a circle at their mean. @param {Point} point @param {Places} at */
const dot = ({ name, time, mean, min, max }, at) => [
  {
    type: 'rule',
    encode: {
      enter: {
        x: { value: at.x(time) },
        y: { value: at.y(max) },
        y2: { value: at.y(min) },
        stroke: { value: colorOf(name) },
        strokeWidth: { value: 1.5 },
      },
    },
  },
  {
    type: 'symbol',
    encode: {
      enter: {
        x: { value: at.x(time) },
        y: { value: at.y(mean) },
        size: { value: name === 'paper' ? 110 : 70 },
        fill: { value: isInt8(name) ? color.card : colorOf(name) },
        stroke: { value: isInt8(name) ? colorOf(name) : color.card },
        strokeWidth: { value: 1.5 },
      },
    },
  },
];

/** @param {Result} result */
export function qualityChart({ model, samples, seeds, rows }) {
  const points = rows
    .filter(({ task, timeRatio }) => task === 'generation' && timeRatio !== undefined)
    .map(({ name, timeRatio = 1, frechet }) => ({ name, time: 1 / timeRatio, ...frechet }));
  const values = points.flatMap(({ min, max }) => [min, max]);
  const room = 0.12 * (Math.max(...values) - Math.min(...values));
  const domain = { low: Math.min(...values) - room, high: Math.max(...values) + room };
  /** @type {Places} */
  const at = {
    x: (time) => plot.left + (plot.width * time) / mostTime,
    y: (distance) =>
      plot.top + (plot.height * (domain.high - distance)) / (domain.high - domain.low),
  };

  const title = `${model}: quality against time`;
  const int8 = points.some(({ name }) => isInt8(name)) ? ', int8 where hollow' : '';
  const { background, autosize, config, heading } = card(
    title,
    `${samples.toLocaleString('en')} samples of each of ${seeds.length} seeds; weights f32${int8}; a line from the least to the greatest`,
  );
  const dots = points.flatMap((point) => dot(point, at));
  const marks = [...heading, axes(domain), ...dots, ...namesOf(points, at)];
  return { title, spec: /** @type {any} */ ({ ...size, background, autosize, config, marks }) };
}
