/** How tokens are drawn and revealed: orders, counts, guidance, temperatures and refreshes, as plans of steps. */

import t from 'tap';
import {
  type BatchPlan,
  guidanceSchedules,
  haltonOrder,
  load,
  type ModelShape,
  maskCounts,
  type PlanOptions,
  plan,
  presets,
  type Recipe,
  stepFlops,
} from '../../lib/index.js';
import { orderShift, turnsOf } from '../../lib/plan/halton.js';
import { philox } from '../../lib/plan/philox.js';
import { plainRecipe } from '../../lib/plan/recipe.js';
import { answersIn, copyOf, fixtureFolder, publicFixture } from './fixtures.js';

const L = presets.L;

const refreshes = (options: Omit<PlanOptions, 'model'>) =>
  plan({ model: L, ...options })
    .steps.filter((step) => step.refresh)
    .map((step) => step.step);

t.test("the Halton order is the peer's", async (t) => {
  for (const extent of [16, 24, 32]) {
    const { data } = answersIn(publicFixture(`halton-order/order-${extent}.safetensors`)).int(
      'order',
    );
    const positions = Array.from(
      { length: extent ** 2 },
      (_, i) => data[2 * i]! * extent + data[2 * i + 1]!,
    );
    t.same([...haltonOrder(extent, extent)], positions, `${extent} x ${extent}`);
  }
  for (const [height, width] of [
    [1, 1],
    [1, 7],
    [9, 2],
    [5, 31],
  ] as const) {
    const visited = [...haltonOrder(height, width)].sort((a, b) => a - b);
    t.same(visited, [...visited.keys()], `${height} x ${width}: every position once`);
    t.equal(visited.length, height * width);
  }
});

t.test("under a Halton order counts are the peer's", async (t) => {
  for (const tokens of [256, 576]) {
    for (let steps = 8; steps <= 64; ++steps) {
      const known = Array.from({ length: steps }, (_, step) => {
        const share = 1 - Math.acos((step + 1) / steps) / (Math.PI / 2);
        return Math.max(step + 1, Math.trunc(tokens * share));
      });
      const masked = maskCounts(tokens, steps, 'arccos', 'up');
      t.same(
        masked.map((count) => tokens - count),
        known,
      );
    }
  }
  // A step that would reveal nothing reveals one position.
  t.same(maskCounts(4, 4, 'arccos', 'up'), [3, 2, 1, 0]);
  t.same(maskCounts(0, 4, 'arccos', 'up'), [0, 0, 0, 0]);
});

t.test('turns are counted among what is masked', async (t) => {
  const order = Int32Array.of(2, 0, 3, 1);
  t.same([...turnsOf(order, Uint8Array.of(1, 1, 1, 1))], [2, 0, 3, 1]);
  t.same([...turnsOf(order, Uint8Array.of(1, 1, 1, 1), 3)], [1, 3, 2, 0], 'from the fourth on');
  t.same([...turnsOf(order, Uint8Array.of(1, 0, 1, 1), 2)], [0, 0, 1, 2]);
  t.same([...turnsOf(order, Uint8Array.of(0, 0, 0, 0))], [0, 0, 0, 0]);
});

