/** Plans and schedules against the formulas and tables of the method. */

import t from 'tap';
import {
  classId,
  formatSchedule,
  maskCounts,
  maskId,
  maskingSchedules,
  modulationFlops,
  type PlanOptions,
  parseSchedule,
  plan,
  presets,
  scheduleSteps,
  stepFlops,
  totalFlops,
  vocabularySize,
} from '../../lib/index.js';

const B = presets.B;
const L = presets.L;
const XL = presets.XL;
const videoB = presets['video-B']!;
const videoL = presets['video-L']!;

/** GMAC, to one decimal of GMAC or two of a forward pass. */
const gmac = (flops: number) => flops / 2e9;

t.test('one full forward pass (method 7.3)', async (t) => {
  const forward = (model: typeof L, p: number) => {
    const a = { heads: model.heads / p, hidden: model.intermediateSize / p, name: `1/${p}` };
    return gmac(totalFlops(stepFlops(model, a, 257, 257))).toFixed(2);
  };
  t.same(
    [1, 2, 4, 8].map((p) => forward(B, p)),
    ['23.60', '12.07', '6.31', '3.43'],
  );
  t.same(
    [1, 2, 4, 8].map((p) => forward(L, p)),
    ['81.66', '41.23', '21.02', '10.91'],
  );
  t.same(
    [1, 2, 4, 8].map((p) => forward(XL, p)),
    ['119.80', '60.37', '30.66', '15.80'],
  );
});

t.test('whole generations (method 7.4)', async (t) => {
  const cost = (options: Partial<PlanOptions> & Pick<PlanOptions, 'model' | 'steps'>) => {
    const { flops, baselineFlops, flopsRatio } = plan(options);
    return [gmac(baselineFlops).toFixed(0), gmac(flops).toFixed(0), flopsRatio.toFixed(2)];
  };
  t.same(cost({ model: L, steps: 12 }), ['980', '318', '3.08']);
  t.same(cost({ model: L, steps: 12, cache: false }), ['980', '464', '2.11']);
  t.same(cost({ model: L, steps: 16 }), ['1307', '388', '3.36']);
  t.same(cost({ model: XL, steps: 12 }), ['1438', '466', '3.09']);
  t.same(cost({ model: XL, steps: 16 }), ['1917', '569', '3.37']);
  t.same(cost({ model: L, steps: 12, schedule: '1x3,1/2x3,1/4x3,1/8x3' }), ['980', '423', '2.32']);
  t.equal(cost({ model: L, steps: 12, schedule: '1x12' })[2], '1.34');
  for (const [schedule, cached, uncached] of [
    ['1/8x4,1/4x4,1/2x2,1x2', '3.55', '2.62'],
    ['1/8x6,1x6', '2.86', '1.76'],
    ['1/8x2,1/4x2,1/2x4,1x4', '2.62', '1.76'],
    ['1/4x4,1/2x4,1x4', '2.49', '1.70'],
    ['1/8x1,1/4x2,1/2x3,1x6', '2.19', '1.47'],
    ['1/2x6,1x6', '1.90', '1.33'],
  ] as const) {
    t.equal(cost({ model: L, steps: 12, schedule })[2], cached, schedule);
    t.equal(cost({ model: L, steps: 12, schedule, cache: false })[2], uncached, schedule);
  }
  t.same(cost({ model: videoL, steps: 12 }), ['4361', '1415', '3.08']);
  t.same(cost({ model: videoL, steps: 24 }), ['8723', '2335', '3.74']);
  // B has 12 heads; the table slices 1.5 of them at 1/8, the preset takes one.
  t.equal(cost({ model: B, steps: 12 })[0], '283');
  t.equal(cost({ model: B, steps: 12 })[2], '3.07');
  t.equal(cost({ model: videoB, steps: 12 })[2], '3.10');
});

t.test('L, 12 steps, step by step (method 7.4)', async (t) => {
  const { steps, schedule } = plan({ model: L, steps: 12 });
  t.equal(schedule, '1/8x3,1/4x3,1/2x3,1x3');
  t.same(
    steps.map((step) => step.masked),
    [256, 253, 247, 236, 221, 203, 181, 155, 128, 97, 66, 33],
  );
  t.same(
    steps.map((step) => step.activeRows),
    [257, 256, 253, 257, 236, 221, 257, 181, 155, 257, 97, 66],
  );
  t.same(
    steps.map((step) => gmac(step.flops).toFixed(1)),
    [
      '10.9',
      '10.9',
      '10.7',
      '21.0',
      '19.3',
      '18.0',
      '41.0',
      '29.0',
      '24.8',
      '81.2',
      '30.7',
      '20.9',
    ],
  );
  t.same(
    steps.filter((step) => step.refresh).map((step) => step.step),
    [0, 3, 6, 9],
  );
  t.equal(
    steps.reduce((sum, step) => sum + step.masked - step.maskedAfter[0]!, 0),
    256,
  );
  t.equal(steps.at(-1)?.choiceTemperature, 0);
});

