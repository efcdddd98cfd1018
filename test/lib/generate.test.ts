/** Generation through the public API: counts, editing, guidance, determinism, aborting. */

import t from 'tap';
import { info, load, type Model, Tensor } from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';

const model: Model = await load(fixtureFolder('post'), { threads: 2 });
t.teardown(() => model.dispose());

const base = { labels: ['a', 3, null], count: 5, steps: 8, seed: 11 } as const;

t.test('steps, tokens and FLOPs are as planned', async (t) => {
  for (const options of [
    { guidanceScale: 0 },
    { guidanceScale: 2 },
    { guidanceScale: 2, schedule: 'full' },
    { guidanceScale: 1, cache: false },
    { budget: 0.4 },
    {
      schedule: [
        ['1/8', 5],
        ['1', 3],
      ] as const,
      maskingSchedule: 'arccos' as const,
    },
  ]) {
    const generation = model.generate({ ...base, ...options });
    let flops = 0;
    let before: Int32Array | undefined;
    for await (const step of generation) {
      const rows = generation.plans.map((plan) => plan.rows[step.step]!);
      const branches = (options.guidanceScale ?? 0) > 0 ? 2 : 1;
      const sum = (key: 'flops' | 'rows') =>
        branches * rows.reduce((total, row) => total + row[key], 0);
      t.equal(step.of, 8);
      t.equal(step.flops, sum('flops'), 'counted FLOPs equal the formula');
      t.equal(step.rows, sum('rows'));
      const now = step.tokens.data;
      t.equal(now.filter((id) => id < 0).length, step.masked);
      t.ok(before?.every((id, i) => id < 0 || id === now[i]) ?? true, 'known tokens stay');
      t.ok(now.every((id) => id >= -1 && id < 40));
      before = now;
      flops += step.flops;
    }
    t.equal(flops, generation.plannedFlops);
    if (options.schedule === 'full') t.equal(flops, generation.baselineFlops);
    t.ok(
      before?.every((id) => id >= 0),
      'all known at the end',
    );
  }
});

t.test('a sample depends on its seed, label and number alone', async (t) => {
  const whole = await model.generate({ ...base, guidanceScale: 1 }).result();
  t.same(whole.labels, ['a', 3, null, 'a', 3]);
  t.same(whole.pixels?.dims, [5, 6, 8, 3]);
  const alone = await model
    .generate({ ...base, labels: ['a'], count: 1, firstSample: 3, guidanceScale: 1 })
    .result();
  t.same(alone.tokens.data, whole.tokens.data.slice(3 * 12, 4 * 12));
  t.same(
    (await model.generate({ ...base, guidanceScale: 1, seed: 11n }).result()).tokens.data,
    whole.tokens.data,
  );
  t.notSame(
    (await model.generate({ ...base, guidanceScale: 1, seed: 12 }).result()).tokens.data,
    whole.tokens.data,
  );
});

t.test('temperature 0 without noise is greedy: the seed does not matter', async (t) => {
  const greedy = (seed: number) =>
    model.generate({ ...base, seed, temperature: 0, choiceTemperature: 0 }).result();
  t.same((await greedy(1)).tokens.data, (await greedy(2)).tokens.data);
});

t.test('editing keeps what is given, whatever each sample has masked', async (t) => {
  const given = new Int32Array(36).map((_, i) => (i < 12 ? -1 : i < 24 && i % 2 ? -1 : i));
  given[35] = -1;
  const generation = model.generate({
    labels: [1],
    steps: 4,
    tokens: new Tensor('int32', given, [3, 12]),
    schedule: 'paper',
  });
  const { tokens, flops } = await generation.result();
  t.ok(tokens.data.every((id, i) => id >= 0 && (given[i]! < 0 || id === given[i])));
  t.equal(flops, generation.plannedFlops);
  t.same(
    generation.plans.map((plan) => plan.rows[0]?.masked),
    [12, 6, 1],
  );
});

