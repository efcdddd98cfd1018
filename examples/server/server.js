#!/usr/bin/env node
// Starts the server. Settings are environment variables; README.md lists them.

import { load } from 'magnets';
import { makeApp } from './app.js';

const { HOST = '127.0.0.1', MODELS = 'fashion,moving-digits' } = process.env;

/** @param {string} name @param {number} fallback */
function setting(name, fallback) {
  const text = process.env[name] ?? String(fallback);
  const value = Number(text);
  if (text.trim() !== '' && value >= 0) return value;
  throw new RangeError(`Expected a number from 0 for ${name} but received "${text}"`);
}

const port = setting('PORT', 8080);
const grace = setting('GRACE_SECONDS', 30) * 1000;
const batching = { maxQueued: setting('MAX_QUEUED', 64) };
const limits = {
  maxCount: setting('MAX_COUNT', 64),
  maxTeraflops: setting('MAX_TERAFLOPS', 10),
  maxRunning: setting('MAX_RUNNING', 1),
  maxWaiting: setting('MAX_WAITING', 16),
};

/** @type {Map<string, import('magnets').Model>} */
const models = new Map();
for (const name of MODELS.split(',')) models.set(name, await load(name, { batching }));
const { app, gate } = await makeApp(models, limits);

let stopping = false;
/**
 * What runs may end, and what waits for a batch; who waits for a turn is refused. After the grace period what still runs
 * is stopped between two steps, and a second later, when that has been told, who still sends or reads is hung up on.
 */
async function stop() {
  if (stopping) return;
  stopping = true;
  const timers = [
    setTimeout(() => gate.abort(), grace),
    setTimeout(() => app.server.closeAllConnections(), grace + 1000),
  ];
  await app.close();
  for (const timer of timers) clearTimeout(timer);
  for (const model of models.values()) model.dispose();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

console.log(`Listening on ${await app.listen({ host: HOST, port })}`);