t.test('where a rolled order begins', async (t) => {
  // Known answers of the authors' Random123 library.
  t.same(philox([0, 0, 0, 0], 0n), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  t.same(
    philox([ones, ones, ones, ones], 2n ** 64n - 1n),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  t.same(
    philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0x299f31d0a4093822n),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
  const counts = new Int32Array(16);
  for (let sample = 0; sample < 16_000; ++sample) counts[orderShift(7n, sample, 16)]! += 1;
  // Sixteen counts of 1000 expected, 31 the deviation of each.
  t.ok(counts.every((count) => Math.abs(count - 1000) < 6 * 31));
  t.not(orderShift(7n, 0, 256), orderShift(8n, 0, 256));
});

t.test('guidance from step to step', async (t) => {
  const curve = (options: Omit<PlanOptions, 'model'>) =>
    plan({ model: L, steps: 8, guidance: 2, ...options }).steps.map((step) => step.guidance);
  t.same(curve({}), Array(8).fill(2));
  t.same(curve({ guidanceSchedule: 'linear' }), [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]);
  t.same(
    curve({ guidanceSchedule: 'cosine', guidancePower: 3 }),
    Array.from({ length: 8 }, (_, step) => 1 - Math.cos(Math.PI * (step / 8) ** 3)),
  );
  t.same([guidanceSchedules.cosine(0, 1), guidanceSchedules.cosine(1, 1)], [0, 1]);
  t.match(plan({ model: L, guidance: 2, guidanceSchedule: 'linear' }), { branches: 2 });
  t.same(
    plan({ model: L, steps: 8, guidance: 2, guidanceSchedule: 'linear', masked: 4 }).steps.map(
      (step) => step.guidance,
    ),
    [0, 0.5, 1, 1.5],
    'over the steps that run',
  );
});

t.test('a temperature may be said by its inverse', async (t) => {
  const temperatures = (options: Omit<PlanOptions, 'model'>) =>
    plan({ model: L, steps: 3, ...options }).steps.map((step) => step.temperature);
  t.same(temperatures({ inverseTemperature: 2 }), [0.5, 0.5, 0.5]);
  t.same(temperatures({ inverseTemperature: [1, 4] }), [1, 1 / 2.5, 1 / 4]);
});

t.test('a list goes from the first step to the last', async (t) => {
  const steps = (options: Omit<PlanOptions, 'model'>) => plan({ model: L, ...options }).steps;
  const ofFive = steps({ steps: 5, temperature: [4, 0, 1], choiceTemperature: [8, 0] });
  t.same(
    ofFive.map(({ temperature }) => temperature),
    [4, 2, 0, 0.5, 1],
  );
  t.same(
    ofFive.map(({ choiceTemperature }) => choiceTemperature),
    [8, 6, 4, 2, 0],
    'as it says, where a number would fall to 0',
  );
  const each = [0.3, 0.1, 0.7, 0.2, 0.9, 0.4, 0.6];
  t.same(
    steps({ steps: 7, temperature: each }).map(({ temperature }) => temperature),
    each,
    'one for each step',
  );
  t.same(
    steps({ steps: 1, temperature: each, choiceTemperature: each }).map((step) => [
      step.temperature,
      step.choiceTemperature,
    ]),
    [[0.3, 0.3]],
  );
  t.throws(() => steps({ temperature: [1] }), { message: /a number or \[first, …, last\]/ });
  t.throws(() => steps({ choiceTemperature: [1, -1] }), { name: 'RangeError' });
});

t.test('refreshes', async (t) => {
  t.same(refreshes({ steps: 12 }), [0, 3, 6, 9], 'at every new width');
  t.same(refreshes({ steps: 12, refresh: 'switch' }), [0, 3, 6, 9]);
  t.same(refreshes({ steps: 12, refresh: 4 }), [0, 3, 4, 6, 8, 9]);
  t.same(refreshes({ schedule: '1x12', refresh: 4 }), [0, 4, 8]);
  t.same(refreshes({ schedule: '1x12' }), [0]);
  t.same(refreshes({ schedule: '1x12', refresh: [5, 7] }), [0, 5, 7]);
  t.same(refreshes({ schedule: '1x12', refresh: [] }), [0]);
  const every = plan({ model: L, schedule: '1x12', refresh: 1 });
  const uncached = plan({ model: L, schedule: '1x12', cache: false });
  t.same(
    every.steps.map((step) => step.activeRows),
    uncached.steps.map((step) => step.activeRows),
  );
  t.same(
    every.steps.map((step) => step.logitsRows),
    every.steps.map((step) => step.masked),
    'the LM head still computes only what is masked',
  );
});

t.test('what a refresh costs', async (t) => {
  const cached = plan({ model: L, schedule: '1x12' });
  const refreshed = plan({ model: L, schedule: '1x12', refresh: [6] });
  const rowsOf = (result: BatchPlan) => result.steps[6]!.activeRows;
  t.same([rowsOf(cached), rowsOf(refreshed)], [203, 257]);
  const { projections, attention, mlp } = stepFlops(L, L.widths.at(-1)!, 257 - 203, 0);
  t.equal(refreshed.flops - cached.flops, projections + attention + mlp);
});

t.test('a search within a budget counts the refreshes', async (t) => {
  const options = { model: L, steps: 8, budget: 0.5 };
  const plain = plan(options);
  const refreshed = plan({ ...options, refresh: 2 });
  t.not(plain.schedule, refreshed.schedule);
  for (const result of [plain, refreshed]) t.ok(result.flops <= 0.5 * result.baselineFlops);
});

t.test('a Halton order', async (t) => {
  const options = { model: L, steps: 12, schedule: '1x12', maskingSchedule: 'arccos' } as const;
  const result = plan({ ...options, order: 'halton', guidance: 1, masked: [256, 40] });
  t.equal(result.order, 'halton');
  t.same(
    result.steps.map((step) => step.maskedAfter[0]),
    maskCounts(256, 12, 'arccos', 'up'),
  );
  for (const { masked, maskedAfter, logitsRows } of result.steps) {
    t.equal(logitsRows, 2 * (masked - maskedAfter[0]! - maskedAfter[1]!), 'what is revealed');
  }
  t.same(
    plan({ ...options, order: 'halton-rolled', guidance: 1, masked: [256, 40] }).steps,
    result.steps,
    'rolled, it costs the same',
  );
  const uncached = plan({ ...options, order: 'halton', cache: false });
  t.ok(uncached.steps.every((step) => step.logitsRows === 257));
});

t.test('a Halton order runs the LM head on what a step reveals alone', async (t) => {
  const model = await load(fixtureFolder('modulated'), { threads: 2 });
  t.teardown(() => model.dispose());
  const { hiddenSize: d, vocabSize: V } = model.config; // a plain head
  for (const order of ['halton', 'halton-rolled'] as const) {
    const options = { count: 3, steps: 5, refresh: 2, guidance: 1, seed: 1, order } as const;
    const generation = model.generate(options);
    let before = 3 * 12;
    for await (const { step, masked, parts } of generation) {
      const flops = 2 * (before - masked) * 2 * d * V; // of two branches
      t.equal(parts.lmHead, flops, `${order}, step ${step}: launched`);
      t.equal(generation.plans[0]!.steps[step]!.parts.lmHead, flops, 'planned');
      before = masked;
    }
  }
});

const halton: Recipe = {
  ...plainRecipe,
  steps: 32,
  guidance: 1.5,
  maskingSchedule: 'arccos',
  order: 'halton',
  temperature: undefined,
  inverseTemperature: [1, 1.2],
  refresh: [20],
};

t.test('a recipe is what plans do where nothing else is said', async (t) => {
  const model: ModelShape = { ...L, sampling: halton };
  const said = {
    steps: 32,
    guidance: 1.5,
    maskingSchedule: 'arccos',
    order: 'halton',
    inverseTemperature: [1, 1.2],
    refresh: [20],
  } as const;
  t.same({ ...plan({ model }), model: L }, plan({ model: L, ...said }));
  const own = plan({ model, temperature: 0.5, guidance: 0, steps: 8 });
  t.match(own, { branches: 1, steps: { 0: { temperature: 0.5 }, length: 8 } });
  t.equal(plan({ model, schedule: 'baseline' }).cache, false, 'the baseline refreshes anyway');
});

t.test('the recipe of a checkpoint', async (t) => {
  const { folder, change } = copyOf('post', t);
  const sampling = {
    steps: 5,
    guidance: 1.5,
    guidance_schedule: 'cosine',
    guidance_power: 3,
    masking_schedule: 'arccos',
    refresh: [2, 4],
    order: 'halton-rolled',
    inverse_temperature: [1, 1.2],
    choice_temperature: [3, 2, 0.5],
    confidence: 'logit',
    top_k: 7,
  };
  change('config.json', { sampling });
  const model = await load(folder);
  t.teardown(() => model.dispose());
  t.same(model.config.sampling, {
    steps: 5,
    guidance: 1.5,
    guidanceSchedule: 'cosine',
    guidancePower: 3,
    maskingSchedule: 'arccos',
    refresh: [2, 4],
    order: 'halton-rolled',
    temperature: undefined,
    inverseTemperature: [1, 1.2],
    choiceTemperature: [3, 2, 0.5],
    confidence: 'logit',
    topK: 7,
  });
  const generation = model.generate({ schedule: '1x5', seed: 3 });
  t.same(generation.plans[0], plan({ model: model.config, schedule: '1x5' }));
  t.match(generation.plans[0], { branches: 2, order: 'halton-rolled' });
  t.equal((await generation.result()).flops, generation.plannedFlops);

  for (const [key, wrong] of [
    ['refresh', 'always'],
    ['refresh', [1000]],
    ['order', 'random'],
    ['temperature', [1]],
    ['temperature', [1, -1]],
    ['inverse_temperature', 0],
    ['choice_temperature', [1, 'none']],
    ['guidance_power', 0],
    ['guidance_schedule', 'sine'],
    ['masking_schedule', 'sine'],
    ['confidence', 'hope'],
  ] as const) {
    change('config.json', { sampling: { [key]: wrong } });
    const message = new RegExp(`config\\.json: expected .* for sampling\\.${key} but received`);
    await t.rejects(load(folder), { code: 'ERR_CHECKPOINT', message }, `${key}: ${wrong}`);
  }
  change('config.json', { sampling: { temperature: 1, inverse_temperature: 1 } });
  await t.rejects(load(folder), { code: 'ERR_CHECKPOINT', message: /no temperature beside it/ });

  const video = copyOf('video', t);
  video.change('config.json', { sampling: { order: 'halton' } });
  await t.rejects(load(video.folder), {
    code: 'ERR_CHECKPOINT',
    message: /'confidence' on a grid of \d frames for sampling\.order but received "halton"/,
  });
});

t.test('generation follows the plan', async (t) => {
  const model = await load(fixtureFolder('post'), { threads: 2 });
  t.teardown(() => model.dispose());
  const base = { labels: ['a', 3, null], count: 5, steps: 8, seed: 11 } as const;
  const run = async (options: object) => {
    const generation = model.generate({ ...base, ...options });
    let before: Int32Array | undefined;
    for await (const step of generation) {
      const planned = generation.plans[step.batch]!.steps[step.step]!;
      t.equal(step.flops, planned.flops, 'counted FLOPs equal the formula');
      t.same(step.parts, planned.parts);
      const now = step.tokens.data;
      t.ok(before?.every((id, i) => id < 0 || id === now[i]) ?? true, 'known tokens stay');
      t.equal(now.filter((id) => id < 0).length, step.masked);
      before = now;
    }
    return (await generation.result()).tokens.data;
  };
  for (const order of ['confidence', 'halton', 'halton-rolled'] as const) {
    const tokens = await run({ order, guidance: 2, refresh: 3, guidanceSchedule: 'linear' });
    t.ok(tokens.every((token) => token >= 0 && token < 40));
    t.same(
      await run({ order, guidance: 1, refresh: 1 }),
      await run({ order, guidance: 1, cache: false }),
      `${order}: a refresh at every step is no cache`,
    );
    const whole = await run({ order, guidance: 1 });
    const alone = { labels: ['a'], count: 1, firstSample: 3, order, guidance: 1 } as const;
    t.same(await run(alone), whole.slice(3 * 12, 4 * 12), `${order}: a sample alone`);
  }
  const tokens = new Int32Array(60).map((_, i) => (i % 4 === 0 || i > 50 ? i % 40 : -1));
  const edited = await run({ order: 'halton', tokens, guidance: 1 });
  t.ok(
    edited.every((id, i) => tokens[i]! < 0 || id === tokens[i]),
    'what is given stays',
  );

  const kinds = ['log-probability', 'probability', 'logit'] as const;
  const answers = await Promise.all(
    kinds.map((confidence) => model.generate({ ...base, confidence }).result()),
  );
  const differ = new Set(answers.map((answer) => answer.tokens.data.join()));
  t.equal(differ.size, 3, 'noise weighs differently on each kind of confidence');
  const inverse = await run({ inverseTemperature: 2 });
  t.same(inverse, await run({ temperature: 0.5 }));
  t.throws(() => model.generate({ ...base, confidence: 'hope' as 'logit' }), {
    name: 'RangeError',
  });
});

t.test('positions are revealed in the Halton order', async (t) => {
  const model = await load(fixtureFolder('post'));
  t.teardown(() => model.dispose());
  const [, height, width] = model.config.latentShape;
  const order = [...haltonOrder(height, width)];
  for (const name of ['halton', 'halton-rolled'] as const) {
    const options = { order: name, count: 4, steps: 5, seed: 9 } as const;
    for await (const { tokens } of model.generate(options)) {
      for (let sample = 0; sample < 4; ++sample) {
        const shift = name === 'halton' ? 0 : orderShift(9n, sample, order.length);
        const rolled = order.map((_, i) => order[(shift + i) % order.length]!);
        const own = tokens.data.subarray(sample * order.length, (sample + 1) * order.length);
        const known = own.filter((token) => token >= 0).length;
        t.same(
          rolled.map((position) => own[position]! >= 0),
          rolled.map((_, i) => i < known),
        );
      }
    }
  }
});

t.test("MaskGIT's greedy decode, step by step", async (t) => {
  const expected = answersIn(publicFixture('maskgit-flax-tiny/expected.safetensors'));
  const model = await load(publicFixture('maskgit-flax-tiny/magnets'));
  t.teardown(() => model.dispose());
  const steps = expected.int('greedy.steps').data; // [3, 8, 16], before what is not revealed is masked again
  const sequence = expected.int('sequence').data; // [3, 17], the class first
  const labels = [0, 1, 2].map((sample) => sequence[17 * sample]! - 40);
  for (const cache of [true, false]) {
    const generation = model.generate({
      labels,
      steps: 8,
      schedule: '1x8',
      refresh: cache ? 1 : undefined,
      cache,
      temperature: 0,
      choiceTemperature: 0,
    });
    let known = 0;
    for await (const { step, tokens } of generation) {
      for (const [i, token] of tokens.data.entries()) {
        const sample = Math.floor(i / 16);
        if (token >= 0) t.equal(token, steps[(8 * sample + step) * 16 + (i % 16)]);
      }
      known = tokens.data.filter((token) => token >= 0).length;
    }
    t.equal(known, 48);
    t.same((await generation.result()).tokens.data, expected.int('greedy').data);
  }
});