t.test('the forms of tokens', async (t) => {
  const flat = new Int32Array(24).map((_, i) => (i % 3 ? -1 : i));
  const lists = [[...flat.slice(0, 12)], [...flat.slice(12)]];
  const edit = (tokens: Int32Array | number[][] | Tensor<'int32'>) =>
    model.generate({ labels: [1], steps: 4, tokens }).result();
  const want = (await edit(new Tensor('int32', flat, [2, 12]))).tokens;
  t.same((await edit(flat)).tokens, want);
  t.same((await edit(lists)).tokens, want);
  for (const wrong of [flat.slice(1), [[1, 2]], [Array(12).fill(0.5)], [Array(12).fill(2 ** 32)]]) {
    t.throws(() => edit(wrong), { name: 'RangeError', message: /for tokens but received/ });
  }
  t.throws(() => edit('x' as unknown as Int32Array), { name: 'TypeError' });
});

t.test('nothing masked: nothing changes, and more steps than tokens do no harm', async (t) => {
  const known = new Int32Array(12).map((_, i) => i);
  for (const guidanceScale of [0, 2]) {
    const options = { labels: ['b'], steps: 16, guidanceScale };
    const generation = model.generate({ ...options, tokens: known });
    const { tokens, flops } = await generation.result();
    t.same(tokens.data, known);
    t.equal(flops, generation.plannedFlops);
    const whole = model.generate(options);
    t.equal((await whole.result()).flops, whole.plannedFlops);
  }
});

t.test('several generations at once', async (t) => {
  const one = await model.generate(base).result();
  const many = await Promise.all(Array.from({ length: 6 }, () => model.generate(base).result()));
  for (const result of many) t.same(result.tokens.data, one.tokens.data);
});

t.test('aborting', async (t) => {
  for (let after = 0; after <= 8; ++after) {
    const controller = new AbortController();
    let steps = 0;
    const run = async () => {
      if (after === 0) controller.abort();
      for await (const step of model.generate({ ...base, signal: controller.signal })) {
        steps = step.step + 1;
        if (steps === after) controller.abort();
      }
    };
    if (after === 8) await run();
    else await t.rejects(run(), { name: 'AbortError' }, `after ${after} steps`);
    t.equal(steps, after);
  }
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  await t.rejects(model.generate({ ...base, signal }).result(), reason);
  await t.rejects(load(fixtureFolder('post'), { signal }), reason);
});

t.test('a generation runs once', async (t) => {
  const generation = model.generate(base);
  for await (const step of generation) {
    if (step.step === 2) break;
  }
  await t.rejects(generation.result(), { code: 'ERR_ARGUMENT' });
});