t.test('baseline', async (t) => {
  const result = plan({ model: L, steps: 12, schedule: 'baseline' });
  t.equal(result.flopsRatio, 1);
  t.equal(result.flops, result.baselineFlops);
  t.ok(
    result.steps.every((one) => one.refresh && one.activeRows === 257 && one.logitsRows === 257),
  );
});

t.test('mask counts', async (t) => {
  t.equal(maskCounts(256, 12, 'cosine')[7], 128, 'float64: floor(256 cos(pi / 3))');
  for (const schedule of Object.keys(maskingSchedules) as (keyof typeof maskingSchedules)[]) {
    for (const masked of [0, 1, 2, 3, 11, 49, 256]) {
      for (const steps of [1, 2, 12, 64]) {
        const counts = [masked, ...maskCounts(masked, steps, schedule)];
        t.equal(counts.at(-1), 0);
        t.ok(counts.every((count, i) => i === 0 || (count <= counts[i - 1]! && count >= 0)));
        const stalls = counts.slice(1).filter((count, i) => count === counts[i]! && count > 1);
        t.equal(stalls.length, 0, 'something is revealed while more than one is masked');
      }
    }
  }
});

t.test('schedules', async (t) => {
  const names = (schedule: Parameters<typeof parseSchedule>[0], steps: number) =>
    parseSchedule(schedule, L, steps).map((phase) => `${phase.width.name}x${phase.steps}`);
  const paper = ['1/8x3', '1/4x3', '1/2x3', '1x3'];
  t.same(names('paper', 12), paper);
  t.same(names(' 1/8 x 3, 1/4x3,0.5x3,1x3', 12), paper);
  t.same(
    names(
      [
        ['1/8', 3],
        [1 / 4, 3],
        [0.5, 3],
        [1, 3],
      ],
      12,
    ),
    paper,
  );
  t.same(names('paper', 10), ['1/8x2', '1/4x2', '1/2x3', '1x3']);
  t.same(names('paper', 2), ['1/2x1', '1x1']);
  t.throws(() => names('1/8x3', 12), {
    message: /Expected 12 steps in all for schedule but received 3/,
  });
  t.throws(() => names('1/3x12', 12), { message: /one of 1\/8, 1\/4, 1\/2, 1 for width/ });
  for (const wrong of [
    '',
    '1/8',
    '1/8x',
    'x3',
    '1/8x-1',
    'best',
    [],
    [[]],
    [7],
    7,
  ] as unknown as string[]) {
    t.throws(
      () => names(wrong, 12),
      { message: /Expected a schedule|Expected an integer/ },
      String(wrong),
    );
  }
});

t.test('budgets', async (t) => {
  for (const budget of [0.15, 0.3, 0.33, 0.5, 1]) {
    const result = plan({ model: L, steps: 12, budget });
    t.ok(result.flops <= budget * result.baselineFlops, `${budget}: ${result.schedule}`);
    const values = result.steps.map((step) => step.width.heads);
    t.same(
      values,
      [...values].sort((a, b) => a - b),
      'ascending',
    );
  }
  t.equal(plan({ model: L, steps: 12, budget: 1 }).schedule, '1x12');
  t.throws(() => plan({ model: L, steps: 12, budget: 0.01 }), {
    name: 'RangeError',
    message: /at least 0\.\d+ for this model and steps for budget but received 0.01/,
  });
});

