// node evaluation/node/schedules.js --model fashion --budget 0.33
//
// Prints every ascending schedule of the model's steps and widths that costs at most that share of the baseline's FLOPs,
// the most expensive first: [{ "schedule": "1/8x2,1/4x5,1/2x4,1x1", "share": 0.3296 }, ...]

import { parseArgs } from 'node:util';
import { readConfig } from '../../dist/checkpoint/checkpoint.js';
import { plan } from '../../dist/plan/plan.js';
import { formatSchedule, phasesOf } from '../../dist/plan/schedule.js';
import { modelFolder } from '../../dist/runtime/load.js';

/** @typedef {import('../../dist/plan/shape.js').Width} Width */

/**
 * All ways to give `steps` steps to the widths `from` on, in order; a width may get none.
 * @param {readonly Width[]} widths @param {number} steps
 * @returns {Generator<Width[]>}
 */
function* ascending(widths, steps, from = 0) {
  const width = /** @type {Width} */ (widths[from]);
  if (from === widths.length - 1) {
    yield Array(steps).fill(width);
    return;
  }
  for (let count = 0; count <= steps; ++count) {
    for (const rest of ascending(widths, steps - count, from + 1)) {
      yield [...Array(count).fill(width), ...rest];
    }
  }
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    budget: { type: 'string', default: '0.33' },
  },
});
const model = await readConfig(modelFolder(values.model));
const schedules = [...ascending(model.widths, model.sampling.steps)].map((widths) => {
  const schedule = formatSchedule(phasesOf(widths));
  return { schedule, share: 1 / plan({ model, schedule }).flopsRatio };
});
const affordable = schedules.filter(({ share }) => share <= Number(values.budget));
console.log(JSON.stringify(affordable.sort((a, b) => b.share - a.share)));
