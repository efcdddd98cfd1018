#!/usr/bin/env node
// Labels in as JSON lines on stdin, PNGs out into a folder, and a JSON line on stdout for each file.

import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { load } from 'magnets';
import { batches, files, lines, pictures, wishes } from './stages.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'fashion' },
    out: { type: 'string', default: 'pictures' },
    batch: { type: 'string', default: '32' },
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

const model = await load(values.model);
const options = {
  seed: Number(values.seed),
  steps: number(values.steps),
  schedule: values.schedule,
  guidance: number(values.guidance),
  signal,
};

try {
  model.generate({ ...options, count: Number(values.batch) }); // refuses wrong options before the first line is read
  await pipeline(
    process.stdin,
    lines,
    (source) => wishes(source, model),
    (source) => batches(source, Number(values.batch)),
    (source) => pictures(source, model, options),
    files(values.out, (written) => process.stdout.write(`${JSON.stringify(written)}\n`)),
    { signal },
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = signal.aborted ? 130 : 1;
} finally {
  model.dispose();
}
