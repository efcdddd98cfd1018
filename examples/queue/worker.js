#!/usr/bin/env node
// A worker: takes one job after the other, or some at once, and writes a PNG for each sample. Start as many as there are
// machines, or devices. A worker that dies does not say so: its lock on the job expires, and another worker does the job.

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UnrecoverableError, Worker } from 'bullmq';
import { encodePng, load, Tensor } from 'magnets';
import { connection, name } from './queue.js';

const { MODEL = 'fashion', OUT = 'pictures', THREADS, JOBS = '1' } = process.env;
const { LOCK_SECONDS = '30', CHECK_SECONDS = LOCK_SECONDS, GRACE_SECONDS = '60' } = process.env;

const model = await load(MODEL, { threads: THREADS ? Number(THREADS) : undefined });
await mkdir(OUT, { recursive: true });

/**
 * @param {import('bullmq').Job<import('./queue.js').Job, import('./queue.js').Done>} job
 * @param {string | undefined} _ the token of its lock
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<import('./queue.js').Done>}
 */
async function generate(job, _, signal) {
  /** @type {Promise<void>[]} */
  const told = [];
  const { pixels, flops, seconds } = await start(job.data, signal).result({
    onStep: ({ step, steps, masked }) =>
      told.push(job.updateProgress({ step, steps, masked }).catch(console.error)),
  });
  await Promise.all(told);
  const [count = 0, ...shape] = pixels.dims;
  const size = pixels.data.length / count;
  const files = [];
  for (let i = 0; i < count; ++i) {
    const own = pixels.data.subarray(i * size, (i + 1) * size);
    const file = join(OUT, `${encodeURIComponent(String(job.id))}-${i}.png`); // an id may be any text
    // Renamed when it is complete: a worker that dies while it writes leaves no half of a picture.
    const unfinished = `${file}.${process.pid}`;
    await writeFile(unfinished, encodePng(new Tensor('float32', own, shape)));
    await rename(unfinished, file);
    files.push(file);
  }
  return { files, flops, seconds };
}

/**
 * A wrong argument is wrong at every try, so the job fails at once.
 * @param {import('./queue.js').Job} data
 * @param {AbortSignal | undefined} signal
 */
function start(data, signal) {
  try {
    if (typeof data !== 'object' || data === null || Array.isArray(data)) {
      throw new TypeError(`Expected an object for data but received ${JSON.stringify(data)}`);
    }
    return model.generate({ ...data, signal });
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UnrecoverableError(error.message);
    }
    throw error;
  }
}

const worker = new Worker(name, generate, {
  connection,
  concurrency: Number(JOBS),
  lockDuration: Number(LOCK_SECONDS) * 1000, // it is renewed while the job is done
  stalledInterval: Number(CHECK_SECONDS) * 1000,
  maxStalledCount: 2, // workers that may die of one job before it is failed: it may be the job that kills them
});
worker.on('error', ({ message }) => console.error(message)); // it connects again when Redis is back
// This process stood still for longer than its lock lasts, so the job is another worker's.
worker.on('lockRenewalFailed', (jobs) => {
  for (const id of jobs) worker.cancelJob(id, 'its lock was lost');
});
worker.on('failed', (job, error) => console.error(`job ${job?.id} failed: ${error.message}`));

/** The job that runs is done, and no other is taken. What cannot be done in time, or told to Redis, another worker does. */
async function stop() {
  setTimeout(() => process.exit(1), Number(GRACE_SECONDS) * 1000).unref();
  await worker.close();
  model.dispose();
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);

await worker.waitUntilReady();
console.log(`worker ${process.pid} is ready`);
