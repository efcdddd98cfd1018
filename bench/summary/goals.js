// What the comparison with PyTorch is to reach, and whether it does.

import { number, over } from './run.js';

/** `ratio`: how many times as fast as PyTorch; `most`: seconds; `rate`: the share of the measured rate. */
const goals = [
  { kind: '', batch: 1, method: 'paper', most: 7.2e-3, ratio: 1.8 },
  { kind: '', batch: 1, method: 'baseline', ratio: 1.45 },
  { kind: '', batch: 8, method: 'paper', ratio: 1.4 },
  { kind: '', batch: 8, method: 'baseline', ratio: 1.15 },
  { kind: '', batch: 64, method: 'paper', ratio: 1.3, rate: 0.65 },
  { kind: '', batch: 64, method: 'baseline', ratio: 1.15 },
  { kind: 'video-', batch: 1, method: 'paper', ratio: 1.3 },
  { kind: 'video-', batch: 8, method: 'paper', ratio: 1.3 },
];
const timeRatioGoal = { batch: 64, ratio: 2.8 };

/** Open where nothing was measured. @param {string} what @param {boolean | undefined} holds @param {string} value */
function lineOf(what, holds, value) {
  return `${holds === undefined ? 'open ' : holds ? 'holds' : 'fails'}  ${what}: ${value}`;
}

/** @param {string} what @param {number | undefined} value @param {number} least */
const atLeast = (what, value, least) =>
  lineOf(what, value === undefined ? undefined : value >= least, number(value));

/**
 * A line for each goal.
 * @param {Map<string, import('./generations.js').Found>} found
 * @param {{ slower: number, compared: number }} attention
 */
export function goalLines(found, { slower, compared }) {
  const lines = goals.flatMap(({ kind, batch, method, most, ratio, rate }) => {
    const { ours, peer, share } = found.get(`${kind}${batch} ${method}`) ?? {};
    const name = `${kind}batch ${batch}, ${method}`;
    const ofThis = [atLeast(`${name}, at least ${ratio} times PyTorch`, over(peer, ours), ratio)];
    if (most !== undefined) {
      const holds = ours === undefined ? undefined : ours <= most;
      ofThis.push(lineOf(`${name}, at most ${most * 1e3} ms`, holds, number(ours, 1e3)));
    }
    if (rate !== undefined) {
      const holds = share === undefined ? undefined : share >= rate;
      const what = `${name}, ${rate * 100} % of the measured rate`;
      ofThis.push(lineOf(what, holds, number(share, 100, 0)));
    }
    return ofThis;
  });
  const { batch, ratio } = timeRatioGoal;
  const own = over(found.get(`${batch} baseline`)?.ours, found.get(`${batch} paper`)?.ours);
  lines.push(atLeast(`batch ${batch}, baseline / paper at least ${ratio}`, own, ratio));
  const holds = compared === 0 ? undefined : slower === 0;
  const shapes = `${compared - slower} of ${compared} shapes`;
  lines.push(lineOf('attention at least as fast as PyTorch', holds, shapes));
  return lines;
}
