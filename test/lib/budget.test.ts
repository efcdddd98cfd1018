/** The search for a budget's schedule: what looking at every schedule finds, in a small part of the time. */

import t from 'tap';
import {
  type BatchPlan,
  type ModelShape,
  type PlanOptions,
  plan,
  presets,
  type Width,
} from '../../lib/index.js';

const { L } = presets;

/** Every ascending schedule as counts of each width, those with few narrow steps first. */
function* ascending(widths: number, steps: number): Generator<number[]> {
  if (widths === 1) yield [steps];
  for (let count = 0; widths > 1 && count <= steps; ++count) {
    for (const rest of ascending(widths - 1, steps - count)) yield [count, ...rest];
  }
}

/** The first of the schedules with the highest score that fit, of these the first of the cheapest. */
function byLookingAtAll(options: PlanOptions & { steps: number; budget: number }): BatchPlan {
  const { budget, ...others } = options;
  const { widths, headDim } = options.model;
  let best: { plan: BatchPlan; score: number } | undefined;
  for (const counts of ascending(widths.length, options.steps)) {
    const schedule = counts.flatMap((count, i) =>
      count > 0 ? [[widths[i]!.name, count] as const] : [],
    );
    const one = plan({ ...others, schedule });
    if (one.flops > budget * one.baselineFlops) continue;
    const score = one.steps.reduce(
      (sum, { width, masked, maskedAfter }) =>
        sum + (masked - maskedAfter[0]!) * (4 * width.heads * headDim + 2 * width.hidden),
      0,
    );
    const better =
      best === undefined ||
      score > best.score ||
      (score === best.score && one.flops < best.plan.flops);
    if (better) best = { plan: one, score };
  }
  return best!.plan;
}

const widthsOf = (sizes: readonly (readonly [heads: number, hidden: number])[]) =>
  sizes.map(([heads, hidden], i) => ({ name: `${i + 1}/${sizes.length}`, heads, hidden }));

const irregular = widthsOf([
  [1, 700],
  [3, 701],
  [3, 1900],
  [11, 2500],
  [16, 4096],
]);
/** Many of whose schedules cost and score the same. */
const regular = widthsOf([
  [4, 1024],
  [8, 2048],
  [12, 3072],
  [16, 4096],
]);

t.test('the schedule is that of looking at every one', async (t) => {
  const models: ModelShape[] = [L, { ...L, widths: irregular }, { ...L, widths: regular }];
  const few: ModelShape = { ...L, latentShape: [1, 2, 2] };
  for (const model of [...models, few]) {
    for (const options of [
      {},
      { refresh: [2, 3] },
      { cache: false },
      { order: 'halton', guidance: 1, maskingSchedule: 'arccos' },
    ] as const) {
      for (const budget of [0.3, 0.45, 0.6, 0.8, 1]) {
        const steps = model === few ? 4 : 6;
        const found = plan({ model, steps, budget, ...options });
        const expected = byLookingAtAll({ model, steps, budget, ...options });
        const what = `${model.widths.length} widths, ${budget}, ${JSON.stringify(options)}`;
        t.same([found.schedule, found.flops], [expected.schedule, expected.flops], what);
      }
    }
  }
  t.equal(plan({ model: few, steps: 64, budget: 1 }).steps.length, 4, 'no more than positions');
});

t.test('eight widths and 64 steps take no time', async (t) => {
  const even = widthsOf(Array.from({ length: 8 }, (_, i) => [2 * (i + 1), 512 * (i + 1)] as const));
  // Without a cache and regularity, many schedules cost and score about the same, but none exactly.
  const odd = widthsOf([
    [2, 97],
    [2, 912],
    [4, 1373],
    [5, 2004],
    [8, 2711],
    [10, 3001],
    [13, 3808],
    [16, 4096],
  ]);
  const cost = (widths: readonly Width[], options: Partial<PlanOptions>) => {
    const started = process.cpuUsage();
    plan({ model: { ...L, widths }, steps: 64, ...options });
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1000;
  };
  for (const widths of [even, odd]) {
    for (const budget of [0.3, 0.7]) {
      for (const options of [{}, { cache: false, order: 'halton' }] as const) {
        // The best of some, for the machine may be busy with other work.
        const costs = Array.from({ length: 10 }, () => cost(widths, { budget, ...options }));
        const milliseconds = Math.min(...costs);
        t.ok(milliseconds < 20, `${milliseconds} ms`);
      }
    }
  }
});
