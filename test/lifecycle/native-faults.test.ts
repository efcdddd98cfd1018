/** What the system may refuse, and what may lie beside the addon: coded errors, never an abort. */

import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fixtureFolder } from '../lib/fixtures.js';
import { compile } from './shared-libraries.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const index = join(root, 'dist/index.js');

t.test('a CUDA library of other headers is refused, and both files are named', async (t) => {
  const folder = compile(
    t,
    'libmagnets_cuda.so',
    `extern "C" { struct { const char* abi; const char* version; } magnets_cuda_library = {"0123", "9.9.9"}; }`,
  );
  copyFileSync(join(root, 'build/Release/magnets.node'), join(folder, 'magnets.node'));
  const addon = JSON.stringify(join(folder, 'magnets.node'));
  const body = `
    const native = require(${addon});
    console.log(native.info().cudaReason);
    try { native.openCuda(0, 'bf16', []); } catch (error) { console.log(error.code); }`;
  const { stdout, status } = spawnSync(process.execPath, ['-e', body], { encoding: 'utf8' });
  t.equal(status, 0);
  t.match(stdout, /libmagnets_cuda\.so is of magnets 9\.9\.9 \(headers 0123\)/);
  t.match(stdout, /magnets\.node is of magnets \d+\.\d+\.\d+ \(headers [0-9a-f]{16}\)/);
  t.match(stdout, /ERR_UNSUPPORTED/);
});

t.test('a library of the name that is none of ours is refused', async (t) => {
  const folder = compile(t, 'libmagnets_cuda.so', 'extern "C" int something_else = 1;');
  copyFileSync(join(root, 'build/Release/magnets.node'), join(folder, 'magnets.node'));
  const body = `console.log(require(${JSON.stringify(join(folder, 'magnets.node'))}).info().cudaReason)`;
  const { stdout } = spawnSync(process.execPath, ['-e', body], { encoding: 'utf8' });
  t.match(stdout, /libmagnets_cuda\.so is no CUDA library of magnets/);
});

t.test('no memory for a result: a coded error, and the process goes on', async (t) => {
  // While NO_MEMORY is set, V8 gets none for an array of a megabyte or more.
  const folder = compile(
    t,
    'no-memory.so',
    `#include <dlfcn.h>
     #include <stdlib.h>
     extern "C" void* calloc(size_t count, size_t size) {
       using Calloc = void* (*)(size_t, size_t);
       static const Calloc next = reinterpret_cast<Calloc>(dlsym(RTLD_NEXT, "calloc"));
       return count * size >= 1000000 && getenv("NO_MEMORY") ? nullptr : next(count, size);
     }`,
  );
  const body = `
    import { load, Tensor } from ${JSON.stringify(index)};
    const model = await load(${JSON.stringify(fixtureFolder('post'))}, { device: 'cpu', threads: 1 });
    const tokens = new Tensor('int32', new Int32Array(2000 * model.tokenCount), [2000, model.tokenCount]);
    const labels = Array(2000).fill('a');
    const attempt = async (run) => {
      try { return (await run()).data.length; } catch (error) { return error.code; }
    };
    const all = async () => [
      await attempt(() => model.forward({ tokens, labels })),
      await attempt(() => model.detokenize(tokens)),
    ];
    process.env.NO_MEMORY = '1';
    const none = await all();
    delete process.env.NO_MEMORY;
    console.log(JSON.stringify([none, await all()]));`;
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', body],
    { encoding: 'utf8', env: { ...process.env, LD_PRELOAD: join(folder, 'no-memory.so') } },
  );
  t.equal(status, 0, stderr);
  const [none, again] = JSON.parse(stdout);
  t.same(none, ['ERR_OUT_OF_MEMORY', 'ERR_OUT_OF_MEMORY']);
  t.ok(again[0] * 4 > 1e6 && again[1] === 2000 * 144, `${again}`);
});

