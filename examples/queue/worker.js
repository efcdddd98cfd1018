#!/usr/bin/env node
// A worker: takes one job after the other, and writes a PNG for each sample. Start as many as there are machines, or
// devices. A worker that dies does not say so: its lock on the job expires, and another worker does the job.

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UnrecoverableError, Worker } from 'bullmq';
import { encodePng, load, Tensor } from 'magnets';
import { connection, name } from './queue.js';

const { MODEL = 'fashion', OUT = 'pictures', LOCK_SECONDS = '30' } = process.env;
const lockDuration = Number(LOCK_SECONDS) * 1000;

const model = await load(MODEL);
await mkdir(OUT, { recursive: true });

/**
 * @param {import('bullmq').Job<import('./queue.js').Job, import('./queue.js').Done>} job
 * @returns {Promise<import('./queue.js').Done>}
 */
async function generate(job) {
  const generation = start(job.data);
  for await (const { step, steps, masked } of generation) {
    await job.updateProgress({ step, steps, masked });
  }
  const { pixels, flops, seconds } = await generation.result();
  const [count = 0, ...shape] = pixels.dims;
  const size = pixels.data.length / count;
  const files = [];
  for (let i = 0; i < count; ++i) {
    const own = pixels.data.subarray(i * size, (i + 1) * size);
    const file = join(OUT, `${job.id}-${i}.png`);
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
 * @param {import('./queue.js').Job} options
 */
function start(options) {
  try {
    return model.generate(options);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UnrecoverableError(error.message);
    }
    throw error;
  }
}

const worker = new Worker(name, generate, {
  connection,
  lockDuration, // it is renewed while the job is done
  stalledInterval: lockDuration,
  maxStalledCount: 2, // workers that may die of one job before it is failed: it may be the job that kills them
});
worker.on('error', (error) => console.error(error));
worker.on('failed', (job, error) => console.error(`job ${job?.id} failed: ${error.message}`));

/** The job that runs is done, and no other is taken. */
async function stop() {
  await worker.close();
  model.dispose();
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);

await worker.waitUntilReady();
console.log(`worker ${process.pid} is ready`);
