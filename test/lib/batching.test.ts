/** Requests that share batches: the same results as alone, fairness, limits, aborts, failures and several devices. */

import t, { type Test } from 'tap';
import { type GenerateOptions, load, MagnetsError, type Model, Tensor } from '../../lib/index.js';
import { wrapped } from '../../lib/runtime/around.js';
import { Batcher, readBatching } from '../../lib/runtime/batching.js';
import { Detokenizing } from '../../lib/runtime/detokenizing.js';
import { Generation, type GenerationContext } from '../../lib/runtime/generation.js';
import { nativeGeneratorConfig } from '../../lib/runtime/listing.js';
import { Counters } from '../../lib/runtime/metrics.js';
import type {
  NativeGenerator,
  NativeSession,
  NativeSessionOptions,
  NativeTokenizer,
} from '../../lib/runtime/native.js';
import { native } from '../../lib/runtime/native.js';
import { generateRequest } from '../../lib/runtime/request.js';
import { GenerationResult } from '../../lib/runtime/result.js';
import { spreadGenerator, spreadTokenizer } from '../../lib/runtime/spread.js';
import { fixtureFolder } from './fixtures.js';

const folder = fixtureFolder('post');
const alone = await load(folder, { threads: 1, batching: false });
t.teardown(() => alone.dispose());

const base = { steps: 8, seed: 11 } as const;

/** A model of its own, so that its metrics are those of one test. */
async function modelOf(t: Test, options: Parameters<typeof load>[1] = {}): Promise<Model> {
  const model = await load(folder, { threads: 1, ...options });
  t.teardown(() => model.dispose());
  return model;
}

/** Requests that begin to wait in the same turn of the event loop. */
const together = (model: Model, requests: readonly GenerateOptions[]) =>
  Promise.all(requests.map((options) => model.generate(options).result()));

/** Tokens of a sample with these positions masked. */
function edited(masked: readonly number[], samples = 1): Int32Array {
  const tokens = Int32Array.from({ length: 12 * samples }, (_, i) => (7 * i) % 40);
  for (let sample = 0; sample < samples; ++sample) {
    for (const position of masked) tokens[12 * sample + position] = -1;
  }
  return tokens;
}

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

t.test('results are those of running alone, bit by bit', async (t) => {
  const all = Array.from({ length: 12 }, (_, i) => i);
  const requests: GenerateOptions[] = [
    { ...base, labels: ['a'], seed: 1 },
    { ...base, labels: [3, null], count: 5, seed: 2n ** 63n },
    { ...base, labels: ['a'], seed: 1, firstSample: 4 },
    { ...base, labels: [2], tokens: edited(all.slice(2)), seed: 3 },
    { ...base, labels: [1], tokens: edited(all.slice(4), 2), seed: 4 },
    { ...base, labels: [1], tokens: edited([3, 5, 6]), seed: 4 }, // fewer steps
    { ...base, labels: [null], tokens: edited([]), seed: 4 }, // none
    { ...base, labels: ['a'], guidance: 2, seed: 5 },
    { ...base, labels: [3], count: 3, guidance: 2, seed: 6 },
    { ...base, labels: ['a'], guidance: 1, seed: 5 },
    { ...base, labels: ['a'], order: 'halton', seed: 7 },
    { ...base, labels: ['a'], order: 'halton-rolled', count: 2, seed: 8 },
    { ...base, labels: ['a'], tokens: edited(all.slice(3)), order: 'halton', seed: 9 },
    { ...base, labels: ['a'], schedule: 'baseline', seed: 1 },
    { ...base, labels: ['a'], temperature: 0.5, seed: 1 },
    { ...base, labels: ['a'], topK: 3, seed: 1 },
    { ...base, labels: ['a'], confidence: 'logit', seed: 1 },
    { ...base, labels: ['a'], cache: false, seed: 1 },
    { ...base, labels: ['a'], refresh: 3, seed: 1 },
    { ...base, labels: ['a'], maskingSchedule: 'linear', seed: 1 },
  ];
  const model = await modelOf(t);
  const seen: number[][] = requests.map(() => []);
  const results = await Promise.all(
    requests.map((options, i) =>
      model.generate(options).result({ onStep: ({ masked }) => seen[i]!.push(masked) }),
    ),
  );
  for (const [i, options] of requests.entries()) {
    const { tokens, pixels, flops, parts, plan } = results[i]!;
    const expected: number[] = [];
    const own = await alone
      .generate(options)
      .result({ onStep: ({ masked }) => expected.push(masked) });
    const what = `request ${i}`;
    t.same(tokens.data, own.tokens.data, what);
    t.same(pixels.data, own.pixels.data, `${what}: pixels`);
    t.same([flops, parts, plan], [own.flops, own.parts, own.plan], `${what}: FLOPs`);
    t.same(seen[i], expected, `${what}: its steps`);
  }
  const metrics = model.metrics();
  // Eleven kinds of steps: another masking schedule keeps nobody out, for counts are each sample's own.
  t.same(metrics.batches, { 11: 1, 1: 8, 4: 2 });
  t.equal(metrics.flops, sum(results.map(({ flops }) => flops)), 'what was launched');
  t.match(metrics.requests, { done: requests.length, queued: 0, running: 0, failed: 0 });
  t.equal(metrics.samples, sum(results.map(({ labels }) => labels.length)));
});

