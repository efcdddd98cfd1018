// @ts-check
// node evaluation/node/schedules.js --model fashion --budget 0.33
//
// Prints every ascending schedule of the model's steps and widths that costs at most that share of the baseline's FLOPs,
// the most expensive first: [{ "schedule": "1/8x2,1/4x5,1/2x4,1x1", "share": 0.3296 }, ...]

import { parseArgs } from 'node:util';
import { readConfig } from '../../dist/checkpoint/checkpoint.js';
import { ascending } from '../../dist/plan/budget.js';
import { plan } from '../../dist/plan/plan.js';
import { formatSchedule, phasesOf } from '../../dist/plan/schedule.js';
import { modelFolder } from '../../dist/runtime/load.js';

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
