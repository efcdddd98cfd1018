// What the charts look like.

/** The colors of docs/plan.svg. */
export const color = {
  card: '#ffffff',
  border: '#d0d7de',
  grid: '#e8ebef',
  text: '#1f2328',
  muted: '#59636e',
  blue: '#2f6fde',
  lightBlue: '#9dbdf2',
  violet: '#7a4fd0',
  orange: '#c2570c',
};

/** The same where the reader's system is dark. @type {Record<string, string>} */
export const darkOf = {
  [color.card]: '#0d1117',
  [color.border]: '#30363d',
  [color.grid]: '#21262d',
  [color.text]: '#e6edf3',
  [color.muted]: '#9198a1',
  [color.blue]: '#4c8dff',
  [color.lightBlue]: '#2c5394',
  [color.violet]: '#a17ff0',
  [color.orange]: '#f0883e',
};

/** What all charts share: a card with a title and a line below it. @param {string} title @param {string} subtitle */
export const card = (title, subtitle) => ({
  background: 'transparent',
  autosize: /** @type {const} */ ('none'),
  config: {
    text: { fill: color.text, font: 'sans-serif', fontSize: 13 },
    axis: {
      domain: false,
      ticks: false,
      labelFont: 'sans-serif',
      labelFontSize: 12,
      labelColor: color.muted,
      labelPadding: 6,
      titleFont: 'sans-serif',
      titleFontSize: 12,
      titleFontWeight: /** @type {const} */ ('normal'),
      titleColor: color.text,
      titlePadding: 10,
      gridColor: color.grid,
    },
  },
  heading: [
    rectangle({
      x: { value: 0.5 },
      y: { value: 0.5 },
      width: { signal: 'width - 1' },
      height: { signal: 'height - 1' },
      cornerRadius: { value: 8 },
      fill: { value: color.card },
      stroke: { value: color.border },
    }),
    text(24, 34, title, { fontSize: { value: 16 }, fontWeight: { value: 'bold' } }),
    text(24, 55, subtitle, { fill: { value: color.muted } }),
  ],
});

/** @param {Record<string, unknown>} enter @returns {any} */
export const rectangle = (enter) => ({ type: 'rect', encode: { enter } });

/** @param {number} x @param {number} y @param {string} content @param {Record<string, unknown>} [enter] @returns {any} */
export const text = (x, y, content, enter = {}) => ({
  type: 'text',
  encode: { enter: { x: { value: x }, y: { value: y }, text: { value: content }, ...enter } },
});

/** Three digits: 636, 28.7, 3.43. @param {number} value */
export const short = (value) => (value < 1000 ? value.toPrecision(3) : value.toFixed(0));
