/** examples/queue on a real Redis: several workers, one that is killed, jobs that fail, progress, and how they stop. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { encodePng, load, Tensor } from '../../lib/index.js';
import { install } from './install.js';

interface Job {
  readonly id: string;
  readonly attemptsMade: number;
  readonly stalledCounter: number;
  readonly failedReason: string;
  readonly returnvalue: { files: string[]; flops: number };
  waitUntilFinished(events: Events): Promise<{ files: string[]; flops: number }>;
}
interface Events {
  waitUntilReady(): Promise<void>;
  close(): Promise<void>;
  on(event: 'progress', listener: (event: { jobId: string; data: Progress }) => void): void;
}
interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly masked: number;
}
interface Queue {
  add(name: string, data: object, options: object): Promise<Job>;
  getJob(id: string): Promise<Job>;
  getWaitingCount(): Promise<number>;
  close(): Promise<void>;
}
type Connected<T> = new (name: string, options: { connection: object }) => T;

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;
const skip = !hasRedis && 'there is no redis-server';

t.test('a queue', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-redis-'));
  const socket = join(folder, 'redis.sock');
  const redis = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const lines = createInterface(redis.stdout);
  t.teardown(async () => {
    redis.kill('SIGKILL');
    await once(redis, 'exit');
    rmSync(folder, { recursive: true });
  });
  for await (const line of lines) if (/[Rr]eady to accept connections/.test(line)) break;
  redis.stdout.resume();

  const example = install('queue', t);
  t.equal(example.typeErrors(), '', 'its types');
  const bullmq = (await example.load('bullmq')) as {
    Queue: Connected<Queue>;
    QueueEvents: Connected<Events>;
  };
  const { jobOptions } = (await example.load('./queue.js')) as { jobOptions: object };
  const connection = { path: socket };
  const queue = new bullmq.Queue('pictures', { connection });
  const events = new bullmq.QueueEvents('pictures', { connection });
  await events.waitUntilReady();
  t.teardown(() => Promise.all([queue.close(), events.close()]));
  const progress = new Map<string, Progress[]>();
  events.on('progress', ({ jobId, data }) => {
    progress.set(jobId, [...(progress.get(jobId) ?? []), data]);
  });

  const env = { ...process.env, REDIS: socket };
  /** One that keeps its jobs however slow this machine is, unless its lock is to be short. */
  const startWorker = async (lockSeconds = '600', graceSeconds = '600') => {
    const child = spawn(process.execPath, ['worker.js'], {
      cwd: example.folder,
      env: {
        ...env,
        LOCK_SECONDS: lockSeconds,
        CHECK_SECONDS: '0.5',
        GRACE_SECONDS: graceSeconds,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    const errors = text(child.stderr);
    await once(createInterface(child.stdout), 'line');
    return { child, ended, errors };
  };
  const add = (id: string, data: object) =>
    queue.add('generate', data, { ...jobOptions, jobId: id });
  const until = async (condition: () => boolean) => {
    for (let i = 0; i < 1500 && !condition(); ++i) await wait(20);
  };
  /** Most of a second of work. */
  const long = { labels: ['bag'], count: 2, seed: 3, steps: 24, schedule: 'baseline' };

  const model = await load('fashion');
  t.teardown(() => model.dispose());
  /** The pictures of a job are those of its options. */
  const isDone = async (files: string[], options: object) => {
    const { pixels } = await model.generate(options).result();
    return files.every((file, i) => {
      const own = pixels.data.subarray(i * 784, (i + 1) * 784);
      const expected = encodePng(new Tensor('float32', own, [28, 28, 1]));
      return readFileSync(example.path(file)).equals(expected);
    });
  };

  const first = await startWorker();
  const second = await startWorker();

  await t.test('what a user types', async (t) => {
    const child = spawn(process.execPath, ['add.js', 'bag', 'horse'], { cwd: example.folder, env });
    const [stdout, stderr, [status]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    t.match(stdout, /job \d+: step 12 of 12, 0 tokens masked\njob \d+: pictures\/\d+-0\.png\n/);
    t.match(stderr, /^job \d+: Expected one of t-shirt, .* received "horse"\n$/);
    t.equal(status, 1);
  });

  await t.test('jobs are done, with progress', async (t) => {
    const options = [1, 2, 3, 4].map((seed) => ({ labels: ['boot', null], count: 3, seed }));
    const jobs = await Promise.all(options.map((data, i) => add(`easy${i}`, data)));
    for (const [i, job] of jobs.entries()) {
      const { files, flops } = await job.waitUntilFinished(events);
      t.equal(files.length, 3);
      t.equal(flops, model.generate(options[i]!).plannedFlops);
      t.ok(await isDone(files, options[i]!));
    }
    const seen = progress.get('easy0')!;
    t.same(
      seen.map(({ step, steps }) => [step, steps]),
      Array.from({ length: 12 }, (_, step) => [step, 12]),
    );
    t.equal(seen.at(-1)?.masked, 0);
  });

  await t.test('a job that always fails ends as failed after its tries', async (t) => {
    mkdirSync(example.path('pictures/unlucky-0.png')); // where its picture would be
    const unlucky = await add('unlucky', { labels: ['bag'], seed: 1, steps: 1 });
    await t.rejects(unlucky.waitUntilFinished(events), /EISDIR|ENOTEMPTY|EEXIST|directory/);
    t.equal((await queue.getJob('unlucky')).attemptsMade, 3);
    const wrong = await add('wrong', { labels: ['horse'], seed: 1 });
    await t.rejects(wrong.waitUntilFinished(events), /for label but received "horse"/);
    t.equal((await queue.getJob('wrong')).attemptsMade, 1, 'a wrong argument is not tried again');
    for (const [i, data] of [5, ['bag'], 'bag'].entries()) {
      const odd = await add(`odd${i}`, data as unknown as object);
      await t.rejects(odd.waitUntilFinished(events), /^Expected an object for data but received/);
    }
  });

  await t.test('an id that looks like a path is a name', async (t) => {
    const job = await add('../../é', { labels: ['bag'], seed: 1, steps: 1 });
    const { files } = await job.waitUntilFinished(events);
    t.same(files, ['pictures/..%2F..%2F%C3%A9-0.png']);
    t.ok(await isDone(files, { labels: ['bag'], seed: 1, steps: 1 }));
  });

  await t.test('an idle worker is stopped', async (t) => {
    first.child.kill('SIGTERM');
    t.same(await first.ended, [0, null]);
  });

  await t.test('a worker that is killed loses no job', async (t) => {
    const doomed = await startWorker('1');
    // Both workers are at work when one of them dies.
    const jobs = [await add('long0', long), await add('long1', { ...long, seed: 4 })];
    await until(() => ['long0', 'long1'].every((id) => (progress.get(id)?.length ?? 0) > 1));
    doomed.child.kill('SIGKILL');
    await doomed.ended;
    for (const [i, job] of jobs.entries()) {
      const { files } = await job.waitUntilFinished(events);
      t.ok(await isDone(files, { ...long, seed: 3 + i }));
    }
    const stalled = await Promise.all(
      jobs.map(async ({ id }) => (await queue.getJob(id)).stalledCounter),
    );
    t.same(stalled.sort(), [0, 1], 'one of them was begun twice');
    const unfinished = readdirSync(example.path('pictures')).filter(
      (file) => !file.endsWith('.png'),
    );
    t.same(
      unfinished.filter((file) => file.startsWith('long')),
      [],
      'no half of a picture',
    );
  });

  await t.test('a worker that stood still for too long gives its job up', async (t) => {
    const paused = await startWorker('1');
    const jobs = [await add('slow0', long), await add('slow1', long)];
    await until(() => ['slow0', 'slow1'].every((id) => (progress.get(id)?.length ?? 0) > 1));
    paused.child.kill('SIGSTOP');
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    const written = () =>
      results.flatMap(({ files }) => files.map((file) => statSync(example.path(file)).mtimeMs));
    const before = written(); // all by the other worker
    paused.child.kill('SIGCONT');
    paused.child.kill('SIGTERM');
    t.same(await paused.ended, [0, null]);
    t.match(await paused.errors, /^could not renew lock for job slow\d\n/);
    t.same(written(), before, 'it has ended what it did not need to do');
  });

  await t.test('a worker that is stopped ends its job and takes no other', async (t) => {
    const last = await add('last', long);
    await until(() => (progress.get('last')?.length ?? 0) > 1);
    await add('left', { labels: ['bag'], seed: 1 });
    second.child.kill('SIGTERM');
    const { files } = await last.waitUntilFinished(events);
    t.equal(files.length, 2);
    t.same(await second.ended, [0, null]);
    t.equal(await queue.getWaitingCount(), 1);
  });

  await t.test('a worker is stopped though Redis does not answer', async (t) => {
    const worker = await startWorker('600', '1');
    redis.kill('SIGSTOP');
    worker.child.kill('SIGTERM');
    t.same(await worker.ended, [1, null]);
    redis.kill('SIGCONT');
  });
});
