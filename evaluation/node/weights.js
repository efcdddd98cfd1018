// node evaluation/node/weights.js --model fashion --weights int8
//
// How far logits are from those of f32 weights, at the narrowest and at the full width: of masked positions of 20 samples
// that f32 generated and of which one to four fifths are masked again. Prints for each width the error, relative to the
// spread of the logits over the codebook, the cross entropy of the generated tokens in nats by f32 and by the other
// format, and how often both find the same token likeliest.

import { parseArgs } from 'node:util';
import { load, Tensor } from '../../dist/index.js';

const sampleCount = 20;
/** Prime, so that its multiples reach every position of a sample before one twice. */
const stride = 7919;

/** @param {Float32Array} row */
function likeliest(row) {
  return row.reduce((best, value, i) => (value > /** @type {number} */ (row[best]) ? i : best), 0);
}

/** In nats. @param {Float32Array} row @param {number} token */
function crossEntropy(row, token) {
  const most = row.reduce((a, b) => Math.max(a, b));
  const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
  return Math.log(sum) + most - /** @type {number} */ (row[token]);
}

/** Of the row and its mean. @param {Float32Array} row */
function squaredSpread(row) {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  return row.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    weights: { type: 'string', default: 'int8' },
  },
});
const weights = /** @type {import('../../dist/index.js').Format} */ (values.weights);
const exact = await load(values.model, { device: 'cpu', weights: 'f32' });
const rounded = await load(values.model, { device: 'cpu', weights });

const { classes, codebookSize, widths } = exact.config;
const labels = Array.from({ length: sampleCount }, (_, i) => i % classes);
const generation = exact.generate({ labels, schedule: 'paper', seed: 1 });
const { tokens } = await generation.result({ pixels: false });
const length = exact.tokenCount;
const shown = tokens.data.map((token, i) => {
  const sample = Math.floor(i / length);
  const turn = ((i % length) * stride + sample) % length;
  return turn < (length * ((sample % 4) + 1)) / 5 ? -1 : token;
});
const question = { tokens: new Tensor('int32', shown, tokens.dims), labels };

for (const { name } of [widths[0], widths.at(-1)].filter((width) => width !== undefined)) {
  const right = await exact.forward({ ...question, width: name });
  const other = await rounded.forward({ ...question, width: name });
  const columns = right.data.length / tokens.data.length; // the codes, and more where the head is tied
  let [error, spread, ofExact, ofRounded, agreeing, rows] = [0, 0, 0, 0, 0, 0];
  for (const [i, token] of tokens.data.entries()) {
    if (shown[i] !== -1) continue;
    const [from, end] = [i * columns, i * columns + codebookSize];
    const [a, b] = [right.data.slice(from, end), other.data.slice(from, end)];
    error += squaredSpread(a.map((value, code) => value - /** @type {number} */ (b[code])));
    spread += squaredSpread(a);
    ofExact += crossEntropy(a, token);
    ofRounded += crossEntropy(b, token);
    agreeing += likeliest(a) === likeliest(b) ? 1 : 0;
    rows += 1;
  }
  const percent = (/** @type {number} */ value) => Number((100 * value).toFixed(2));
  console.log(
    JSON.stringify({
      model: exact.config.name,
      width: name,
      errorPercent: percent(Math.sqrt(error / spread)),
      crossEntropy: {
        f32: Number((ofExact / rows).toFixed(4)),
        [weights]: Number((ofRounded / rows).toFixed(4)),
      },
      agreementPercent: percent(agreeing / rows),
      rows,
    }),
  );
}
exact.dispose();
rounded.dispose();
