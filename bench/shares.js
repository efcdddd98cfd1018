// node bench/shares.js --model fashion --budget 0.33
//
// Every ascending schedule of the model's steps and widths that costs at most that share of the full-size baseline, the
// dearest first: [{ "schedule": "1/8x2,1/4x5,1/2x4,1x1", "share": 0.3296 }, ...]

import { parseArgs } from 'node:util';
import { readConfig } from '../dist/checkpoint/checkpoint.js';
import { ascending, plan } from '../dist/plan/plan.js';
import { formatSchedule } from '../dist/plan/schedule.js';
import { modelFolder } from '../dist/runtime/model.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    budget: { type: 'string', default: '0.33' },
  },
});
const model = await readConfig(modelFolder(values.model));
const schedules = [...ascending(model.widths, model.sampling.steps)].map((phases) => {
  const schedule = formatSchedule(phases);
  return { schedule, share: 1 / plan({ model, schedule }).ratio };
});
const within = schedules.filter(({ share }) => share <= Number(values.budget));
console.log(JSON.stringify(within.sort((a, b) => b.share - a.share)));