t.test('how much shares a batch', async (t) => {
  const one = (i: number) => ({ ...base, labels: ['a'], seed: i });
  const eight = Array.from({ length: 8 }, (_, i) => one(i));
  const small = await modelOf(t, { batching: { maxBatch: 3 } });
  await together(small, eight);
  t.same(small.metrics().batches, { 3: 2, 2: 1 });
  await together(small, [{ ...one(1), count: 2 }, { ...one(2), count: 2 }, one(3)]);
  t.same(small.metrics().batches, { 3: 3, 2: 2 }, 'who fits passes by who does not');
  await small.generate({ ...one(1), count: 5, batchSize: 5 }).result();
  t.same(small.metrics().batches, { 3: 3, 2: 2, 5: 1 }, 'a batch of its own');

  const usual = await modelOf(t);
  await together(usual, eight);
  t.same(usual.metrics().batches, { 8: 1 });

  const none = await modelOf(t, { batching: false });
  await together(none, eight);
  t.same(none.metrics().batches, { 1: 8 });
});

t.test('waiting for company', async (t) => {
  const model = await modelOf(t, { batching: { maxBatch: 4, maxWaitMs: 60_000 } });
  const pair = { ...base, labels: ['a'], count: 2 };
  const first = model.generate(pair).result();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.match(model.metrics().requests, { queued: 1, running: 0 }, 'it is not full');
  await Promise.all([first, model.generate(pair).result()]);
  t.same(model.metrics().batches, { 4: 1 }, 'it is full before a minute has gone');
  t.ok(model.metrics().seconds.queued >= 0.015);

  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const leaving = new AbortController();
  const left = model.generate({ ...pair, signal: leaving.signal }).result();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(timers(), before + 1);
  leaving.abort();
  await t.rejects(left, { name: 'AbortError' });
  t.equal(timers(), before, 'where nobody waits no timer keeps the process alive');

  const impatient = await modelOf(t, { batching: { maxBatch: 4, maxWaitMs: 30 } });
  const started = performance.now();
  await impatient.generate(pair).result();
  t.ok(performance.now() - started >= 29, 'nobody came');
  t.same(impatient.metrics().batches, { 2: 1 });
});