t.test('wrong options', async (t) => {
  const wrong = (options: object) => () => plan({ model: L, steps: 12, ...options });
  t.throws(wrong({ steps: 0 }), {
    name: 'RangeError',
    message: /an integer in 1 \.\. 1000 for steps/,
  });
  t.throws(wrong({ steps: '12' }), { name: 'TypeError' });
  t.throws(wrong({ maskingSchedule: 'sine' }), { name: 'RangeError', message: /cosine, linear/ });
  t.throws(wrong({ maskingSchedule: 'toString' }), { name: 'RangeError' });
  t.throws(wrong({ masked: 257 }), { name: 'RangeError' });
  t.throws(wrong({ temperature: -1 }), { name: 'RangeError' });
  t.throws(wrong({ temperature: [1] }), { name: 'RangeError' });
  t.throws(wrong({ inverseTemperature: 0 }), { name: 'RangeError' });
  t.throws(wrong({ inverseTemperature: [1, 0] }), { name: 'RangeError' });
  t.throws(wrong({ temperature: 1, inverseTemperature: 1 }), {
    name: 'RangeError',
    message: 'Expected no temperature beside it for inverseTemperature but received 1',
  });
  t.throws(wrong({ guidanceSchedule: 'sine' }), { name: 'RangeError' });
  t.throws(wrong({ guidancePower: 0 }), { name: 'RangeError' });
  t.throws(wrong({ order: 'random' }), { name: 'RangeError' });
  t.throws(() => plan({ model: videoL, order: 'halton' }), {
    name: 'RangeError',
    message: 'Expected \'confidence\' on a grid of 4 frames for order but received "halton"',
  });
  for (const refresh of [0, -1, 1.5, [12], [-1]]) {
    t.throws(wrong({ refresh }), { name: 'RangeError', message: /refresh/ }, `${refresh}`);
  }
  t.throws(wrong({ refresh: 'always' }), { name: 'TypeError' });
  t.throws(wrong({ refresh: [0, '3'] }), { name: 'TypeError' });
  t.throws(wrong({ refresh: 3, cache: false }), {
    name: 'RangeError',
    message: /none without a cache/,
  });
  t.throws(wrong({ refresh: 3, schedule: 'baseline' }), { name: 'RangeError' });
  t.throws(wrong({ cache: 1 }), { name: 'TypeError' });
  t.throws(wrong({ budget: 0.5, schedule: 'paper' }), { name: 'RangeError' });
  t.throws(wrong({ budget: 0.5, steps: 65 }), { name: 'RangeError', message: /1 \.\. 64/ });
  t.throws(wrong({ guidance: -1 }), { name: 'RangeError' });
  t.throws(wrong({ masked: [256, -1] }), { name: 'RangeError' });
  t.throws(wrong({ masked: [] }), { name: 'RangeError' });
  t.throws(wrong({ masked: '3' }), { name: 'TypeError' });
  t.throws(wrong({ schedule: [[{}, 12]] }), { name: 'TypeError', message: /for width but/ });
  t.throws(wrong({ dtype: 'f32' }), {
    name: 'TypeError',
    message:
      'Expected options among model, steps, schedule, budget, cache, maskingSchedule, refresh, order, ' +
      'temperature, inverseTemperature, choiceTemperature, guidance, guidanceSchedule, guidancePower, ' +
      'masked but received "dtype"',
  });
  t.throws(() => plan(undefined as unknown as PlanOptions), { name: 'TypeError' });
  t.throws(() => plan({} as PlanOptions), { name: 'TypeError', message: /for model but received/ });
  t.throws(wrong({ schedule: 'full' }), {
    name: 'RangeError',
    message: /^Expected 'baseline', .* for schedule but received "full"$/,
  });
});

t.test('a batch: totals of all samples and both branches', async (t) => {
  const options = { model: L, steps: 12 };
  const one = plan(options);
  t.match(one, { samples: 1, branches: 1, model: L, cache: true });
  const batch = plan({ ...options, masked: [256, 40, 0], guidance: 1.5 });
  t.match(batch, { samples: 3, branches: 6, schedule: one.schedule });
  const alone = [256, 40, 0].map((masked) => plan({ ...options, masked: [masked, 256] }));
  // A sample's share of a batch with a sample that has all masked, so that none takes fewer steps.
  const sum = (of: (result: typeof one) => number) =>
    alone.reduce((total, result) => total + of(result) - of(one), 0);
  batch.steps.forEach((step, i) => {
    t.equal(step.activeRows, 2 * sum(({ steps }) => steps[i]!.activeRows));
    t.equal(step.logitsRows, 2 * sum(({ steps }) => steps[i]!.logitsRows));
    t.equal(
      step.masked,
      sum(({ steps }) => steps[i]!.masked),
      'positions are not branches',
    );
    t.same(
      step.maskedAfter,
      alone.map(({ steps }) => steps[i]!.maskedAfter[0]),
    );
    t.equal(step.flops, 2 * sum(({ steps }) => steps[i]!.flops));
    t.equal(totalFlops(step.parts), step.flops);
  });
  t.equal(batch.flops, 2 * sum(({ flops }) => flops));
  t.equal(batch.baselineFlops, 6 * one.baselineFlops);
  t.equal(batch.flopsRatio, batch.baselineFlops / batch.flops);
});

