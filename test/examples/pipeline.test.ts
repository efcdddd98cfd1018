/** examples/pipeline: labels in, PNGs out, no faster than they are taken. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { decodePng, load, type Model } from '../../lib/index.js';
import { install } from './install.js';

const example = install('pipeline', t);

type Wish = { number: number; label: string };
type Pixels = { data: Float32Array; shape: number[] };
type Sample = Wish & { pixels: Pixels };
interface Pool {
  encode(pixels: Pixels): Promise<Uint8Array>;
  close(): Promise<void>;
}
type Batches<T> = (source: AsyncIterable<T>, size: number) => AsyncIterable<T[]>;
const stages = (await example.load('./stages.js')) as {
  lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<object>;
  wishes(lines: AsyncIterable<object>, model: Model): AsyncGenerator<Wish>;
  batches: Batches<Wish>;
  samples(source: AsyncIterable<Wish[]>, model: Model, options: object): AsyncIterable<Sample>;
  pictures(source: AsyncIterable<Sample>, pool: Pool): AsyncGenerator<Wish & { png: Uint8Array }>;
  files(source: AsyncIterable<Wish & { png: Uint8Array }>, folder: string): AsyncIterable<unknown>;
};
const { Pool } = (await example.load('./pool.js')) as { Pool: new (size: number) => Pool };
const model = await load('fashion');
t.teardown(() => model.dispose());
const pool = new Pool(2);
t.teardown(() => pool.close());

/** Two steps of the narrowest sub-model: what is generated does not matter here. */
const cheapOptions = { steps: 2, schedule: '1/8x2', guidance: 0, seed: 1 };
const cheap = ['--steps', '2', '--schedule', '1/8x2', '--guidance', '0'];

function start(out: string, ...args: string[]) {
  const command = [example.path('pipeline.js'), '--out', example.path(out), ...args];
  const child = spawn(process.execPath, command, { cwd: example.folder });
  const output = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const ended = output.then(([stdout, stderr, [status]]) => ({ stdout, stderr, status }));
  return { child, ended };
}

function run(input: string, out: string, ...args: string[]) {
  const { child, ended } = start(out, ...args);
  child.stdin.on('error', () => undefined); // it may have ended before it has read all
  child.stdin.end(input);
  return ended;
}

t.test('its types', async (t) => t.equal(example.typeErrors(), ''));

t.test('labels become files', async (t) => {
  const input = '{"label":"bag","count":2}\n\n{"label":9}\n{}';
  const { stdout, stderr, status } = await run(input, 'one', '--seed', '7', '--batch', '3');
  t.match({ stderr, status }, { stderr: '', status: 0 });
  const written = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.same(
    written.map(({ number, label }) => [number, label]),
    [
      [0, 'bag'],
      [1, 'bag'],
      [2, 9],
      [3, null],
    ],
  );
  const names = ['000000-bag.png', '000001-bag.png', '000002-9.png', '000003-none.png'];
  t.same(readdirSync(example.path('one')).sort(), names);

  // A picture is that of its seed, number and label, whatever the batches are.
  await run(input, 'other', '--seed', '7', '--batch', '1', '--workers', '3');
  const { pixels } = await model.generate({ labels: ['bag', 'bag', 9, null], seed: 7 }).result();
  for (const [i, name] of names.entries()) {
    const bytes = readFileSync(example.path('one', name));
    t.same(bytes, readFileSync(example.path('other', name)), name);
    const { data } = decodePng(bytes, { height: 28, width: 28, channels: 1 });
    const own = pixels.data.subarray(i * 784, (i + 1) * 784);
    t.ok(
      data.every((value, j) => Math.abs(value - own[j]!) <= 0.5 / 255 + 1e-6),
      name,
    );
  }
});

t.test('a wrong line is named, in the words of the library', async (t) => {
  const { stderr, status } = await run('{"label":"bag"}\n{"label":"horse"}\n', 'wrong', ...cheap);
  t.match(stderr, /^line 2: Expected one of t-shirt, .* for label but received "horse"\n$/);
  t.equal(status, 1);
  for (const [line, message] of [
    ['{"label":"bag","count":0}', /^line 2: Expected an integer in 1 \.\. 65536 for count/],
    ['{"lable":"bag"}', /^line 2: Expected options among label, count but received "lable"$/],
    ...['null', '5', '"bag"', '[]', 'true\r'].map(
      (text) => [text, `line 2: Expected an object but received ${text.trim()}`] as const,
    ),
    ['{', /^line 2: .*JSON/],
    [`{"label":"${'x'.repeat(200_000)}`, /^line 2: more than 65536 characters$/],
  ] as const) {
    const bytes = Readable.from([Buffer.from('{"label":"bag"}\n'), Buffer.from(line)]);
    const all = stages.wishes(stages.lines(bytes), model);
    t.match(await all.next(), { value: { number: 0, label: 'bag' } });
    await t.rejects(all.next(), { message });
  }
  const options = await run('', 'wrong', '--steps', '0');
  t.match(options, { stderr: /for steps but received 0\n$/, status: 1 });
});

t.test('characters that chunks cut in two, and a last line without an end', async (t) => {
  const bytes = Buffer.from('{"label":"é"}\n\n7');
  for (let cut = 1; cut < bytes.length; ++cut) {
    const chunks = Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)]);
    t.same(await Readable.from(stages.lines(chunks)).toArray(), [
      { text: '{"label":"é"}', number: 1 },
      { text: '7', number: 3 },
    ]);
  }
});