t.test('many batches let others in between', async (t) => {
  const model = await modelOf(t, { batching: { maxBatch: 2 } });
  let small: Promise<unknown> | undefined;
  const onStep = ({ batch }: { batch: number }) => {
    small ??= model
      .generate({ ...base, labels: [1] })
      .result({ pixels: false, onStep: () => seen.push(latest) });
    latest = batch;
  };
  let latest = 0;
  const seen: number[] = [];
  const large = { ...base, labels: ['a'], count: 20, batchSize: 2 };
  const result = await model.generate(large).result({ onStep });
  await small;
  t.same(seen, Array(8).fill(0), 'after the batch that ran, and before the next');
  t.same(result.tokens.data, (await alone.generate(large).result()).tokens.data);
});

t.test('more than may wait', async (t) => {
  const model = await modelOf(t, { batching: { maxQueued: 2 } });
  const results = await Promise.allSettled(
    [1, 2, 3].map((seed) => model.generate({ ...base, seed, count: 100 }).result()),
  );
  t.match(results, [
    { status: 'fulfilled' },
    { status: 'fulfilled' },
    {
      status: 'rejected',
      reason: { code: 'ERR_BUSY', message: /^2 requests are waiting already/ },
    },
  ]);
  t.match(model.metrics().requests, { done: 2, refused: 1, failed: 0, queued: 0 });
  await model.generate(base).result();
  t.match(model.metrics().requests, { done: 3 });
});

t.test('who leaves a batch', async (t) => {
  const one = { ...base, schedule: '1/8x2,1/4x2,1/2x2,1x2', labels: ['a'], count: 2, seed: 1 };
  const two = { ...one, labels: [3], count: 3, seed: 2 };
  const flops = (options: GenerateOptions, first: number, end: number) =>
    sum(
      alone
        .generate(options)
        .plans[0]!.steps.slice(first, end)
        .map((step) => step.flops),
    );
  // Before a refresh, in the middle of a width, at the last step, and where there is no refresh but the first.
  for (const [after, own] of [
    [1, {}],
    [2, {}],
    [6, {}],
    [2, { schedule: '1x8' }],
    [2, { schedule: '1x8', guidance: 1.5, order: 'halton', seed: 5 }],
    [2, { schedule: '1x8', cache: false }],
  ] as const) {
    const model = await modelOf(t);
    const controller = new AbortController();
    let steps = 0;
    const onStep = ({ step }: { step: number }) => {
      ++steps;
      if (step === after) controller.abort(new Error('enough'));
    };
    const [leaver, stayer] = [
      { ...one, ...own },
      { ...two, ...own },
    ];
    const before = model.generate(stayer).result(); // on both sides of it
    const leaving = model.generate({ ...leaver, signal: controller.signal }).result({ onStep });
    const behind = model.generate(stayer).result();
    await t.rejects(leaving, { message: 'enough' });
    const expected = (await alone.generate(stayer).result()).tokens.data;
    for (const result of [await before, await behind]) {
      t.same(result.tokens.data, expected, `after step ${after}`);
      t.equal(result.flops, flops(stayer, 0, 8), 'the others pay for their own');
    }
    t.equal(steps, after + 1, 'it hears of no further step');
    const metrics = model.metrics();
    const all = flops(leaver, 0, after + 1) + 2 * flops(stayer, 0, 8);
    t.equal(metrics.flops, all, 'nor is it computed');
    t.match(metrics.requests, { aborted: 1, done: 2, failed: 0 });
    t.same(metrics.batches, { 8: 1 });
  }

  // Nobody looks, so tokens are read from the next step on: where that is a refresh it computes all once more.
  for (const [during, without] of [
    [2, 3],
    [3, 5],
  ] as const) {
    const controller = new AbortController();
    const context = await failing(t, (_, step) => {
      if (step === during) controller.abort(new Error('enough'));
      return undefined;
    });
    const [first, second] = [
      { ...one, labels: [1] },
      { ...two, labels: [1] },
    ];
    const leaving = context.shared({ ...first, signal: controller.signal }).result();
    const staying = context.shared(second).result();
    await t.rejects(leaving, { message: 'enough' });
    const { tokens } = await staying;
    t.same(tokens.data, (await context.alone(second).result()).tokens.data, `in step ${during}`);
    t.equal(context.counters.read().flops, flops(one, 0, without) + flops(two, 0, 8));
  }

  t.test('all of them', async (t) => {
    const model = await modelOf(t);
    const controller = new AbortController();
    const { signal } = controller;
    const onStep = () => controller.abort();
    const results = await Promise.allSettled([
      model.generate({ ...one, signal }).result({ onStep }),
      model.generate({ ...two, signal }).result(),
    ]);
    t.match(results, [{ reason: { name: 'AbortError' } }, { reason: { name: 'AbortError' } }]);
    await model.generate(one).result();
    t.equal(sum(Object.values(model.metrics().steps)), 9, 'one step of the first batch ran');
  });

  t.test('while it waits', async (t) => {
    const model = await modelOf(t, { batching: { maxBatch: 2, maxQueued: 2 } });
    const controller = new AbortController();
    const running = model.generate(one).result();
    const waiting = model.generate({ ...one, signal: controller.signal }).result();
    controller.abort(new Error('gone'));
    await t.rejects(waiting, { message: 'gone' });
    t.match(model.metrics().requests, { aborted: 1 });
    await running;
    const aborted = AbortSignal.abort(new Error('before'));
    await t.rejects(model.generate({ ...one, signal: aborted }).result(), { message: 'before' });
    t.same(model.metrics().batches, { 2: 1 });
  });

  t.test('with an error of its own', async (t) => {
    const model = await modelOf(t);
    const onStep = () => {
      throw new Error('mine');
    };
    const results = await Promise.allSettled([
      model.generate(one).result({ onStep }),
      model.generate(two).result(),
    ]);
    t.match(results, [{ reason: { message: 'mine' } }, { status: 'fulfilled' }]);
    const expected = (await alone.generate(two).result()).tokens.data;
    t.same((results[1] as PromiseFulfilledResult<GenerationResult>).value.tokens.data, expected);
  });
});

