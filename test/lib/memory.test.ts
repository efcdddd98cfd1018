/** What a request takes is known before it starts, and what cannot be had is refused with what would fit. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { load, Tensor } from '../../lib/index.js';
import { freeingWhenIdle, tokenizerFreeingWhenIdle } from '../../lib/runtime/idle.js';
import {
  checkMemory,
  checkPass,
  checkWeights,
  hostMemory,
  type MemorySources,
  memoryNeeds,
  processMemory,
} from '../../lib/runtime/memory.js';
import type { NativeGenerator, NativeSession, NativeTokenizer } from '../../lib/runtime/native.js';
import { fixtureFolder } from './fixtures.js';

t.test('limits', async (t) => {
  const own = '0::/app.slice/own\n';
  const old = '9:memory:/docker/1f\n4:cpu,cpuacct:/\n';
  const unlimited = 9223372036854771712n; // what version 1 says
  const cases: [name: string, cgroup: string, files: object, expected: number][] = [
    ['no control groups', '', {}, totalmem()],
    ['no limit', own, { 'sys/fs/cgroup/app.slice/own/memory.max': 'max\n' }, totalmem()],
    ['a limit', own, { 'sys/fs/cgroup/app.slice/own/memory.max': '1000000\n' }, 1e6],
    [
      'the group above has less',
      own,
      {
        'sys/fs/cgroup/app.slice/own/memory.max': '3000000\n',
        'sys/fs/cgroup/app.slice/memory.max': '2000000\n',
      },
      2e6,
    ],
    ['mounted at its root', own, { 'sys/fs/cgroup/memory.max': '4000000\n' }, 4e6],
    [
      'version 1',
      old,
      { 'sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes': '5000000\n' },
      5e6,
    ],
    [
      'version 1 without a limit',
      old,
      { 'sys/fs/cgroup/memory/memory.limit_in_bytes': `${unlimited}\n` },
      totalmem(),
    ],
  ];
  for (const [name, cgroup, files, expected] of cases) {
    const root = mkdtempSync(join(tmpdir(), 'magnets-'));
    for (const [path, text] of Object.entries({ 'proc/self/cgroup': cgroup, ...files })) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    t.equal(hostMemory(root), expected, name);
    rmSync(root, { recursive: true });
  }
});

t.test('limits of the process', async (t) => {
  const row = (name: string, soft: string) =>
    `${name.padEnd(26)}${soft.padEnd(21)}unlimited bytes\n`;
  const cases: [name: string, limits: string, status: string, expected: number][] = [
    ['none are known', '', '', Number.POSITIVE_INFINITY],
    ['none are set', row('Max address space', 'unlimited'), 'VmSize:\t 90 kB\n', Infinity],
    [
      'of addresses',
      row('Max address space', '1024000'),
      'VmPeak: 999 kB\nVmSize:\t 90 kB\n',
      931840,
    ],
    ['of data', row('Max data size', '1024000'), 'VmSize:\t 90 kB\nVmData:\t 10 kB\n', 1013760],
    ['less than there is', row('Max address space', '1024'), 'VmSize:\t 90 kB\n', 0],
  ];
  for (const [name, limits, status, expected] of cases) {
    const root = mkdtempSync(join(tmpdir(), 'magnets-'));
    t.teardown(() => rmSync(root, { recursive: true }));
    mkdirSync(join(root, 'proc/self'), { recursive: true });
    writeFileSync(join(root, 'proc/self/limits'), limits);
    writeFileSync(join(root, 'proc/self/status'), status);
    t.equal(processMemory(root), expected, name);
  }
});

t.test(
  '`ulimit -v` bounds what is asked for',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const index = new URL('../../dist/index.js', import.meta.url).href;
    const body = `
    const { load } = await import(${JSON.stringify(index)});
    const model = await load(${JSON.stringify(fixtureFolder('post'))}, { device: 'cpu', threads: 1 });
    const { total } = model.memory({ count: 20000, batchSize: 20000 });
    const say = async (options) => {
      try {
        const { tokens } = await model.generate({ steps: 1, ...options }).result();
        return tokens.dims[0];
      } catch (error) { return error.code + ' ' + error.message; }
    };
    console.log(JSON.stringify([total, await say({ count: 20000, batchSize: 20000 }), await say({ count: 2 })]));`;
    const node = `"${process.execPath}" --input-type=module -e "$BODY"`;
    const { stdout, stderr } = spawnSync(
      'bash',
      ['-c', `unset NODE_OPTIONS; ulimit -v 1500000; ${node}`],
      {
        encoding: 'utf8',
        env: { ...process.env, BODY: body },
      },
    );
    const [total, large, small] = JSON.parse(stdout || `["", ${JSON.stringify(stderr)}]`);
    t.ok(total > 0 && total < totalmem(), `${total}`);
    t.match(
      large,
      /^ERR_OUT_OF_MEMORY 20000 samples, 20000 at once, take .* but there are [\d.]+ MB: a /,
    );
    t.equal(small, 2);
  },
);

/** Of a model whose memory is easy to reckon. */
const sources: MemorySources = {
  weights: 1000,
  sampleResult: 3,
  sessionBytes: (samples, guided) => (guided ? 20 : 10) * samples,
  tokenizerBytes: (samples) => 5 * Math.min(samples, 8),
};