/** Labels without an end; `read` counts them. */
const endless = () => {
  const source = {
    read: 0,
    async *labels(): AsyncGenerator<Wish> {
      for (;;) yield { number: source.read++, label: 'bag' };
    },
  };
  return source;
};

t.test('back-pressure: a slow reader of an endless source', async (t) => {
  const source = endless();
  const controller = new AbortController();
  let taken = 0;
  const slow = new Writable({
    objectMode: true,
    highWaterMark: 4,
    async write(_, __, done) {
      await wait(1);
      if (++taken === 100) controller.abort();
      done();
    },
  });
  await t.rejects(
    pipeline(
      source.labels,
      (wishes) => stages.batches(wishes, 8),
      (batches) => stages.samples(batches, model, cheapOptions),
      (samples) => stages.pictures(samples, pool),
      slow,
      { signal: controller.signal },
    ),
    { name: 'AbortError' },
  );
  // What waits for the writer, two pictures that are encoded, and the batches that are taken apart and generated.
  const { read } = source;
  t.ok(read >= taken && read <= taken + 4 + 2 + 8 + 8, `${read} read when ${taken} were taken`);
});

t.test('memory is flat', async (t) => {
  const source = endless();
  const controller = new AbortController();
  let written = 0;
  /** MiB of buffers, and of everything that stays but what V8 keeps in reserve, after every 100 pictures. */
  const memory: { buffers: number; resident: number }[] = [];
  const measure = new Writable({
    objectMode: true,
    write(_, __, done) {
      done();
      if (++written % 100 !== 0) return;
      globalThis.gc!();
      const { arrayBuffers, rss, heapTotal, heapUsed } = process.memoryUsage();
      memory.push({
        buffers: arrayBuffers / 2 ** 20,
        resident: (rss - heapTotal + heapUsed) / 2 ** 20,
      });
      if (memory.length === 24) controller.abort();
    },
  });
  await t.rejects(
    pipeline(
      source.labels,
      (wishes) => stages.batches(wishes, 32),
      (batches) => stages.samples(batches, model, cheapOptions),
      (samples) => stages.pictures(samples, pool),
      (pictures) => stages.files(pictures, example.path('many')),
      measure,
      { signal: controller.signal },
    ),
    { name: 'AbortError' },
  );
  // What is in flight, or freed but not yet swept, comes on top at each measurement: the least of several tells what
  // stays. Between the two halves after the first 400 pictures lie 1000 pictures, whose pixels are 3 MiB. The sessions of
  // their batches would be 600 MiB; the heaps of the two workers may grow by 16 MiB each.
  const least = (name: 'buffers' | 'resident', from: number) =>
    Math.min(...memory.slice(from, from + 10).map((each) => each[name]));
  for (const [name, bound] of [
    ['buffers', 1.5],
    ['resident', 40],
  ] as const) {
    const [early, late] = [least(name, 4), least(name, 14)];
    t.ok(
      late - early < bound,
      `${early.toFixed(1)} MiB of ${name}, then ${(late - early).toFixed(1)} more`,
    );
  }
});

t.test('an interrupted pipeline stops between steps', async (t) => {
  const { child, ended } = start('interrupted', '--batch', '1');
  child.stdin.on('error', () => undefined);
  child.stdin.write('{"label":"bag","count":65536}\n');
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  const { status } = await ended;
  t.equal(status, 130);
  t.ok(readdirSync(example.path('interrupted')).length < 65536);
});

t.test('nobody waits for a worker that has died', async (t) => {
  const pool = new Pool(1);
  const pixels = () => ({ data: new Float32Array(28 * 28), shape: [28, 28, 1] });
  t.equal((await pool.encode(pixels()))[1], 0x50, 'a PNG');
  // What it cannot encode ends it, and with it all that wait.
  const all = [{ data: new Float32Array(3), shape: [3] }, pixels(), pixels()];
  const results = await Promise.allSettled(all.map((each) => pool.encode(each)));
  t.same(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );
  const later = { message: /\[height, width, 1 or 3\]/ };
  await t.rejects(pool.encode(pixels()), later, 'nor for one that comes later');
  await pool.close();

  const killed = new Pool(2);
  const many = Promise.allSettled(Array.from({ length: 50 }, () => killed.encode(pixels())));
  await killed.close();
  t.ok((await many).some(({ status }) => status === 'rejected'));
  for (const size of [0, 1.5]) t.throws(() => new Pool(size), { message: /for workers but/ });
});

t.test('an error in the middle ends all stages', async (t) => {
  const input = '{"label":"bag","count":40}\n{"label":"boot"}\n{"label":"horse"}\n';
  const { stdout, stderr, status } = await run(input, 'middle', '--batch', '8', ...cheap);
  t.match({ stderr, status }, { stderr: /^line 3: /, status: 1 });
  const lines = stdout.trim().split('\n').filter(Boolean);
  const names = readdirSync(example.path('middle')).filter((name) => name.endsWith('.png'));
  t.ok(lines.length <= names.length && names.length <= 41, 'a line says that its file is written');
});

t.test('who stops reading its lines ends it', async (t) => {
  const { child, ended } = start('unread', ...cheap);
  child.stdin.on('error', () => undefined);
  child.stdin.write('{"label":"bag","count":65536}\n');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  const { stderr, status } = await ended.catch(async () => {
    const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    return { stderr: 'write EPIPE\n', status: code };
  });
  t.match({ stderr, status }, { stderr: 'write EPIPE\n', status: 1 });
});