t.test('who reads step by step keeps nobody waiting', async (t) => {
  const model = await modelOf(t);
  const options = { ...base, labels: ['a'], seed: 3 };
  const slow = model.generate(options);
  const steps = slow[Symbol.asyncIterator]();
  await steps.next();
  const { tokens } = await model.generate({ ...options, seed: 4 }).result();
  t.equal(tokens.size, 12);
  t.match(model.metrics().requests, { running: 1, done: 1 });
  for await (const _ of { [Symbol.asyncIterator]: () => steps });
  t.same((await slow.result()).tokens.data, (await alone.generate(options).result()).tokens.data);
  t.match(model.metrics().requests, { running: 0, done: 2 });

  for await (const _ of model.generate(options)) break;
  t.match(model.metrics().requests, { running: 0, done: 2, aborted: 1 });
  const other = model.generate(options);
  const result = other.result();
  await t.rejects(other[Symbol.asyncIterator]().next(), { code: 'ERR_STATE' });
  await result;
});

t.test('disposing ends what runs and what waits', async (t) => {
  const model = await modelOf(t, { batching: { maxBatch: 2 } });
  const large = { ...base, labels: ['a'], count: 20, batchSize: 2 };
  const running = model.generate(large).result({ onStep: () => model.dispose() });
  const waiting = model.generate({ ...base, steps: 7 }).result();
  await t.rejects(running, { code: 'ERR_DISPOSED' });
  await t.rejects(waiting, { code: 'ERR_DISPOSED' });
  t.match(model.metrics().requests, { failed: 2, queued: 0, running: 0 });
});