t.test('no memory for an array of JavaScript, whichever it is: a coded error', async (t) => {
  // An array of 77,000,000 bytes and n more is refused: after it come n arrays of a kilobyte or more, and then none.
  const folder = compile(
    t,
    'few-arrays.so',
    `#include <dlfcn.h>
     #include <stddef.h>
     static long left = -1;
     extern "C" void* calloc(size_t count, size_t size) {
       using Calloc = void* (*)(size_t, size_t);
       static const Calloc next = reinterpret_cast<Calloc>(dlsym(RTLD_NEXT, "calloc"));
       const size_t bytes = count * size;
       if (bytes >= 77000000 && bytes < 77010000) {
         left = static_cast<long>(bytes - 77000000);
         if (left == 9999) left = -1;
         return nullptr;
       }
       if (left < 0 || bytes < 1024) return next(count, size);
       if (left == 0) return nullptr;
       --left;
       return next(count, size);
     }`,
  );
  const body = `
    import { rmSync } from 'node:fs';
    import * as magnets from ${JSON.stringify(index)};
    const { Tensor, load } = magnets;
    const leave = (arrays) => { try { new Uint8Array(77_000_000 + arrays); } catch {} };
    const fixtures = ${JSON.stringify(join(root, 'test/fixtures/'))};
    const model = await load(fixtures + 'post', { threads: 1 });
    const video = await load(fixtures + 'video', { threads: 1 });
    const options = { labels: ['a'], count: 64, steps: 3, seed: 1 };
    const { pixels, tokens } = await model.generate(options).result();
    const { sampleShape, channels } = video.tokenizerConfig;
    const dims = [8, video.config.prediction.frames, ...sampleShape.slice(1), channels];
    const values = new Float32Array(dims.reduce((product, extent) => product * extent, 1));
    const frames = new Tensor('float32', values, dims);
    const { pixels: videos } = await video.predict({ frames, count: 8, steps: 2 }).result();
    const size = { height: 64, width: 64, channels: 3 };
    const png = magnets.encodePng(new Tensor('float32', new Float32Array(64 * 64 * 3), [64, 64, 3]));
    const masked = new Uint8Array(64 * model.tokenCount);
    const calls = {
      generate: () => model.generate(options),
      memory: () => model.memory({ ...options, tokens: tokens.data }),
      result: () => model.generate(options).result(),
      guided: () => model.generate({ ...options, batchSize: 40, guidance: 1 }).result({ onStep() {} }),
      loop: async () => { for await (const _ of model.generate(options)); },
      stream: () => model.generate(options).toStream().toArray(),
      preview: () => model.generate(options).preview({ tokens }),
      predict: async () => (await video.predict({ frames, count: 8, steps: 2 }).result()).predicted,
      forward: () => model.forward({ tokens, labels: Array(64).fill('a') }),
      tokenize: () => model.tokenize(pixels),
      detokenize: () => model.detokenize(tokens),
      contactSheet: () => magnets.contactSheet(pixels),
      stepStrip: () => magnets.stepStrip(pixels, masked, [1, 3, 4]),
      apng: () => magnets.animation(videos, 'apng', { scale: 4 }),
      gif: () => magnets.animation(videos, 'gif'),
      decodePng: () => magnets.decodePng(png, size),
      haltonOrder: () => magnets.haltonOrder(64, 64),
      load: async () => (await load(fixtures + 'post', { threads: 1 })).dispose(),
      convert: async () => {
        rmSync(process.env.TO, { recursive: true, force: true });
        await magnets.convert(fixtures + 'public/vq16-tiny/model.pt', { to: process.env.TO });
      },
    };
    const wrong = [];
    for (const [name, call] of Object.entries(calls)) {
      let error;
      let arrays = 0;
      do {
        error = undefined;
        leave(arrays);
        try { await call(); } catch (thrown) { error = thrown; }
        leave(9999);
        if (error !== undefined && error.code !== 'ERR_OUT_OF_MEMORY') wrong.push(name + ': ' + error.stack);
      if (error !== undefined) arrays += 1 + Math.floor(arrays / 2);
      } while (error !== undefined && arrays < 300);
      if (arrays === 0 || arrays >= 300) wrong.push(name + ': ' + arrays + ' arrays');
      await call();
    }
    console.log(JSON.stringify(wrong));`;
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', body],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        LD_PRELOAD: join(folder, 'few-arrays.so'),
        TO: join(folder, 'converted'),
      },
    },
  );
  t.equal(status, 0, stderr);
  t.same(JSON.parse(stdout), []);
});

t.test(
  'no thread to be had: fewer threads or a coded error, and the process goes on',
  async (t) => {
    // While THREADS_LEFT is set, only so many more threads can be started.
    const folder = compile(
      t,
      'few-threads.so',
      `#include <dlfcn.h>
     #include <errno.h>
     #include <pthread.h>
     #include <stdlib.h>
     #include <stdio.h>
     extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* data) {
       using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
       static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
       if (const char* left = getenv("THREADS_LEFT")) {
         const int count = atoi(left);
         if (count == 0) return EAGAIN;
         char next[16];
         snprintf(next, sizeof next, "%d", count - 1);
         setenv("THREADS_LEFT", next, 1);
       }
       return create(thread, attributes, body, data);
     }`,
    );
    const body = `
    import { load } from ${JSON.stringify(index)};
    const attempt = async (left) => {
      if (left === undefined) delete process.env.THREADS_LEFT;
      else process.env.THREADS_LEFT = String(left);
      try {
        const model = await load(${JSON.stringify(fixtureFolder('post'))}, { device: 'cpu', threads: 4 });
        const { tokens } = await model.generate({ labels: ['a'], steps: 4, seed: 3 }).result();
        const answer = [model.threads, [...tokens.data].join()];
        model.dispose();
        return answer;
      } catch (error) {
        return [error.constructor.name, error.code];
      }
    };
    const all = await attempt(undefined);
    console.log(JSON.stringify([all, await attempt(0), await attempt(3), await attempt(undefined)]));`;
    const { stdout, status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', body],
      {
        encoding: 'utf8',
        env: { ...process.env, LD_PRELOAD: join(folder, 'few-threads.so') },
      },
    );
    t.equal(status, 0, stderr);
    const [all, none, some, again] = JSON.parse(stdout);
    t.equal(all[0], 4);
    t.same(none, ['MagnetsError', 'ERR_THREAD']);
    t.ok(some[0] >= 1 && some[0] < 4, `${some[0]} threads`);
    t.equal(some[1], all[1], 'the same tokens with fewer threads');
    t.same(again, all);
  },
);
