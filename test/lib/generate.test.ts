/** Generation through the public API: counts, editing, guidance, determinism, aborting. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  defaultArchitecture,
  type GeneratorConfig,
  normPlaces,
} from '../../lib/checkpoint/config.js';
import { activations } from '../../lib/checkpoint/transformer-config.js';
import {
  type GenerationStep,
  info,
  load,
  type MaskingSchedule,
  type Model,
  maskingSchedules,
  plan,
  Tensor,
} from '../../lib/index.js';
import { vocabularySize } from '../../lib/plan/vocabulary.js';
import { Generation } from '../../lib/runtime/generation.js';
import { nativeGeneratorConfig, nativeTokenizerConfig } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { generateRequest } from '../../lib/runtime/request.js';
import { GenerationResult } from '../../lib/runtime/result.js';
import { copyOf, fixtureFolder } from './fixtures.js';

const model: Model = await load(fixtureFolder('post'), { threads: 2 });
t.teardown(() => model.dispose());

const base = { labels: ['a', 3, null], count: 5, steps: 8, seed: 11 } as const;

t.test('steps, tokens and FLOPs are as planned', async (t) => {
  for (const options of [
    { guidance: 0 },
    { guidance: 2 },
    { guidance: 2, schedule: 'baseline' },
    { guidance: 1, cache: false },
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
      const planned = generation.plans[step.batch]!.steps[step.step]!;
      t.match(step, { steps: 8, batch: 0, batches: 1, width: planned.width.name });
      t.equal(step.flops, planned.flops, 'counted FLOPs equal the formula');
      t.same(step.parts, planned.parts, 'of every part, and no other part');
      t.equal(step.activeRows, planned.activeRows);
      const now = step.tokens.data;
      t.equal(now.filter((id) => id < 0).length, step.masked);
      t.ok(before?.every((id, i) => id < 0 || id === now[i]) ?? true, 'known tokens stay');
      t.ok(now.every((id) => id >= -1 && id < 40));
      before = now;
      flops += step.flops;
    }
    t.equal(flops, generation.plannedFlops);
    if (options.schedule === 'baseline') t.equal(flops, generation.baselineFlops);
    t.ok(
      before?.every((id) => id >= 0),
      'all known at the end',
    );
  }
});

t.test('a sample depends on its seed, label and number alone', async (t) => {
  const whole = await model.generate({ ...base, guidance: 1 }).result();
  t.same(whole.labels, ['a', 3, null, 'a', 3]);
  t.same(whole.pixels.dims, [5, 6, 8, 3]);
  const alone = await model
    .generate({ ...base, labels: ['a'], count: 1, firstSample: 3, guidance: 1 })
    .result();
  t.same(alone.tokens.data, whole.tokens.data.slice(3 * 12, 4 * 12));
  t.same(
    (await model.generate({ ...base, guidance: 1, seed: 11n }).result()).tokens.data,
    whole.tokens.data,
  );
  t.notSame(
    (await model.generate({ ...base, guidance: 1, seed: 12 }).result()).tokens.data,
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
    generation.plans.map((plan) => [plan.samples, plan.steps[0]?.masked, plan.steps.length]),
    [
      [2, 18, 4],
      [1, 1, 1],
    ],
    'the last sample takes a step of its own',
  );
});

t.test('the forms of tokens', async (t) => {
  const flat = new Int32Array(24).map((_, i) => (i % 3 ? -1 : i));
  const lists = [[...flat.slice(0, 12)], [...flat.slice(12)]];
  const edit = (tokens: Int32Array | number[][] | Tensor<'int32'>) =>
    model.generate({ labels: [1], steps: 4, seed: 5, tokens }).result();
  const want = (await edit(new Tensor('int32', flat, [2, 12]))).tokens;
  t.same((await edit(flat)).tokens, want);
  t.same((await edit(lists)).tokens, want);
  let deep: unknown = 0;
  for (let depth = 0; depth < 10_000; ++depth) deep = [deep];
  for (const wrong of [flat.slice(1), [[1, 2]], [Array(12).fill(0.5)], [Array(12).fill(2 ** 32)]]) {
    t.throws(() => edit(wrong), { name: 'RangeError', message: /for tokens but received/ });
  }
  for (const wrong of [Symbol('x'), 1n, '1', null, deep] as number[]) {
    const expected = { name: 'RangeError', message: /for tokens but received/ };
    t.throws(() => edit([Array(12).fill(wrong)]), expected, typeof wrong);
  }
  t.throws(() => edit('x' as unknown as Int32Array), { name: 'TypeError' });
});

t.test('nothing masked: nothing changes, and a step for each token is the most', async (t) => {
  const known = new Int32Array(12).map((_, i) => i);
  for (const guidance of [0, 2]) {
    const options = { labels: ['b'], steps: 16, guidance };
    const generation = model.generate({ ...options, tokens: known });
    const { tokens, flops } = await generation.result();
    t.same(tokens.data, known);
    t.equal(flops, 0);
    t.same(generation.plans, []);
    const whole = model.generate(options);
    const result = await whole.result();
    t.equal(result.flops, whole.plannedFlops);
    t.equal(result.plan.steps, 12);
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
  await t.rejects(generation.result(), { code: 'ERR_STATE' });
  await t.rejects(generation[Symbol.asyncIterator]().next(), { code: 'ERR_STATE' });

  const running = model.generate(base);
  const result = running.result();
  await t.rejects(running[Symbol.asyncIterator]().next(), { code: 'ERR_STATE' });
  t.equal(running.result(), result, 'the same promise');
  t.equal(running.result({ onStep: () => t.fail('nothing is left') }), result);
  await result;
});

t.test('the result after the loop, and steps beside the result', async (t) => {
  const want = await model.generate(base).result();
  const looped = model.generate(base);
  let flops = 0;
  let tokens: Tensor<'int32'> | undefined;
  for await (const step of looped) {
    flops += step.flops;
    ({ tokens } = step);
  }
  const result = await looped.result();
  t.same(result.tokens.data, want.tokens.data);
  t.same(result.tokens.data, tokens?.data);
  t.same(result.pixels.data, want.pixels.data);
  t.equal(result.flops, flops, 'nothing runs twice');
  t.same(result.parts, want.parts);

  const steps: GenerationStep[] = [];
  const observed = await model.generate(base).result({ onStep: (step) => steps.push(step) });
  t.same(observed.tokens.data, want.tokens.data);
  t.same(
    steps.map(({ step, steps: of }) => [step, of]),
    Array.from({ length: 8 }, (_, step) => [step, 8]),
  );
  t.same(steps.at(-1)?.tokens.data, want.tokens.data);
  t.equal(steps.at(-1)?.masked, 0);

  const half = model.generate(base);
  const iterator = half[Symbol.asyncIterator]();
  await iterator.next();
  await iterator.next();
  const left: number[] = [];
  const rest = await half.result({ onStep: ({ step }) => left.push(step) });
  t.same(left, [2, 3, 4, 5, 6, 7], 'what is left of a loop that has paused');
  t.same(rest.tokens.data, want.tokens.data);
  t.same(await iterator.next(), { done: true, value: undefined });

  const failure = new Error('from the callback');
  await t.rejects(
    model.generate(base).result({
      onStep: () => {
        throw failure;
      },
    }),
    failure,
  );
  await t.rejects(model.generate(base).result({ onStep: 1 as unknown as () => void }), {
    name: 'TypeError',
    message: 'Expected a function for onStep but received 1',
  });
});

t.test('what stopped a loop is what its result says', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const generation = model.generate({ ...base, signal: controller.signal });
  const iterator = generation[Symbol.asyncIterator]();
  await iterator.next();
  controller.abort(reason);
  await t.rejects(iterator.next(), reason);
  await t.rejects(generation.result(), reason);
});

t.test('a result has what it cost', async (t) => {
  const generation = model.generate({ ...base, guidance: 1 });
  const result = await generation.result();
  t.equal(result.flops, generation.plannedFlops);
  t.equal(result.baselineFlops, generation.baselineFlops);
  t.equal(result.flopsRatio, result.baselineFlops / result.flops);
  t.same(result.plan, { schedule: '1/8x2,1/4x2,1/2x2,1x2', steps: 8 });
  t.same(Object.keys(result.parts), ['projections', 'attention', 'mlp', 'lmHead']);
  t.ok(result.tokenizerFlops > 0 && result.seconds > 0);
  const one = await model.generate({ ...base, count: 1 }).result();
  t.equal(result.tokenizerFlops, 5 * one.tokenizerFlops);
});

t.test('a seed is drawn anew where there is none', async (t) => {
  const draw = () => model.generate({ labels: ['a'], count: 8 });
  const [one, other] = [draw(), draw()];
  t.ok(Number.isSafeInteger(one.seed) && Number.isSafeInteger(other.seed));
  t.not(one.seed, other.seed);
  const result = await one.result();
  t.equal(result.seed, one.seed);
  t.notSame((await other.result()).tokens.data, result.tokens.data);
  const again = await model.generate({ labels: ['a'], count: 8, seed: result.seed }).result();
  t.same(again.tokens.data, result.tokens.data);
  t.equal(model.generate({ seed: 2n ** 64n - 1n }).seed, 2n ** 64n - 1n);
});

t.test('batches: a sample depends neither on their size nor on the others in them', async (t) => {
  const options = { ...base, guidance: 1 };
  const whole = await model.generate(options).result();
  for (const batchSize of [1, 2, 4, 5, 100]) {
    const generation = model.generate({ ...options, batchSize });
    t.same(
      generation.plans.map(({ samples }) => samples),
      Array.from({ length: Math.ceil(5 / batchSize) }, (_, i) =>
        Math.min(batchSize, 5 - i * batchSize),
      ),
    );
    const seen: number[][] = [];
    const result = await generation.result({
      onStep({ step, batch, batches, masked, tokens }) {
        seen.push([batch, step]);
        t.equal(batches, generation.plans.length);
        t.equal(tokens.data.filter((token) => token < 0).length, masked);
        t.equal(
          tokens.data.slice((batch + 1) * batchSize * 12).filter((token) => token >= 0).length,
          0,
          'batches that have not begun are masked',
        );
      },
    });
    t.same(
      seen,
      generation.plans.flatMap((_, batch) => Array.from({ length: 8 }, (_, i) => [batch, i])),
      'one batch after the other',
    );
    t.same(result.tokens.data, whole.tokens.data);
    t.same(result.pixels.data, whole.pixels.data);
    t.equal(result.flops, whole.flops);
    t.equal(result.baselineFlops, whole.baselineFlops);
  }
  t.same(
    model.generate({ ...options, count: 300 }).plans.map(({ samples }) => samples),
    [100, 100, 100],
    '1200 tokens fill the CPU',
  );
});

t.test('editing: a sample does not depend on the others', async (t) => {
  // Of four samples 12, 5, 0 and 1 positions are masked: fewer than the 8 steps in three.
  const given = new Int32Array(48).map((_, i) => {
    const [sample, position] = [Math.floor(i / 12), i % 12];
    return position < [12, 5, 0, 1][sample]! ? -1 : position;
  });
  const options = { labels: ['b'], steps: 8, seed: 6, guidance: 1 };
  const together = await model.generate({ ...options, tokens: given }).result();
  for (let sample = 0; sample < 4; ++sample) {
    const tokens = given.slice(sample * 12, (sample + 1) * 12);
    const alone = model.generate({ ...options, tokens, firstSample: sample });
    t.equal(alone.plans[0]?.steps.length ?? 0, [8, 5, 0, 1][sample]);
    t.same(
      (await alone.result()).tokens.data,
      together.tokens.data.slice(sample * 12, (sample + 1) * 12),
    );
  }
  t.equal(together.plan.steps, 8);
});

t.test('tokenize and detokenize take any number of samples', async (t) => {
  // More than the 167 that fill the CPU.
  const data = Int32Array.from({ length: 400 * 12 }, (_, i) => (i * 7) % 40);
  const pixels = await model.detokenize(new Tensor('int32', data, [400, 12]));
  t.same(pixels.dims, [400, 6, 8, 3]);
  const tokens = await model.tokenize(pixels);
  t.same(tokens.dims, [400, 12]);
  for (const sample of [0, 166, 167, 333, 334, 399]) {
    const own = data.slice(sample * 12, (sample + 1) * 12);
    const alone = await model.detokenize(new Tensor('int32', own, [1, 12]));
    t.same(alone.data, pixels.data.slice(sample * 144, (sample + 1) * 144));
    const again = await model.tokenize(alone);
    t.same(again.data, tokens.data.slice(sample * 12, (sample + 1) * 12));
  }
});

t.test('a model without a tokenizer has no pixels', async (t) => {
  const { folder } = copyOf('post', t);
  rmSync(join(folder, 'tokenizer'), { recursive: true });
  const bare = await load(folder);
  t.teardown(() => bare.dispose());
  const result = await bare.generate(base).result();
  t.same(result.tokens.data, (await model.generate(base).result()).tokens.data);
  t.equal(result.tokenizerFlops, 0);
  const unsupported = { code: 'ERR_UNSUPPORTED', message: /has no tokenizer beside it/ };
  t.throws(() => result.pixels, unsupported);
  await t.rejects(bare.detokenize(result.tokens), unsupported);
});

t.test('a result without pixels costs none, and says so', async (t) => {
  const whole = await model.generate(base).result();
  const result = await model.generate(base).result({ pixels: false });
  t.same(result.tokens.data, whole.tokens.data);
  t.equal(result.tokenizerFlops, 0);
  t.throws(() => result.pixels, { code: 'ERR_STATE', message: /asked for without pixels/ });
  t.same((await model.detokenize(result.tokens)).data, whole.pixels.data);
  const wrong = { pixels: 1 } as unknown as { pixels: boolean };
  await t.rejects(model.generate(base).result(wrong), { name: 'TypeError' });
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
  t.throws(wrong({ guidance: -1 }), { name: 'RangeError' });
  t.throws(wrong({ topK: -1 }), { name: 'RangeError' });
  t.throws(wrong({ seed: -1 }), { name: 'RangeError' });
  t.throws(wrong({ seed: 'x' }), { name: 'TypeError' });
  t.throws(wrong({ seed: 2n ** 64n }), { name: 'RangeError' });
  t.throws(wrong({ batchSize: 0 }), { name: 'RangeError' });
  t.throws(wrong({ batchSize: '4' }), { name: 'TypeError' });
  t.throws(wrong({ count: 2 ** 16 + 1 }), {
    name: 'RangeError',
    message: /1 \.\. 65536 for count/,
  });
  t.throws(wrong({ signal: {} }), { name: 'TypeError', message: /an AbortSignal for signal/ });
  t.throws(wrong({ labels: 'a' }), { name: 'TypeError' });
  t.throws(wrong({ labels: [{}] }), { name: 'TypeError' });
  t.throws(wrong({ schedule: 'full' }), { name: 'RangeError', message: /'baseline'/ });
  t.throws(wrong({ guidanceScale: 1 }), {
    name: 'TypeError',
    message: /^Expected options among labels, .*guidance, .*tokens but received "guidanceScale"$/,
  });
  t.throws(() => model.generate(7 as unknown as object), {
    name: 'TypeError',
    message: 'Expected an object for options but received 7',
  });
  t.throws(wrong({ tokens: new Tensor('int32', new Int32Array(12), [1, 12]) }), {
    name: 'RangeError',
    message: /\[5,12\]/,
  });
  t.throws(wrong({ tokens: new Tensor('int32', new Int32Array(60).fill(40), [5, 12]) }), {
    name: 'RangeError',
  });
});

t.test('wrong arguments of tokenize, detokenize and forward', async (t) => {
  const tokens = (fill: number) => new Tensor('int32', new Int32Array(12).fill(fill), [1, 12]);
  for (const wrong of [-1, 40]) {
    await t.rejects(model.detokenize(tokens(wrong)), {
      name: 'RangeError',
      message: `Expected tokens of 0 .. 39 for tokens but received ${wrong}`,
    });
  }
  const noTensors: unknown[] = [undefined, null, 3, new Int32Array(12), { dims: [1, 12] }];
  for (const wrong of noTensors) {
    const expected = { name: 'TypeError', message: /^Expected an? .* tensor .* but received / };
    await t.rejects(model.detokenize(wrong as Tensor<'int32'>), expected);
    await t.rejects(model.tokenize(wrong as Tensor<'float32'>), expected);
    await t.rejects(model.forward({ tokens: wrong as Tensor<'int32'>, labels: ['a'] }), expected);
  }
  await t.rejects(model.tokenize(new Tensor('float32', new Float32Array(8), [1, 2, 4])), {
    name: 'RangeError',
  });
  const right = { tokens: tokens(-1), labels: ['a'] };
  t.same((await model.forward(right)).dims, [1, 12, 47]);
  await t.rejects(model.forward({ ...right, labels: [] }), { name: 'TypeError' });
  await t.rejects(model.forward({ ...right, width: '1/3' }), { name: 'RangeError' });
  await t.rejects(model.forward({ ...right, width: {} as string }), { name: 'TypeError' });
  await t.rejects(model.forward({ ...right, heads: 1 } as typeof right), {
    name: 'TypeError',
    message: 'Expected options among tokens, labels, width but received "heads"',
  });
  await t.rejects(model.forward({ ...right, tokens: tokens(40) }), { name: 'RangeError' });
  const none = new Tensor('int32', new Int32Array(0), [0, 12]);
  t.same((await model.detokenize(none)).dims, [0, 6, 8, 3]);
});

t.test('values in messages', async (t) => {
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  const message = (labels: unknown) => {
    try {
      model.generate({ labels: labels as string[] });
    } catch (error) {
      return (error as Error).message.replace(/^.* but received /, '');
    }
    return '';
  };
  t.equal(message({ a: 1n }), '{"a":"1n"}');
  t.equal(message([[1n, 2]]), '["1n",2]');
  t.equal(message([cyclic]), '[object Array]');
  t.equal(message(new Map()), '{}');
  t.equal(message([Symbol('x')]), 'Symbol(x)');
  t.equal(
    message({
      toJSON() {
        throw new Error('never seen');
      },
    }),
    '[object Object]',
  );
  t.equal(message(['x'.repeat(200)]), `"${'x'.repeat(76)}...`);
  t.equal(message([Array(200).fill(1)]).length, 80);
  // As many values as would take for ever, were they all looked at.
  let lists: unknown = 1;
  for (let depth = 0; depth < 8; ++depth) lists = Array(80).fill(lists);
  t.match(message(lists), /^\[{7}1,1,1/);
  t.match(message({ a: lists }), /^{"a":\[{8}1,1,1/);
  t.equal(
    message({ a: Buffer.alloc(3), b: [new Float32Array(3)] }),
    '{"a":"Uint8Array","b":["Float32Array"]}',
  );
  const holding: Record<string, unknown> = { a: 1 };
  holding.self = { holding };
  t.equal(message(holding), '[object Object]');
});

t.test('load() checks its arguments before any file is read', async (t) => {
  const refused = (options: object, expected: object) =>
    t.rejects(load('no-such-model', options), expected as Error, JSON.stringify(options));
  await refused({}, { code: 'ERR_CHECKPOINT', message: /expected a readable file/ });
  await refused({ device: 'tpu' }, { name: 'RangeError' });
  await refused({ device: 7 }, { name: 'TypeError' });
  await refused(
    { device: 'cuda:x' },
    { name: 'RangeError', message: /'auto', 'cpu', 'cuda' or 'cuda:N'/ },
  );
  await refused(
    { device: 'cpu', weights: 'f16' },
    {
      name: 'RangeError',
      message: /^Expected 'auto', 'f32', 'bf16' or 'int8' on the CPU for weights but/,
    },
  );
  await refused(
    { device: 'cpu', compute: 'bf16' },
    { name: 'RangeError', message: /^Expected 'auto' or 'f32' on the CPU for compute but/ },
  );
  await refused(
    { device: 'cuda', compute: 'f32' },
    { name: 'RangeError', message: /'auto', 'bf16' or 'f16' on a CUDA device for compute/ },
  );
  await refused(
    { device: 'cuda', compute: 'f16', weights: 'bf16' },
    { name: 'RangeError', message: /'auto' or 'f16' on a CUDA device, the same as compute, for/ },
  );
  await refused(
    { device: 'cuda', weights: 'int8' },
    {
      code: 'ERR_UNSUPPORTED',
      message:
        "Expected 'auto' or 'bf16' on a CUDA device, the same as compute, for weights but received int8",
    },
  );
  await refused(
    { compute: 'int8' },
    { name: 'RangeError', message: /one of auto, f32, bf16, f16 for/ },
  );
  await refused(
    { weights: 'f64' },
    { name: 'RangeError', message: /one of auto, f32, bf16, f16, int8 for/ },
  );
  await refused({ compute: 8 }, { name: 'TypeError' });
  await refused({ threads: 0 }, { name: 'RangeError' });
  await refused({ threads: '2' }, { name: 'TypeError' });
  await refused({ instructionSet: 7 }, { name: 'TypeError' });
  await refused({ instructionSet: 'mmx' }, { code: 'ERR_UNSUPPORTED', message: /portable/ });
  await refused({ signal: 'x' }, { name: 'TypeError' });
  await refused({ onProgress: 'x' }, { name: 'TypeError' });
  await refused({ dtype: 'f32' }, { name: 'TypeError', message: /but received "dtype"$/ });
  await t.rejects(load(7 as unknown as string), { name: 'TypeError' });
  await t.rejects(load('no-such-model', null as unknown as object), { name: 'TypeError' });
});

t.test('every kind of block goes through the native module', async (t) => {
  const device = native().openCpu(2, '');
  t.teardown(() => device.dispose());
  for (const activation of activations) {
    for (const normPlace of normPlaces) {
      for (const format of ['f32', 'bf16', 'int8'] as const) {
        const config = { ...nativeGeneratorConfig(model.config), activation, normPlace };
        const generator = await device.loadGenerator(config, { seed: 1 }, format);
        const ids = new Int32Array(12).fill(46);
        const { logits } = await generator.forward(ids, Int32Array.of(45), 8, 80);
        t.ok(logits.length === 12 * 47 && logits.every(Number.isFinite));
        generator.dispose();
        const names = native()
          .generatorTensors(config)
          .map(({ name }) => name);
        t.equal(names.includes('norm.weight'), normPlace === 'pre');
      }
    }
    const config = { ...nativeTokenizerConfig(model.tokenizerConfig!), activation };
    const tokenizer = await device.loadTokenizer(config, { seed: 1 }, 'f32');
    const { pixels, flops } = await tokenizer.detokenize(new Int32Array(12), 1);
    t.ok(pixels.length === 6 * 8 * 3 && flops > 0);
    tokenizer.dispose();
  }
  const wrong = { ...nativeGeneratorConfig(model.config), activation: 'relu' as 'gelu' };
  t.throws(() => native().generatorTensors(wrong), { name: 'MagnetsError', code: 'ERR_INTERNAL' });
});

t.test('every architecture: tensors, steps, tokens and FLOPs', async (t) => {
  const device = native().openCpu(2, '');
  t.teardown(() => device.dispose());
  const usual = { ...model.config, normPlace: 'pre' } as const;
  const variants: [Partial<GeneratorConfig>, has: string[], hasNot: string[]][] = [
    [
      { normKind: 'rms_norm' },
      ['layers.0.mlp.norm.weight', 'norm.bias'],
      ['layers.0.mlp.norm.bias'],
    ],
    [{ mlpGate: 'multiply' }, ['layers.0.mlp.gate.weight', 'layers.0.mlp.gate.bias'], []],
    [{ qkNorm: 'rms' }, [], []],
    [{ biases: false }, ['head.dense.bias'], ['layers.0.attention.query.bias']],
    [{ embeddingNorm: false }, [], ['embeddings.norm.weight']],
    [{ head: 'plain' }, ['head.bias'], ['head.dense.weight', 'head.norm.weight']],
    [{ tied: false }, ['head.output.weight'], []],
    [{ nullClass: false }, [], ['embeddings.class.weight']],
    [
      { modulation: 'class' },
      ['embeddings.class.weight', 'layers.0.modulation.weight', 'modulation.bias', 'norm.weight'],
      [],
    ],
    [{ modulation: 'class', nullClass: false, normKind: 'rms_norm', mlpGate: 'multiply' }, [], []],
  ];
  for (const [variant, has, hasNot] of variants) {
    const merged = { ...usual, ...variant };
    const config = { ...merged, vocabSize: vocabularySize(merged) };
    const what = JSON.stringify(variant);
    const names = native()
      .generatorTensors(nativeGeneratorConfig(config))
      .map(({ name }) => name);
    for (const name of has) t.ok(names.includes(name), `${what}: ${name}`);
    for (const name of hasNot) t.notOk(names.includes(name), `${what}: no ${name}`);

    const generator = await device.loadGenerator(nativeGeneratorConfig(config), { seed: 1 }, 'f32');
    const options = { labels: ['a', 3], count: 3, steps: 6, seed: 1 } as const;
    const guided = { ...options, guidance: config.nullClass ? 1 : 0 };
    const generation = new Generation(
      { config, generator, tokenizer: undefined },
      generateRequest(config, guided, 2), // two batches, the second with other classes
      (outcome) => new GenerationResult(outcome),
    );
    const { tokens, flops } = await generation.result();
    t.ok(
      tokens.data.every((token) => token >= 0 && token < 40),
      what,
    );
    t.equal(flops, generation.plannedFlops, what);
    generator.dispose();
  }
  t.same(
    Object.keys(defaultArchitecture).filter((key) => !variants.some(([variant]) => key in variant)),
    [],
    'nothing is left out',
  );

  const without = { ...model.config, nullClass: false, vocabSize: 46 };
  t.throws(() => generateRequest(without, { labels: ['a'], guidance: 1 }, 1), {
    name: 'RangeError',
    message: /^Expected 0 \(post has no null class, .*\) for guidance but received 1$/,
  });
  t.throws(() => generateRequest(without, {}, 1), {
    name: 'RangeError',
    message: /^Expected a class \(this model has no null class\) for label but received null$/,
  });
});

t.test('native errors are MagnetsErrors, whoever called', async (t) => {
  const device = native().openCpu(1, '');
  const config = nativeGeneratorConfig(model.config);
  const generator = await device.loadGenerator(config, { seed: 1 }, 'f32');
  const disposed = { name: 'MagnetsError', code: 'ERR_DISPOSED' };
  await t.rejects(
    async () => device.loadGenerator(config, { seed: 1 }, 'f64' as 'f32'),
    { name: 'MagnetsError', code: 'ERR_INTERNAL' },
    'an error without a code of ours is a fault of this package',
  );
  const session = await generator.openSession({
    ids: new Int32Array(12).fill(46),
    masked: new Uint8Array(12).fill(1),
    turns: new Int32Array(),
    classIds: Int32Array.of(45),
    nullClassId: -1,
    sampleNumbers: Int32Array.of(0),
    seeds: new BigUint64Array(1),
  });
  const [step] = plan({ model: model.config, steps: 4 }).steps;
  const options = {
    ...step!,
    ...step!.width,
    maskedAfter: Int32Array.from(step!.maskedAfter),
    abandoned: new Int32Array(),
    allLogits: false,
    confidence: 'log-probability' as const,
    topK: 0,
    read: true,
  };
  for (const wrong of [{ activeRows: 12 }, { logitsRows: 13 }]) {
    await t.rejects(
      session.step({ ...options, ...wrong }),
      { name: 'MagnetsError', code: 'ERR_INTERNAL' },
      'rows that are not those of the plan',
    );
  }
  const before = Array.from({ length: 10 }, () => device.measurePeak()); // 0.3 s
  const waiting = session.step(options);
  session.dispose();
  await t.rejects(waiting, disposed, 'a step that has not begun');
  await Promise.all(before);
  generator.dispose();
  device.dispose();
  await t.rejects(async () => generator.forward(new Int32Array(12), new Int32Array(1), 8, 80), {
    ...disposed,
  });
  await t.rejects(async () => device.loadGenerator(config, { seed: 1 }, 'f32'), disposed);
  t.throws(() => device.backend, disposed, 'properties too');
});

t.test('every value of every option that the native module is given', async (t) => {
  const devices = ['cuda:99', 'cuda:100'] as const;
  for (const device of devices) {
    for (const compute of ['auto', 'bf16', 'f16'] as const) {
      for (const weights of compute === 'auto'
        ? (['auto'] as const)
        : (['auto', compute] as const)) {
        await t.rejects(
          load('fashion', { device, compute, weights }),
          { name: 'MagnetsError', code: 'ERR_UNSUPPORTED', message: new RegExp(device) },
          `${device}, compute ${compute}, weights ${weights}`,
        );
      }
    }
  }
  for (const device of ['auto', 'cpu'] as const) {
    for (const compute of ['auto', 'f32'] as const) {
      for (const weights of ['auto', 'f32', 'bf16', 'int8'] as const) {
        const model = await load(fixtureFolder('post'), { device, compute, weights });
        if (model.backend.startsWith('cpu')) {
          t.equal(model.compute, 'f32');
          t.equal(model.weights, weights === 'auto' ? 'f32' : weights);
        }
        t.same((await model.generate({ ...base, count: 1 }).result()).tokens.dims, [1, 12]);
        model.dispose();
      }
    }
  }
  for (const maskingSchedule of Object.keys(maskingSchedules) as MaskingSchedule[]) {
    const generation = model.generate({ ...base, maskingSchedule });
    t.equal((await generation.result()).flops, generation.plannedFlops, maskingSchedule);
  }
  for (const schedule of ['paper', 'baseline'] as const) {
    for (const cache of [undefined, true, false]) {
      const generation = model.generate({ ...base, schedule, cache });
      const { flops } = await generation.result();
      t.equal(flops, generation.plannedFlops, `${schedule}, cache ${cache}`);
    }
  }
  for (const topK of [0, 1, 40, 2 ** 31 - 1]) {
    const { tokens } = await model.generate({ ...base, topK }).result();
    t.ok(
      tokens.data.every((token) => token >= 0 && token < 40),
      `topK ${topK}`,
    );
  }
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