/** A generator that fails where `fails` says so, and requests to it. */
async function failing(
  t: Test,
  fails: (session: NativeSessionOptions, step: number) => MagnetsError | undefined,
) {
  const device = native().openCpu(1, '');
  const config = { ...alone.config, classLabels: [] };
  const real = await device.loadGenerator(nativeGeneratorConfig(config), { seed: 1 }, 'f32');
  t.teardown(() => {
    real.dispose();
    device.dispose();
  });
  let [asked, mostAsked] = [0, 0];
  const openSession: NativeGenerator['openSession'] = async (options) => {
    const error = fails(options, -1);
    if (error) throw error;
    const session = await real.openSession(options);
    const step: NativeSession['step'] = async (stepOptions) => {
      const failure = fails(options, stepOptions.step);
      if (failure) throw failure;
      mostAsked = Math.max(mostAsked, ++asked);
      return session.step(stepOptions).finally(() => --asked);
    };
    return wrapped(session, { step });
  };
  const generator = wrapped(real, { openSession });
  const counters = new Counters();
  const own: GenerationContext = { config, generator, tokenizer: undefined, counters };
  const batcher = new Batcher(own, readBatching()!, 100, 1);
  const start = (context: GenerationContext, options: GenerateOptions) =>
    new Generation(
      context,
      generateRequest(config, options, 100),
      (outcome) => new GenerationResult(outcome),
    );
  return {
    counters,
    /** Steps that have been asked for and have not ended, at most. */
    mostAsked: () => mostAsked,
    shared: (options: GenerateOptions) => start({ ...own, batcher }, options),
    alone: (options: GenerateOptions) =>
      start({ config, generator: real, tokenizer: undefined }, options),
  };
}

t.test('the step after one that nobody looks at is asked for with it', async (t) => {
  for (const [onStep, most] of [
    [undefined, 2],
    [() => {}, 1],
  ] as const) {
    const context = await failing(t, () => undefined);
    await context.shared({ ...base, labels: [1] }).result({ onStep });
    t.equal(context.mostAsked(), most);
  }
});

t.test('a batch that fails is run apart', async (t) => {
  const outOfMemory = new MagnetsError('ERR_OUT_OF_MEMORY', 'no memory');
  const context = await failing(t, ({ classIds }) =>
    classIds.length > 2 ? outOfMemory : undefined,
  );
  const counts = [1, 1, 1, 3, 2];
  const requests = counts.map((count, seed) => ({ ...base, labels: [1], count, seed }));
  const results = await Promise.allSettled(requests.map((one) => context.shared(one).result()));
  for (const [i, result] of results.entries()) {
    if (result.status === 'rejected') {
      t.equal(result.reason, outOfMemory);
      t.equal(counts[i], 3, 'what does not fit alone');
      continue;
    }
    const own = await context.alone(requests[i]!).result();
    t.same(result.value.tokens.data, own.tokens.data);
  }
  t.match(context.counters.read().requests, { done: 4, failed: 1 });
});

t.test('a step that fails is the matter of who makes it fail', async (t) => {
  const poison = new MagnetsError('ERR_INTERNAL', 'poison');
  const context = await failing(t, ({ seeds }, step) =>
    step === 3 && seeds.includes(2n) ? poison : undefined,
  );
  const heard: number[][] = [[], [], [], []];
  const results = await Promise.allSettled(
    [0, 1, 2, 3].map((seed) =>
      context
        .shared({ ...base, labels: [1], seed })
        .result({ onStep: ({ step }) => heard[seed]!.push(step) }),
    ),
  );
  t.same(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  );
  t.equal((results[2] as PromiseRejectedResult).reason, poison);
  const whole = [0, 1, 2, 3, 4, 5, 6, 7];
  t.same(heard, [whole, whole, [0, 1, 2], whole], 'every step is told once');
  const { value } = results[3] as PromiseFulfilledResult<GenerationResult>;
  const own = await context.alone({ ...base, labels: [1], seed: 3 }).result();
  t.same(value.tokens.data, own.tokens.data);
  t.same([value.flops, value.parts], [own.flops, own.parts], 'and counted once');
});