t.test('no more steps than masked positions', async (t) => {
  const taken = (masked: number | number[], schedule = '1/8x3,1/4x3,1/2x3,1x3') =>
    plan({ model: L, schedule, masked });
  t.equal(taken(12).schedule, '1/8x3,1/4x3,1/2x3,1x3');
  t.equal(taken(8).schedule, '1/8x2,1/4x2,1/2x2,1x2');
  t.equal(taken(5).schedule, '1/8x1,1/4x1,1/2x2,1x1', 'steps 1, 3, 6, 8, 10 of 12');
  t.equal(taken(4).schedule, '1/8x1,1/4x1,1/2x1,1x1');
  t.equal(taken(1).schedule, '1/2x1', 'step 6 of 12');
  t.equal(taken([1, 4, 0]).schedule, taken(4).schedule, 'as many as the sample with the most');
  t.same(
    taken([1, 4, 0]).steps.map((step) => step.maskedAfter),
    [
      [1, 3, 0],
      [1, 2, 0],
      [1, 1, 0],
      [0, 0, 0],
    ],
  );
  for (let masked = 1; masked <= 12; ++masked) {
    const { steps, baselineFlops } = taken(masked);
    t.equal(steps.length, masked);
    t.equal(steps.at(-1)!.choiceTemperature, 0);
    t.same(
      steps.map((step) => step.maskedAfter[0]),
      Array.from({ length: masked }, (_, i) => masked - 1 - i),
    );
    t.equal(baselineFlops, (masked * plan({ model: L, steps: 12 }).baselineFlops) / 12);
  }
  t.match(taken(0), { steps: [], schedule: '', flops: 0, baselineFlops: 0, flopsRatio: 1 });
});

t.test('the temperature goes from the first to the last step', async (t) => {
  const temperatures = (masked: number) =>
    plan({ model: L, steps: 5, temperature: [1, 0.5], masked }).steps.map((one) => one.temperature);
  t.same(temperatures(256), [1, 0.875, 0.75, 0.625, 0.5]);
  t.same(temperatures(3), [1, 0.75, 0.5]);
  t.same(temperatures(1), [1]);
});

t.test('a schedule is read as it is written', async (t) => {
  const schedule = '1/8x3,1/4x3,1/2x3,1x3';
  t.equal(formatSchedule(parseSchedule(schedule, L, 12)), schedule);
  t.equal(scheduleSteps(schedule, L), 12);
  t.equal(scheduleSteps('paper', L), undefined);
  t.equal(scheduleSteps('baseline', L), undefined);
});

t.test('the vocabulary', async (t) => {
  const sizes = { codebookSize: 512, classes: 10 };
  t.equal(classId(sizes, 3), 515);
  t.equal(classId(sizes, null), 522);
  t.equal(maskId(sizes), 523);
  t.equal(vocabularySize(sizes), 524);

  const ofMaskgit = { codebookSize: 1024, classes: 1000, nullClass: false };
  t.equal(vocabularySize(ofMaskgit), 2025);
  t.equal(maskId(ofMaskgit), 2024);
  t.equal(classId(ofMaskgit, 999), 2023);
  t.throws(() => classId(ofMaskgit, null), { name: 'RangeError', message: /no null class/ });

  const modulated = { codebookSize: 16384, classes: 1000, modulation: 'class' } as const;
  t.equal(vocabularySize(modulated), 16386);
  t.equal(maskId(modulated), 16385);
  t.equal(classId(modulated, 0), 0, 'a row of the class table');
  t.equal(classId(modulated, null), 1000);
});

t.test('gated MLPs, plain heads and modulation', async (t) => {
  // Halton-MaskGIT base, whose authors count 25 G multiply-adds without attention's for a pass that has logits everywhere.
  const base = {
    ...L,
    layers: 12,
    hiddenSize: 768,
    heads: 12,
    headDim: 64,
    intermediateSize: 2048,
    mlpGate: 'multiply',
    modulation: 'class',
    head: 'plain',
    codebookSize: 16384,
    vocabSize: 16386,
    widths: [{ name: '1', heads: 12, hidden: 2048 }],
  } as const;
  const parts = stepFlops(base, base.widths[0], 257, 256);
  const modulation = modulationFlops(base, 1);
  t.equal(modulation, 2 * (6 * 12 + 2) * 768 ** 2);
  t.equal(gmac(totalFlops(parts) - parts.attention + modulation).toFixed(1), '25.1');

  const { steps, flops, baselineFlops } = plan({
    model: base,
    steps: 4,
    guidance: 1,
    masked: [256, 9],
  });
  const allRows = 4 * 257;
  t.equal(
    steps[0]!.flops,
    totalFlops(stepFlops(base, base.widths[0], allRows, 2 * (256 + 9))) + 4 * modulation,
    'the first step computes what modulates, of both branches',
  );
  t.equal(
    flops - 4 * modulation,
    steps.reduce(
      (sum, { activeRows, logitsRows }) =>
        sum + totalFlops(stepFlops(base, base.widths[0], activeRows, logitsRows)),
      0,
    ),
  );
  t.equal(
    baselineFlops,
    4 * totalFlops(stepFlops(base, base.widths[0], allRows, allRows)) + 4 * modulation,
  );
  t.equal(plan({ model: base, masked: 0 }).baselineFlops, 0);
});
