/** Memory of whole processes: while a model loads, over many generations and many models, and when one ends. */

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { parseGeneratorConfig, parseTokenizerConfig } from '../../lib/checkpoint/config.js';
import { Tensor } from '../../lib/index.js';
import { engineTensors, nativeTokenizerConfig } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { Tokenizer } from '../../lib/runtime/tokenizer.js';
import { fixtureFolder } from '../lib/fixtures.js';

const dist = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);

/** What a script of its own process prints, as JSON. `status` reads a line of /proc/self/status in bytes. */
function run(body: string) {
  const script = `
    import { readFileSync, writeFileSync } from 'node:fs';
    import { load } from ${dist('index.js')};
    const status = (key) =>
      1024 * Number(new RegExp(key + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const fixture = ${JSON.stringify(fixtureFolder('post'))};
    // V8 makes its heap larger when it likes: what is used of it counts, and everything else.
    const held = () => {
      gc();
      const { heapTotal, heapUsed } = process.memoryUsage();
      return status('VmRSS') - heapTotal + heapUsed;
    };
    ${body}`;
  const args = ['--expose-gc', '--input-type=module', '--eval', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** A generator of size L with four layers, all its weights zeros: a file of holes. */
function sparseCheckpoint(folder: string): void {
  const json = {
    model_type: 'magnets',
    codebook_size: 1024,
    num_classes: 0,
    latent_shape: [1, 16, 16],
    hidden_size: 1024,
    num_hidden_layers: 4,
    num_attention_heads: 16,
    head_dim: 64,
    intermediate_size: 4096,
    hidden_act: 'gelu_tanh',
    norm_position: 'pre',
    layer_norm_eps: 1e-6,
    widths: [{ name: '1', heads: 16, hidden: 4096 }],
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
  let end = 0;
  const entries = engineTensors
    .generator(parseGeneratorConfig('config.json', 'large', json))
    .map(({ name, shape }) => {
      const begin = end;
      end += 4 * shape.reduce((product, extent) => product * extent, 1);
      return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }];
    });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, text]));
  ftruncateSync(file, 8 + text.length + end);
  closeSync(file);
}

t.test('loading takes little more than what stays', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  sparseCheckpoint(folder);
  for (const weights of ['f32', 'bf16', 'int8']) {
    const { most, kept, told, back } = run(
      `const before = status('VmRSS');
      const model = await load(${JSON.stringify(folder)}, { device: 'cpu', threads: 2, weights: '${weights}' });
      const [most, kept] = [status('VmHWM'), status('VmRSS')];
      const { weights: told } = model.memory();
      model.dispose();
      console.log(JSON.stringify({ most, kept, told: told / (kept - before), back: status('VmRSS') - before }));`,
    );
    const ratio = most / kept;
    t.ok(
      ratio < 1.15,
      `${weights}: ${ratio.toFixed(3)} times the ${(kept / 1e6).toFixed()} MB that stay`,
    );
    t.ok(told > 0.9 && told < 1.1, `${weights}: ${told.toFixed(3)} of it was told`);
    t.ok(back < 12e6, `${weights}: ${(back / 1e6).toFixed(1)} MB stay after dispose`);
  }
});

t.test('two thousand generations of mixed sizes', (t) => {
  const { warm, most, later } = run(
    `const model = await load(fixture, { device: 'cpu', threads: 2 });
    const round = async (times) => {
      for (let i = 0; i < times; ++i) {
        const count = 1 + ((i * 37) % 23);
        await model.generate({ labels: ['a'], count, batchSize: 1 + (i % 24), steps: 1 + (i % 3) }).result();
      }
      return held();
    };
    // A single measurement is 5 MB too high or too low.
    const warm = Math.max(await round(200), await round(200), await round(200));
    writeFileSync('/proc/self/clear_refs', '5');
    const later = Math.min(await round(1600), await round(200), await round(200));
    console.log(JSON.stringify({ warm, later, most: status('VmHWM') }));`,
  );
  const grown = (later - warm) / 1e6;
  t.ok(
    grown < 20,
    `${grown.toFixed(1)} MB more than the ${(warm / 1e6).toFixed()} MB after warm-up`,
  );
  t.ok(most - warm < 60e6, `${((most - warm) / 1e6).toFixed(1)} MB more at most`);
  t.end();
});

t.test('two hundred models that are loaded, used and disposed of', (t) => {
  const { warm, later } = run(
    `const round = async (times) => {
      for (let i = 0; i < times; ++i) {
        const model = await load(fixture, { device: 'cpu', threads: 2 });
        await model.generate({ labels: ['a'], count: 16, steps: 2 }).result();
        for await (const step of model.generate({ labels: ['a'], count: 32, steps: 3 })) {
          if (step.step === 1) break; // leaving early frees the session
        }
        model.dispose();
      }
      return held();
    };
    const warm = await round(200);
    const later = await round(200);
    console.log(JSON.stringify({ warm, later }));`,
  );
  const grown = (later - warm) / 1e6;
  t.ok(grown < 5, `${grown.toFixed(1)} MB more after two hundred`);
  t.end();
});

