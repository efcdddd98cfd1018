#!/usr/bin/env node
// Pictures per second of so many workers with so many threads each, in turn, on a Redis of its own:
// `node throughput.js --jobs 60 1x1 1x2 2x1`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Queue, QueueEvents } from 'bullmq';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: '60' },
    count: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
  },
});
const count = Number(values.count);

const folder = mkdtempSync(join(tmpdir(), 'magnets-queue-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const socket = join(folder, 'redis.sock');
const settings = ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder];
const redis = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
process.on('exit', () => redis.kill()); // a child outlives a parent that fails
for await (const line of createInterface(redis.stdout)) if (/ready to accept/i.test(line)) break;
redis.stdout.resume();

process.env.REDIS = socket;
const { connection, name } = await import('./queue.js');
const queue = new Queue(name, { connection });
const events = new QueueEvents(name, { connection });
await events.waitUntilReady();

/** @param {string} threads */
async function startWorker(threads) {
  const env = { ...process.env, THREADS: threads, OUT: join(folder, 'pictures') };
  const script = join(import.meta.dirname, 'worker.js');
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => child.kill());
  await once(createInterface(child.stdout), 'line'); // it is ready
  return child;
}

/** Seconds until all of so many jobs are done. @param {number} jobs */
async function run(jobs) {
  const started = performance.now();
  const done = new Promise((resolve, reject) => {
    let left = jobs;
    events.removeAllListeners();
    events.on('completed', () => --left || resolve(undefined));
    events.on('failed', ({ failedReason }) => reject(new Error(failedReason)));
  });
  await queue.addBulk(
    Array.from({ length: jobs }, (_, seed) => ({
      name: 'generate',
      data: { labels: [seed % 10], count, seed },
      opts: { removeOnComplete: true },
    })),
  );
  await done;
  return (performance.now() - started) / 1000;
}

/** @type {Map<string, number[]>} */
const rates = new Map(positionals.map((each) => [each, []]));
for (let round = 0; round < Number(values.rounds); ++round) {
  for (const [each, measured] of rates) {
    const [workers = '1', threads = '1'] = each.split('x');
    const children = await Promise.all(
      Array.from({ length: Number(workers) }, () => startWorker(threads)),
    );
    await run(2 * children.length); // their first pictures
    const jobs = Number(values.jobs);
    measured.push((jobs * count) / (await run(jobs)));
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')));
  }
}
for (const [each, measured] of rates) {
  const rounds = measured.map((rate) => rate.toFixed(1)).join(', ');
  console.log(`${each.replace('x', ' workers x ')} threads: ${rounds} pictures per second`);
}

await Promise.all([events.close(), queue.close()]);
redis.kill();
await once(redis, 'exit');
