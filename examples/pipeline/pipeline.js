#!/usr/bin/env node
// Labels in as JSON lines on stdin, PNGs out into a folder, and a JSON line on stdout for each file.

import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { load } from 'magnets';
import { Pool } from './pool.js';
import { batches, files, jsonLines, lines, pictures, samples, wishes } from './stages.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    out: { type: 'string', default: 'pictures' },
    batch: { type: 'string', default: '32' },
    workers: { type: 'string', default: '1' },
    seed: { type: 'string', default: '0' },
    steps: { type: 'string' },
    schedule: { type: 'string' },
    guidance: { type: 'string' },
  },
});
/** @param {string | undefined} text */
const number = (text) => (text === undefined ? undefined : Number(text));

const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
process.once('SIGTERM', () => controller.abort());
const { signal } = controller;

const options = {
  seed: Number(values.seed),
  steps: number(values.steps),
  schedule: values.schedule,
  guidance: number(values.guidance),
  signal,
};

async function run() {
  const model = await load(values.model);
  const pool = new Pool(Number(values.workers));
  try {
    model.generate({ ...options, count: Number(values.batch) }); // refuses wrong options before the first line is read
    await pipeline(
      process.stdin,
      async function* (chunks) {
        const wanted = batches(wishes(lines(chunks), model), Number(values.batch));
        const drawn = pictures(samples(wanted, model, options), pool);
        yield* jsonLines(files(drawn, values.out));
      },
      process.stdout,
      { signal, end: false }, // stdout stays open
    );
  } finally {
    await pool.close();
    model.dispose();
  }
}

try {
  await run();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = signal.aborted ? 130 : 1;
}