t.test('a batch that was large is not kept, and its estimate is near', (t) => {
  const { estimate, most, kept } = run(
    `const model = await load(fixture, { device: 'cpu', threads: 2 });
    const options = { labels: ['a'], count: 12000, batchSize: 12000, steps: 1 };
    await model.generate({ ...options, count: 8 }).result();
    gc();
    const before = status('VmRSS');
    writeFileSync('/proc/self/clear_refs', '5');
    const { tokens } = await model.generate(options).result({ pixels: false });
    const most = status('VmHWM') - before;
    gc();
    const { session, result } = model.memory(options);
    console.log(JSON.stringify({ estimate: session, most, kept: status('VmRSS') - before, result }));`,
  );
  const ratio = most / estimate;
  t.ok(
    ratio > 0.7 && ratio < 1.3,
    `${(estimate / 1e6).toFixed()} MB said, ${(most / 1e6).toFixed()} MB taken`,
  );
  t.ok(kept < estimate / 8, `${(kept / 1e6).toFixed()} MB kept`);
  t.end();
});

t.test('a request that is aborted gives its part of a shared batch back at the next step', (t) => {
  const { session, batches, before, after } = run(
    `const model = await load('fashion', { device: 'cpu', threads: 2, batching: { maxBatch: 101 } });
    const controller = new AbortController();
    const options = { steps: 4, schedule: '1x4', seed: 1 };
    const seen = [];
    const onStep = () => {
      seen.push(held());
      if (seen.length === 2) controller.abort();
    };
    await Promise.all([
      model.generate({ ...options, count: 100, batchSize: 100, signal: controller.signal }).result().catch(() => {}),
      model.generate(options).result({ onStep }),
    ]);
    const { session } = model.memory({ ...options, count: 101, batchSize: 101 });
    console.log(JSON.stringify({ session, batches: model.metrics().batches, before: seen[1], after: seen[2] }));`,
  );
  t.same(batches, { 101: 1 });
  const share = (before - after) / session;
  t.ok(share > 0.75, `${(share * 100).toFixed()} % of ${(session / 1e6).toFixed()} MB went back`);
  t.end();
});

t.test('models that are loaded at once leave nothing behind', (t) => {
  const { taken, weights } = run(
    `const options = { device: 'cpu', threads: 2 };
    const first = await load('fashion', options);
    const { weights } = first.memory();
    first.dispose();
    const before = held();
    const models = await Promise.all(Array.from({ length: 30 }, () => load('fashion', options)));
    for (const model of models) model.dispose();
    console.log(JSON.stringify({ taken: held() - before, weights }));`,
  );
  t.ok(taken < 3 * weights, `the memory of ${(taken / weights).toFixed(1)} models of 30 is kept`);
  t.end();
});

t.test('models that nobody disposes of are collected', (t) => {
  const { taken, weights } = run(
    `const before = status('VmRSS');
    let weights;
    for (let i = 0; i < 40; ++i) {
      const model = await load('fashion', { device: 'cpu', threads: 1 });
      ({ weights } = model.memory());
    }
    console.log(JSON.stringify({ taken: status('VmRSS') - before, weights }));`,
  );
  // V8 sees a few hundred bytes of each, unless it is told of the weights.
  t.ok(taken < 15 * weights, `${(taken / weights).toFixed(1)} models of 40 are there`);
  t.end();
});

t.test('loops over the steps that nobody goes on with, or whose signal aborts', (t) => {
  const { dropped, aborted, session, requests } = run(
    `const model = await load('fashion', { device: 'cpu', threads: 1 });
    const options = { labels: ['bag'], count: 20, batchSize: 20, steps: 4 };
    const { session } = model.memory(options);
    const { signal } = new AbortController(); // outlives them all
    const begin = async (given) => {
      const loop = model.generate({ ...options, ...given })[Symbol.asyncIterator]();
      await loop.next();
      return loop;
    };
    const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
    const collect = async () => { for (let i = 0; i < 3; ++i) { gc(); await turn(); } };
    for (let i = 0; i < 3; ++i) await begin({ signal });
    await collect();
    const before = held();
    for (let i = 0; i < 20; ++i) {
      await begin({ signal });
      await collect();
    }
    const dropped = held() - before;
    const loops = [];
    for (let i = 0; i < 20; ++i) {
      const controller = new AbortController();
      loops.push(await begin({ signal: controller.signal }));
      controller.abort();
    }
    const aborted = held() - before;
    const { requests } = model.metrics();
    console.log(JSON.stringify({ dropped, aborted, session, requests, loops: loops.length }));`,
  );
  t.ok(dropped < 3 * session, `${(dropped / session).toFixed(1)} sessions of 20 are there`);
  t.ok(aborted < 3 * session, `${(aborted / session).toFixed(1)} sessions of 20 are there`);
  t.match(requests, { running: 0, aborted: 43 });
  t.end();
});

