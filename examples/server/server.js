#!/usr/bin/env node
// Starts the server. Settings are environment variables; README.md lists them.

import { load } from 'magnets';
import { makeApp } from './app.js';

const {
  HOST = '127.0.0.1',
  PORT = '8080',
  MODELS = 'fashion,moving-digits',
  GRACE_SECONDS = '30',
} = process.env;

/** @param {string} name @param {number} fallback */
const setting = (name, fallback) => Number(process.env[name] ?? fallback);

/** @type {Map<string, import('magnets').Model>} */
const models = new Map();
const batching = { maxQueued: setting('MAX_QUEUED', 64) };
for (const name of MODELS.split(',')) models.set(name, await load(name, { batching }));

const { app, gate } = await makeApp(models, {
  maxCount: setting('MAX_COUNT', 64),
  maxTeraflops: setting('MAX_TERAFLOPS', 10),
  maxRunning: setting('MAX_RUNNING', 1),
  maxWaiting: setting('MAX_WAITING', 16),
});

let stopping = false;
/** What runs may end, and what waits for a batch; who waits for a turn is refused. After the grace period what still runs is stopped between two steps. */
async function stop() {
  if (stopping) return;
  stopping = true;
  const timer = setTimeout(() => gate.abort(), Number(GRACE_SECONDS) * 1000);
  await app.close();
  clearTimeout(timer);
  for (const model of models.values()) model.dispose();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

console.log(`Listening on ${await app.listen({ host: HOST, port: Number(PORT) })}`);