t.test('wrong arguments are refused at once', async (t) => {
  const wrong = (options: object) => () => model.generate({ ...base, ...options });
  t.throws(wrong({ labels: ['z'] }), {
    name: 'RangeError',
    message: /one of a, b, c, d, e or a number below 5 for label but received "z"/,
  });
  t.throws(wrong({ labels: [5] }), { name: 'RangeError' });
  t.throws(wrong({ labels: [] }), { name: 'TypeError' });
  t.throws(wrong({ count: 0 }), { name: 'RangeError' });
  t.throws(wrong({ steps: 1.5 }), { name: 'RangeError' });
  t.throws(wrong({ guidanceScale: -1 }), { name: 'RangeError' });
  t.throws(wrong({ topK: -1 }), { name: 'RangeError' });
  t.throws(wrong({ seed: -1 }), { name: 'RangeError' });
  t.throws(wrong({ seed: 'x' }), { name: 'TypeError' });
  t.throws(wrong({ tokens: new Tensor('int32', new Int32Array(12), [1, 12]) }), {
    name: 'RangeError',
    message: /\[5,12\]/,
  });
  t.throws(wrong({ tokens: new Tensor('int32', new Int32Array(60).fill(40), [5, 12]) }), {
    name: 'RangeError',
  });
  await t.rejects(model.decode(new Tensor('int32', new Int32Array(12).fill(-1), [1, 12])), {
    code: 'ERR_ARGUMENT',
  });
  await t.rejects(model.encode(new Tensor('float32', new Float32Array(8), [1, 2, 4])), {
    name: 'RangeError',
  });
  await t.rejects(load('no-such-model'), {
    code: 'ERR_CHECKPOINT',
    message: /no-such-model.config\.json: expected a readable file/,
  });
  await t.rejects(load(fixtureFolder('post'), { device: 'tpu' as 'cpu' }), { name: 'RangeError' });
  await t.rejects(load(fixtureFolder('post'), { device: 'cuda:x' as 'cpu' }), {
    name: 'RangeError',
    message: /'auto', 'cpu', 'cuda' or 'cuda:N'/,
  });
  await t.rejects(load(fixtureFolder('post'), { device: 'cpu', dtype: 'f16' }), {
    name: 'RangeError',
    message: /'f32' or 'bf16' on the CPU/,
  });
  await t.rejects(load(fixtureFolder('post'), { device: 'cuda', dtype: 'f32' }), {
    name: 'RangeError',
    message: /'bf16' or 'f16' on a CUDA device/,
  });
  await t.rejects(load(fixtureFolder('post'), { device: 'cuda:99' }), {
    code: 'ERR_UNSUPPORTED',
    message: /cuda:99/,
  });
  await t.rejects(load(fixtureFolder('post'), { dtype: 'f64' as 'f32' }), { name: 'RangeError' });
  await t.rejects(load(fixtureFolder('post'), { threads: 0 }), { name: 'RangeError' });
  await t.rejects(load(fixtureFolder('post'), { instructionSet: 'mmx' }), {
    code: 'ERR_UNSUPPORTED',
    message: /portable/,
  });
});

t.test('tensors', async (t) => {
  const data = new Float32Array(6);
  const tensor = new Tensor('float32', data, [2, 3]);
  t.same([tensor.type, tensor.size, tensor.location], ['float32', 6, 'cpu']);
  t.equal(tensor.data, data);
  t.equal(await tensor.getData(true), data);
  t.equal(tensor.location, 'none');
  t.throws(() => tensor.data, { code: 'ERR_DISPOSED' });
  t.throws(() => new Tensor('float32', data, [7]), { name: 'RangeError' });
  t.throws(() => new Tensor('int32', data as unknown as Int32Array, [6]), { name: 'TypeError' });
  t.throws(() => new Tensor('text' as 'int32', new Int32Array(0), [0]), { name: 'RangeError' });
});

t.test('without a CUDA device there is a reason, and auto takes the CPU', async (t) => {
  const { cuda, backends } = info();
  if (cuda.devices.length > 0) return t.pass(`there is ${cuda.devices[0]!.name}`);
  const { reason } = backends.find(({ name }) => name === 'cuda')!;
  t.ok(reason, String(reason));
  await t.rejects(load(fixtureFolder('post'), { device: 'cuda' }), {
    code: 'ERR_UNSUPPORTED',
    message: `cannot open cuda:0: ${reason}`,
  });
  const model = await load(fixtureFolder('post'));
  t.match(model.backend, /^cpu\//);
  model.dispose();
});

t.test('a result is what the steps give', async (t) => {
  const model = await load(fixtureFolder('post'));
  t.teardown(() => model.dispose());
  const options = { labels: [0, 1], seed: 3 };
  let last: Tensor<'int32'> | undefined;
  let flops = 0;
  for await (const step of model.generate(options)) {
    last = step.tokens;
    flops += step.flops;
  }
  const result = await model.generate(options).result();
  t.same(result.tokens.data, last!.data);
  t.equal(result.flops, flops);
  t.equal(
    Object.values(result.parts).reduce((sum, part) => sum + part, 0),
    flops,
  );
});