t.test('several devices', async (t) => {
  const model = await modelOf(t, { device: ['cpu', 'cpu'], batching: { maxBatch: 2 } });
  const [first, second] = model.backend.split(', ');
  t.match(first, /^cpu\//);
  t.equal(second, first);
  t.equal(model.threads, 2, 'of one thread each');
  const requests = [1, 2, 3, 4, 5].map((seed) => ({ ...base, labels: ['a'], seed, count: 7 }));
  const results = await together(
    model,
    requests.map((one) => ({ ...one, batchSize: 2 })),
  );
  for (const [i, options] of requests.entries()) {
    const own = await alone.generate(options).result();
    t.same(results[i]!.tokens.data, own.tokens.data);
    t.same(results[i]!.pixels.data, own.pixels.data);
  }
  for await (const _ of model.generate(base));
  const tokens = new Tensor('int32', new Int32Array(12), [1, 12]);
  const logits = await model.forward({ tokens, labels: ['a'] });
  t.same(logits.data, (await alone.forward({ tokens, labels: ['a'] })).data);
  model.dispose();
  t.throws(() => model.generate(base), { code: 'ERR_DISPOSED' });

  for (const device of [[], ['cpu', 'gpu'], ['cpu', 3]] as never[]) {
    await t.rejects(load(folder, { device }), /for (devices in )?device but received/);
  }
});

t.test('the device with the least to do', async (t) => {
  const opened: number[] = [];
  const all = [0, 1, 2].map((i) => ({
    openSession: async () => {
      opened.push(i);
      if (opened.length === 6) throw new Error('no memory');
      return { dispose: () => undefined };
    },
    detokenize: async () => void opened.push(i),
  }));
  const generator = spreadGenerator(all as unknown as NativeGenerator[]);
  const open = () => generator.openSession({} as NativeSessionOptions);
  const [a, b] = [await open(), await open(), await open()];
  b!.dispose();
  b!.dispose();
  await open();
  a!.dispose();
  await open();
  t.same(opened, [0, 1, 2, 1, 0]);
  await t.rejects(open());
  await open();
  t.same(opened.slice(5), [0, 0], 'one that could not be opened is none');
  opened.length = 0;
  const tokenizer = spreadTokenizer(all as unknown as NativeTokenizer[]);
  const call = () => tokenizer.detokenize(new Int32Array(), 0);
  await Promise.all([call(), call(), call(), call()]);
  await call();
  t.same(opened, [0, 1, 2, 0, 0]);
});

t.test('detokenizing is shared, too', async (t) => {
  const calls: number[] = [];
  let broken = -1;
  let stopped = 0;
  let paused: Promise<void> | undefined;
  const codec: Pick<NativeTokenizer, 'detokenize' | 'newStop'> = {
    newStop: () => ({ stop: () => ++stopped }),
    detokenize: async (tokens, count) => {
      calls.push(count);
      await paused;
      if (tokens.includes(broken)) throw new Error('broken');
      return { pixels: Float32Array.from(tokens, (token) => token / 2), flops: 10 * count };
    },
  };
  const queue = new Detokenizing(codec, 4, { tokens: 1, size: 1 }, 1);
  const run = (tokens: number[], signal?: AbortSignal) =>
    queue.run(Int32Array.from(tokens), signal);
  const pixels = async (...all: number[][]) =>
    (await Promise.all(all.map((tokens) => run(tokens)))).map((each) => [...each.pixels]);

  t.same(await pixels([2, 4], [6], []), [[1, 2], [3], []]);
  t.same(calls.splice(0), [3]);
  const order: string[] = [];
  const large = run([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).then(({ flops }) => order.push(`${flops}`));
  await Promise.all([large, run([8]).then(({ flops }) => order.push(`${flops}`))]);
  t.same(order, ['10', '100'], 'a large one lets a small one in between');
  t.same(calls.splice(0), [4, 4, 3]);

  broken = 3;
  const results = await Promise.allSettled([run([1]), run([2, 3]), run([4])]);
  t.same(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  calls.length = 0;
  await t.rejects(run([3, 3, 3, 3, 3, 3]), { message: 'broken' });
  t.same(calls, [4], 'what is left of it is not computed');

  const controller = new AbortController();
  const aborted = run([1], controller.signal);
  controller.abort(new Error('enough'));
  await t.rejects(aborted, { message: 'enough' });
  stopped = 0;
  // While it is computed: only what nobody else waits for is stopped.
  let go = () => {};
  paused = new Promise((resolve) => {
    go = resolve;
  });
  const [first, second] = [new AbortController(), new AbortController()];
  const both = [run([1], first.signal), run([2, 4], second.signal), run([6, 8, 10])] as const;
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  first.abort(null);
  t.equal(await both[0].catch((reason) => reason), null, 'it does not wait for the device');
  t.equal(stopped, 0);
  second.abort(undefined);
  await t.rejects(both[1], { name: 'AbortError' });
  t.equal(stopped, 0, 'a part of the third is computed, too');
  go();
  t.same([...(await both[2]).pixels], [3, 4, 5]);
  paused = new Promise((resolve) => {
    go = resolve;
  });
  const third = new AbortController();
  const alone = run([1, 2, 3, 4, 5, 6], third.signal);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  calls.length = 0;
  third.abort();
  await t.rejects(alone, { name: 'AbortError' });
  t.equal(stopped, 1);
  go();
  t.same([...(await run([8])).pixels], [4]);
  t.same(calls, [1], 'what is left of it is not computed');

  const tokens = Int32Array.of(8);
  const written = queue.run(tokens, undefined);
  tokens[0] = 0;
  t.same([...(await written).pixels], [4], 'tokens are read at the call');
});

t.test('wrong options', async (t) => {
  for (const [batching, name, message] of [
    [3, 'TypeError', /for options/],
    ['on', 'TypeError', /for options/],
    [{ maxBatches: 3 }, 'TypeError', /maxBatch, maxWaitMs, maxQueued but received "maxBatches"/],
    [{ maxBatch: 0 }, 'RangeError', /in 1 \.\. 65536 for maxBatch but received 0/],
    [{ maxWaitMs: -1 }, 'RangeError', /in 0 \.\. 60000 for maxWaitMs but received -1/],
    [{ maxWaitMs: '3' }, 'TypeError', /for maxWaitMs/],
    [{ maxQueued: 0 }, 'RangeError', /in 1 \.\. 1000000 for maxQueued but received 0/],
  ] as const) {
    await t.rejects(load('no-such-folder', { batching: batching as never }), { name, message });
  }
  for (const batching of [true, {}]) (await load(folder, { batching })).dispose();
});

t.test('equal requests share plans, which nobody can change', async (t) => {
  const model = await modelOf(t);
  const plansOf = (options: GenerateOptions) => model.generate({ ...base, ...options }).plans;
  const [first] = plansOf({ labels: ['a'] });
  t.equal(plansOf({ labels: [3], seed: 9 })[0], first);
  t.same(plansOf({ temperature: [1, 1] })[0], first, 'a list is looked at each time');
  for (const options of [{ count: 2 }, { steps: 7 }, { guidance: 1 }, { cache: false }]) {
    t.notSame(plansOf(options)[0], first);
  }
  const [step] = first!.steps;
  for (const part of [first, first!.steps, step, step!.maskedAfter, step!.parts]) {
    t.ok(Object.isFrozen(part));
  }
  // What JSON writes as it writes the values of a request that is remembered.
  for (const temperature of [Number.NaN, null, Number.POSITIVE_INFINITY, undefined]) {
    const ask = () => model.generate({ ...base, temperature } as GenerateOptions);
    if (temperature === undefined) t.equal(ask().plans[0], first);
    else t.throws(ask, /temperature/);
  }
  for (let steps = 1; steps <= 12; ++steps) {
    for (let topTemperature = 1; topTemperature < 9; ++topTemperature) {
      plansOf({ steps, temperature: topTemperature });
    }
  }
  t.not(plansOf({ labels: ['a'] })[0], first, 'the oldest is forgotten');
});
