/** Threads and endings: the event loop stays free, a worker may end in the middle of a step. */

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { defaultArchitecture } from '../../lib/checkpoint/config.js';
import { info, load, presets, type Tensor, tokenCount } from '../../lib/index.js';
import { native } from '../../lib/runtime/native.js';
import { fixtureFolder } from '../lib/fixtures.js';

const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

/** A generator large enough that a pass takes a good part of a second. */
async function slowGenerator() {
  const device = native().openCpu(1, '');
  const shape = { ...presets.B, layers: 4 };
  const config = {
    ...shape,
    ...defaultArchitecture,
    normPlace: 'post',
    activation: 'gelu_tanh',
    normEps: 1e-6,
    subTokens: 1,
    tokenCount: tokenCount(shape),
    classRows: 0,
    registerId: 0,
  } as const;
  return { device, generator: await device.loadGenerator(config, { seed: 1 }, 'bf16') };
}

t.test('the event loop stays free', async (t) => {
  const { device, generator } = await slowGenerator();
  const ids = new Int32Array(4 * 256).fill(2024);
  let ticks = 0;
  const timer = setInterval(() => ++ticks, 5);
  const started = performance.now();
  await generator.forward(ids, new Int32Array(4).fill(1024), 12, 3072);
  const elapsed = performance.now() - started;
  clearInterval(timer);
  t.ok(elapsed > 100, `long enough to tell: ${elapsed} ms`);
  t.ok(ticks > elapsed / 5 / 4, `${ticks} ticks of 5 ms in ${elapsed} ms`);
  generator.dispose();
  device.dispose();
});

t.test('many loads at once', async (t) => {
  const most = Math.max(4, info().cpu.threads);
  const total = 3 * most;
  const controller = new AbortController();
  let [running, highest] = [0, 0];
  const loadOne = async (i: number) => {
    const waits = i >= most && i % 3 === 0;
    const loading = load(fixtureFolder('post'), {
      threads: 1,
      signal: waits ? controller.signal : undefined,
      onProgress: ({ status }) => {
        if (status === 'reading') highest = Math.max(highest, ++running);
        if (status === 'ready') --running;
      },
    });
    if (waits) return t.rejects(loading, { name: 'AbortError' }, 'one that waits is aborted');
    return (await loading).dispose();
  };
  const all = Array.from({ length: total }, (_, i) => loadOne(i));
  controller.abort();
  await Promise.all(all);
  t.equal(highest, most);
  t.equal(running, 0);
  (await load(fixtureFolder('post'))).dispose();
});

t.test('disposing', async (t) => {
  const model = await load(fixtureFolder('post'));
  const half = model.generate({ labels: ['a'], steps: 4 })[Symbol.asyncIterator]();
  await half.next();
  const running = model.generate({ labels: ['a'] }).result();
  const batches = model.generate({ count: 4, batchSize: 2, steps: 3 });
  const steps = batches[Symbol.asyncIterator]();
  await steps.next();
  model.dispose();
  model.dispose();
  t.throws(() => model.generate(), { code: 'ERR_DISPOSED' });
  await t.rejects(model.detokenize(undefined as unknown as Tensor<'int32'>), {
    code: 'ERR_DISPOSED',
  });
  await t.rejects(
    running,
    { code: 'ERR_DISPOSED' },
    'one that has a session waits for its step, then detokenizing ends it',
  );
  await half.return?.();
  await t.rejects(steps.next(), { code: 'ERR_DISPOSED' }, 'the next step finds no model');
  await t.rejects(batches.result(), { code: 'ERR_DISPOSED' });
  {
    using scoped = await load(fixtureFolder('pre'));
    t.equal(scoped.tokenCount, 12);
  }
  {
    await using scoped = await load(fixtureFolder('pre'));
    t.equal(scoped.tokenCount, 12);
  }
});

t.test('disposing ends what runs after its step', async (t) => {
  for (const pixels of [true, false]) {
    for (let after = 0; after < 6; ++after) {
      const model = await load(fixtureFolder('post'));
      const never = model.generate({ labels: ['a'] });
      let steps = 0;
      const generation = model.generate({ labels: ['a'], count: 4, batchSize: 2, steps: 3 });
      const result = generation.result({
        pixels,
        onStep() {
          if (++steps === after) model.dispose();
        },
      });
      if (after === 0) model.dispose(); // while its session is opened
      await t.rejects(result, { name: 'MagnetsError', code: 'ERR_DISPOSED' });
      t.equal(steps, after, 'no step has begun since');
      await t.rejects(never.result(), { code: 'ERR_DISPOSED' }, 'nor can one begin');
    }
  }
  // In the middle of a step: it ends, and is the last.
  const model = await load(fixtureFolder('post'), { threads: 1 });
  let steps = 0;
  const running = model.generate({ count: 512, batchSize: 512, steps: 12 });
  const result = running.result({ onStep: () => ++steps });
  while (steps === 0) await new Promise((resolve) => setImmediate(resolve));
  const before = steps;
  model.dispose();
  await t.rejects(result, { code: 'ERR_DISPOSED' });
  t.ok(steps <= before + 1, `${steps} steps, ${before} before`);
});

t.test('an abort ends detokenizing, too', async (t) => {
  const model = await load(fixtureFolder('post'));
  t.teardown(() => model.dispose());
  const controller = new AbortController();
  const reason = new Error('enough');
  const tokens = new Int32Array(2000 * model.tokenCount); // nothing is masked: there are no steps
  const generation = model.generate({ tokens, signal: controller.signal });
  const result = generation.result();
  setImmediate(() => controller.abort(reason));
  await t.rejects(result, reason);
});

t.test('workers', async (t) => {
  const start = (linger: boolean) =>
    new Worker(new URL('worker.js', import.meta.url), {
      workerData: { folder: fixtureFolder('post'), linger },
      execArgv: [],
    });
  const model = await load(fixtureFolder('post'));
  const { tokens } = await model.generate({ labels: ['b'], steps: 4, seed: 3 }).result();
  model.dispose();
  const message = (worker: Worker) =>
    new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));

  for (let i = 0; i < 3; ++i) {
    const workers = [start(false), start(true)];
    for (const answer of await Promise.all(workers.map(message))) {
      t.same(answer, tokens.data, 'the same tokens in a worker');
    }
    await new Promise((resolve) => setTimeout(resolve, 20 * i));
    await Promise.all(workers.map((worker) => worker.terminate()));
    t.pass('terminated in the middle of a step');
  }
});

t.test('a process ends while a job runs, and is not kept alive by an idle model', async (t) => {
  const { spawnSync } = await import('node:child_process');
  const run = (body: string) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { load } from ${JSON.stringify(index)};
      const model = await load(${JSON.stringify(fixtureFolder('post'))});${body}`,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );
  t.match(run(''), { status: 0, stderr: '' });
  t.match(
    run(
      `model.generate({ count: 512, steps: 40 }).result(); setTimeout(() => process.exit(7), 30);`,
    ),
    { status: 7, stderr: '' },
  );
});