/** Of pictures of 256 x 256, which take a second each on one thread. */
const slowTokenizer = {
  model_type: 'magnets_tokenizer',
  kind: 'conv',
  sample_shape: [1, 256, 256],
  channels: 3,
  base_channels: 64,
  multipliers: [1, 1, 2],
  encoder_blocks: 1,
  decoder_blocks: 8,
  shortcut: 'none',
  downsample: 'mean',
  codebook_size: 64,
  codebook_dim: 16,
  code_channels: 16,
};

t.test('a worker that is terminated waits for an operation and not for a picture', async (t) => {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { parseTokenizerConfig } from ${dist('checkpoint/config.js')};
    import { native } from ${dist('runtime/native.js')};
    const config = parseTokenizerConfig('config.json', ${JSON.stringify(slowTokenizer)});
    const codec = await native().openCpu(1, '').loadTokenizer(config, { seed: 3 }, 'f32');
    const tokens = new Int32Array(${16 * 64 ** 2}).fill(1);
    const done = codec.detokenize(tokens, 16);
    parentPort.postMessage('computing');
    await done;`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const worker = new Worker(url, { execArgv: [] });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const started = performance.now();
  await worker.terminate();
  const seconds = (performance.now() - started) / 1000;
  // All sixteen pictures are 2 * 9 * 64^2 * 2^16 * 16 * 20 = 1.5e12 FLOPs and more: 15 s of one thread.
  t.ok(seconds < 3, `${seconds.toFixed(2)} s`);
});

t.test('an abort and a disposal wait for an operation and not for a picture', async (t) => {
  const config = parseTokenizerConfig('config.json', slowTokenizer);
  const device = native().openCpu(1, '');
  const codec = await device.loadTokenizer(nativeTokenizerConfig(config), { seed: 3 }, 'f32');
  const tokenizer = new Tokenizer(config, codec, 16);
  const tokens = new Tensor('int32', new Int32Array(16 * 64 ** 2).fill(1), [16, 64 ** 2]);
  const pixels = new Tensor('float32', new Float32Array(16 * 3 * 2 ** 16), [16, 256, 256, 3]);
  const soon = () => new Promise((resolve) => setTimeout(resolve, 50));
  const begin = async (call: (signal: AbortSignal) => Promise<unknown>) => {
    const controller = new AbortController();
    const result = call(controller.signal).catch((error) => error);
    await soon();
    return { controller, result, started: performance.now() };
  };
  for (const call of [
    (signal: AbortSignal) => tokenizer.detokenize(tokens, signal),
    (signal: AbortSignal) => tokenizer.tokenize(pixels, signal),
  ]) {
    const { controller, result, started } = await begin(call);
    controller.abort(null);
    t.equal(await result, null);
    await codec.quantize(new Float32Array(64 ** 2 * 16), 1); // when the device is free again
    const seconds = (performance.now() - started) / 1000;
    t.ok(seconds < 3, `${seconds.toFixed(2)} s`);
  }
  const { result, started } = await begin(() => tokenizer.detokenize(tokens));
  device.stop();
  t.match(await result, { code: 'ERR_DISPOSED' });
  const seconds = (performance.now() - started) / 1000;
  t.ok(seconds < 3, `${seconds.toFixed(2)} s`);
  tokenizer.dispose();
  device.dispose();
});

t.test('a load stops when its signal aborts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  sparseCheckpoint(folder);
  const { name, seconds, rss } = run(
    `const before = status('VmRSS');
    const controller = new AbortController();
    let started;
    const onProgress = ({ status }) => {
      if (status !== 'placing') return;
      started = performance.now();
      setImmediate(() => controller.abort());
    };
    const options = { device: 'cpu', threads: 1, weights: 'int8', signal: controller.signal, onProgress };
    const error = await load(${JSON.stringify(folder)}, options).then(() => ({ name: 'none' }), (error) => error);
    gc();
    console.log(JSON.stringify({ name: error.name, seconds: (performance.now() - started) / 1000, rss: status('VmRSS') - before }));`,
  );
  t.equal(name, 'AbortError');
  t.ok(rss < 60e6, `${(rss / 1e6).toFixed()} MB after ${seconds.toFixed(2)} s`);
});

t.test('a process that ends at any step ends as it should', async (t) => {
  const endings = [
    ['process.exit(7)', { status: 7, signal: null }],
    ["process.kill(process.pid, 'SIGTERM')", { signal: 'SIGTERM' }],
    ["process.kill(process.pid, 'SIGINT')", { signal: 'SIGINT' }],
    ["setImmediate(() => { throw new Error('expected') })", { status: 1, signal: null }],
  ] as const;
  for (const [i, [ending, expected]] of endings.entries()) {
    const script = `
      import { load } from ${dist('index.js')};
      const model = await load(${JSON.stringify(fixtureFolder('post'))}, { threads: 2 });
      let steps = 0;
      const onStep = () => { if (++steps === ${1 + i}) { ${ending}; } };
      await model.generate({ count: 64, batchSize: 16, steps: 3 }).result({ onStep });
      await new Promise((resolve) => setTimeout(resolve, 5000));`;
    const args = ['--input-type=module', '--eval', script];
    const ended = spawnSync(process.execPath, args, { encoding: 'utf8' });
    t.match(ended, expected, ending);
  }
});
