#!/usr/bin/env node
// Adds a job for each label that it is given, and shows how they come about.

import { Queue, QueueEvents } from 'bullmq';
import { connection, jobOptions, name } from './queue.js';

const labels = process.argv.slice(2);
const queue = new Queue(name, { connection });
const events = new QueueEvents(name, { connection });
// Both try again until Redis is there.
queue.on('error', ({ message }) => console.error(message));
events.on('error', ({ message }) => console.error(message));
await events.waitUntilReady();

events.on('progress', ({ jobId, data }) => {
  const { step, steps, masked } = /** @type {import('./queue.js').Progress} */ (data);
  console.log(`job ${jobId}: step ${step + 1} of ${steps}, ${masked} tokens masked`);
});

const jobs = await queue.addBulk(
  labels.map((label, i) => ({
    name: 'generate',
    data: { labels: [label], seed: i },
    opts: jobOptions,
  })),
);
for (const job of jobs) {
  try {
    const { files } = await job.waitUntilFinished(events);
    console.log(`job ${job.id}: ${files.join(', ')}`);
  } catch (error) {
    console.error(`job ${job.id}: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
await Promise.all([events.close(), queue.close()]);