t.test('needs', async (t) => {
  t.same(memoryNeeds(sources, { batch: 4, guided: true, count: 10 }), {
    weights: 1000,
    session: 80,
    tokenizer: 40,
    result: 30,
    total: 1150,
  });
  t.equal(memoryNeeds(sources, { batch: 0, guided: false, count: 1 }).session, 0, 'nothing masked');
});

t.test('what does not fit', async (t) => {
  const request = { batch: 100, guided: false, count: 100 };
  const { total, result } = memoryNeeds(sources, request);
  const refused = (limits: { device: number; host: number }, message: RegExp) =>
    t.throws(() => checkMemory(sources, request, limits), { code: 'ERR_OUT_OF_MEMORY', message });
  checkMemory(sources, request, { device: 0, host: total });
  refused(
    { device: 0, host: total - 1 },
    /^100 samples, 100 at once, .*: a batchSize of at most 99 fits$/,
  );
  checkMemory(sources, { ...request, batch: 99 }, { device: 0, host: total - 1 });
  refused({ device: 0, host: 1100 }, /: a count of at most \d+ with a batchSize of 1 fits$/);
  refused({ device: 0, host: 1000 }, /: a single one does not fit either$/);
  checkMemory(sources, request, { device: total - result, host: result });
  refused({ device: total - result - 1, host: result }, /of the device: a batchSize of at most 99/);
  refused({ device: total, host: result - 1 }, /of the device: a count of at most 99/);
});

t.test('a pass that does not fit', async (t) => {
  const needs = 1000 + 4 * 10 + 2 * 4 * 7;
  checkPass(sources, 4, 7, { device: 0, host: needs });
  t.throws(() => checkPass(sources, 4, 7, { device: 0, host: needs - 1 }), {
    code: 'ERR_OUT_OF_MEMORY',
    message: /^4 samples take .* but there are [\d.]+ MB: at most 3 fit$/,
  });
  const model = await load('fashion', { device: 'cpu', threads: 1 });
  t.teardown(() => model.dispose());
  const count = 65536;
  const tokens = new Tensor('int32', new Int32Array(49 * count), [count, 49]);
  const labels = Array<string>(count).fill('bag');
  if (model.memory({ count, batchSize: count }).session > totalmem()) {
    await t.rejects(model.forward({ tokens, labels }), { code: 'ERR_OUT_OF_MEMORY' });
  }
});

t.test('weights that do not fit', async (t) => {
  checkWeights(1000, 2, { device: 0, host: 2000 });
  checkWeights(1000, 2, { device: 2000, host: 0 });
  for (const limits of [
    { device: 0, host: 1999 },
    { device: 1999, host: 1e9 },
  ]) {
    t.throws(() => checkWeights(1000, 2, limits), {
      code: 'ERR_OUT_OF_MEMORY',
      message: /^1000 weights take 0\.0 MB at least but there are 0\.0 MB/,
    });
  }
});

