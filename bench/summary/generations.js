// Generations: ours, the peer's, and the floor below which none can come.

import { number, over } from './run.js';

/**
 * @typedef {import('./run.js').Run} Run
 * @typedef {{ model: { name: string, layers: number, hiddenSize: number, heads: number, headDim: number, vocabSize: number },
 *   steps: { flops: number, width: { heads: number, hidden: number } }[] }} Plan
 * @typedef {Record<string, Record<string, Plan>>} Plans by model and method
 * @typedef {{ ours?: number, peer?: number, share?: number }} Found seconds, and the share of the measured rate
 */

/** What the files of pictures, and of videos, have before the batch in their names. */
const kinds = ['', 'video-'];

/**
 * The least seconds of a generation with guidance: no step takes less than its FLOPs at the rate of a large product, or
 * than reading its weights once.
 * @param {Plan} plan
 * @param {number} batch
 * @param {number} rate FLOPs a second
 * @param {number} bytesPerSecond
 */
function floorOf({ model, steps }, batch, rate, bytesPerSecond) {
  const { layers, hiddenSize, heads, headDim, vocabSize } = model;
  let seconds = 0;
  for (const { flops, width } of steps) {
    const ofLayer = 4 * width.heads * headDim + 2 * width.hidden;
    const weights = 2 * hiddenSize * (layers * ofLayer + heads * headDim + vocabSize);
    seconds += Math.max((2 * batch * flops) / rate, weights / bytesPerSecond);
  }
  return seconds;
}

/**
 * A table of all generations, and their numbers by `KIND` `BATCH` `METHOD`.
 * @param {Run} run @param {Plans} plans
 */
export function generations(run, plans) {
  const tuned = run.read('tuned');
  const lines = [
    ['model', 'batch', '', 'ours ms', 'tuned', 'PyTorch', 'floor', 'PyTorch/ours', 'ours/floor'],
  ];
  /** @type {Map<string, Found>} */
  const found = new Map();
  for (const kind of kinds) {
    for (const batch of [1, 2, 8, 64]) {
      const ours = run.read(`ours-${kind}${batch}`);
      const peer = run.read(`pytorch-${kind}${batch}`);
      const model = (ours ?? peer)?.rows[0]?.model;
      if (model === undefined) continue;
      const rate = run.productRate ?? ours?.device.peakFlopsPerSecond;
      for (const method of ['paper', 'baseline']) {
        /** @param {import('./run.js').Results | undefined} results */
        const rowOf = (results) =>
          results?.rows.find((row) => row.batch === batch && row.name === method);
        const own = rowOf(ours)?.median;
        const ofPeer = rowOf(peer)?.median;
        const plan = Object.values(plans).find((one) => one[method]?.model.name === model)?.[
          method
        ];
        const floor = rate && plan && floorOf(plan, batch, rate, run.copyRate);
        const share = over(over(rowOf(ours)?.flops, own), rate);
        found.set(`${kind}${batch} ${method}`, { ours: own, peer: ofPeer, share });
        lines.push([
          ...[model, String(batch), method, number(own, 1e3)],
          number(kind === '' ? rowOf(tuned)?.median : undefined, 1e3),
          ...[number(ofPeer, 1e3), number(floor, 1e3)],
          ...[number(over(ofPeer, own)), number(over(own, floor))],
        ]);
      }
    }
  }
  return { lines, found };
}
