// The server's routes. It loads no model and listens nowhere, so a test or another program can do both.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import serveStatic from '@fastify/static';
import fastify from 'fastify';
import { Gate } from './gate.js';
import { addGenerations } from './generations.js';
import { addImages } from './images.js';
import { makeMetrics } from './metrics.js';
import { errorBody, statusOf } from './refusal.js';

/**
 * @param {Map<string, import('magnets').Model>} models by the name that clients use; the first is the default
 * @param {import('./job.js').Limits} limits
 */
export async function makeApp(models, limits) {
  const gate = new Gate(limits.maxRunning, limits.maxWaiting);
  const service = { models, gate, limits, metrics: makeMetrics(models, gate) };
  const app = fastify({
    logger: { level: process.env.LOG_LEVEL ?? 'warn' },
    requestTimeout: 30_000, // who is slower to ask only holds a connection
    frameworkErrors: answerError, // a URL that cannot be decoded
  });
  app.addHook('preClose', async () => gate.close());
  app.addHook('onResponse', async (_, reply) => service.metrics.answered(reply.statusCode));
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) => {
    const message = `${request.method} ${request.url} is not served here`;
    const error = { message, type: 'invalid_request_error', param: null, code: null };
    return reply.code(404).send({ error });
  });

  app.get('/health', async () => {
    const states = [...models.values()].map((model) => model.metrics().requests);
    const running = states.reduce((sum, state) => sum + state.running, 0);
    const waiting = states.reduce((sum, { queued }) => sum + queued, gate.waiting);
    return { status: 'ok', running, waiting };
  });
  app.get('/metrics', async (_, reply) => {
    const { registry } = service.metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  app.get('/v1/models', async () => ({ object: 'list', data: [...models].map(describe) }));
  addImages(app, service);
  addGenerations(app, service);

  // The page, and magnets/plan, which runs in a browser as it is.
  await app.register(serveStatic, { root: join(import.meta.dirname, 'public') });
  const plan = dirname(fileURLToPath(import.meta.resolve('magnets/plan')));
  for (const [prefix, root] of [
    ['/magnets/plan/', plan],
    ['/magnets/', dirname(plan)],
  ]) {
    const allowed = (/** @type {string} */ path) => /^\/[\w-]+\.js$/.test(path);
    await app.register(serveStatic, { root, prefix, decorateReply: false, allowedPath: allowed });
  }
  return { app, gate };
}

/**
 * @param {unknown} error
 * @param {import('fastify').FastifyRequest} request
 * @param {import('fastify').FastifyReply} reply
 */
function answerError(error, request, reply) {
  const status = statusOf(error);
  if (status === 500 && !reply.raw.destroyed) request.log.error(error); // nobody is there whose client has left
  if (status === 429) reply.header('retry-after', '1');
  return reply.code(status).send(errorBody(error));
}

/**
 * A model in the form of OpenAI's API, with what the page needs to plan.
 * @param {[string, import('magnets').Model]} entry
 */
function describe([id, { config, tokenizerConfig, backend, threads }]) {
  const [frames, height, width] = tokenizerConfig?.sampleShape ?? [];
  return {
    id,
    object: 'model',
    owned_by: 'magnets',
    config,
    sample: { frames, height, width, channels: tokenizerConfig?.channels },
    backend,
    threads,
  };
}