t.test('of a model', async (t) => {
  const model = await load(fixtureFolder('post'), { device: 'cpu' });
  t.teardown(() => model.dispose());
  const one = model.memory({ labels: ['a'] });
  const parameters = 2 * (4 * 72 * 72 + 2 * 80 * 72);
  t.ok(one.weights > 4 * parameters && one.weights < 12 * parameters, `${one.weights} of weights`);
  const many = model.memory({ labels: ['a'], count: 64, batchSize: 64 });
  const guided = model.memory({ labels: ['a'], count: 64, batchSize: 64, guidance: 1 });
  t.equal(many.weights, one.weights);
  t.equal(many.result, 64 * one.result);
  const ratio = guided.session / many.session;
  t.ok(ratio > 1.9 && ratio < 2, `guidance takes ${ratio.toFixed(2)} times the memory`);
  const small = model.memory({ labels: ['a'], count: 64, batchSize: 8 });
  t.ok(small.session < many.session / 7, 'smaller batches take less');
  t.equal(model.memory({ tokens: new Int32Array(12), count: 1 }).session, 0, 'nothing is masked');
  t.throws(() => model.memory({ count: 0 }), RangeError);
  const more = 65536;
  if (model.memory({ count: more, batchSize: more }).total > totalmem()) {
    t.throws(() => model.generate({ count: more, batchSize: more }), { code: 'ERR_OUT_OF_MEMORY' });
  }
});

t.test('what is kept for batches to come is freed when none come', async (t) => {
  let trims = 0;
  const session: NativeSession = {
    step: () => Promise.reject(new Error('unused')),
    compute: () => Promise.reject(new Error('unused')),
    reveal: () => Promise.reject(new Error('unused')),
    dispose() {},
  };
  const generator: NativeGenerator = {
    bytes: 7,
    sessionBytes: () => 8,
    forward: () => Promise.reject(new Error('unused')),
    openSession: async () => session,
    trim: async () => void ++trims,
    dispose() {},
  };
  const freeing = freeingWhenIdle(generator, 20);
  const later = () => new Promise((resolve) => setTimeout(resolve, 60));
  const open = () => freeing.openSession({} as never);
  const [first, second] = [await open(), await open()];
  first.dispose();
  await later();
  t.equal(trims, 0, 'one is still open');
  second.dispose();
  second.dispose();
  const third = await open();
  await later();
  t.equal(trims, 0, 'another has begun');
  third.dispose();
  await later();
  t.equal(trims, 1);
  (await open()).dispose();
  freeing.dispose();
  await later();
  t.equal(trims, 1, 'nothing is left to free');
  t.same([freeing.bytes, freeing.sessionBytes(1, false)], [7, 8]);
});

t.test('what a tokenizer keeps is freed a while after its last call', async (t) => {
  let trims = 0;
  let finish = () => {};
  const tokenizer: NativeTokenizer = {
    encode: () => Promise.reject(new Error('broken')),
    quantize: () => Promise.reject(new Error('unused')),
    detokenize: () =>
      new Promise((resolve) => {
        finish = () => resolve({ pixels: new Float32Array(3), flops: 5 });
      }),
    newStop: () => ({ stop() {} }),
    bytes: 7,
    detokenizeBytes: () => 8,
    trim: async () => void ++trims,
    dispose() {},
  };
  const freeing = tokenizerFreeingWhenIdle(tokenizer, 20);
  const later = () => new Promise((resolve) => setTimeout(resolve, 60));
  const first = freeing.detokenize(new Int32Array(1), 1);
  await t.rejects(freeing.encode(new Float32Array(3), 1), { message: 'broken' });
  await later();
  t.equal(trims, 0, 'one call is still computed');
  finish();
  t.equal((await first).flops, 5);
  await later();
  t.equal(trims, 1);
  await t.rejects(freeing.encode(new Float32Array(3), 1));
  await later();
  t.equal(trims, 2, 'a call that failed is over, too');
  await t.rejects(freeing.encode(new Float32Array(3), 1));
  freeing.dispose();
  await later();
  t.equal(trims, 2, 'nothing is left to free');
  t.same([freeing.bytes, freeing.detokenizeBytes(1)], [7, 8]);
});
