// POST /v1/generations: the options of model.generate as JSON, and server-sent events as they are run.
//
//   plan    what each step will cost, by formula, with the seed
//   step    after each step: what is masked, its FLOPs and seconds, and with `previews` a picture of every sample
//   result  tokens and pictures of every sample, and the totals
//   error   instead of a result, when it ends early

import { once } from 'node:events';
import { clientOf, findModel, runJob } from './job.js';
import { dataUrl, filesOf } from './pictures.js';
import { bodyOf, checked, errorBody, quote } from './refusal.js';

/**
 * @param {import('fastify').FastifyInstance} app
 * @param {import('./job.js').Service} service
 */
export function addGenerations(app, service) {
  app.post('/v1/generations', async (request, reply) => {
    const { model: name, previews = false, ...options } = bodyOf(request, ['signal']);
    const model = findModel(service, name);
    checked(() => {
      if (typeof previews === 'boolean') return;
      throw new TypeError(`Expected a boolean for previews but received ${quote(previews)}`);
    });
    const client = clientOf(reply);
    await runJob(service, model, options, client, async (generation) => {
      const leave = await service.gate.enter(client);
      const send = openEvents(reply, client);
      try {
        await send('plan', describe(generation));
        for await (const { tokens, parts, ...step } of timed(generation)) {
          const pictures = previews ? await generation.preview({ tokens }) : undefined;
          await send('step', { ...step, previews: pictures && filesOf(pictures).map(dataUrl) });
        }
        await send('result', await outcome(generation));
      } catch (error) {
        if (!reply.raw.destroyed) await send('error', errorBody(error));
        throw error;
      } finally {
        reply.raw.end();
        leave();
      }
    }).catch((error) => {
      if (!reply.sent) throw error; // refused before the first event: an answer of its own
      request.log.info(error);
    });
  });
}

/**
 * Begins an answer of events. What it returns sends one, no faster than the client reads, and hangs up on a client that
 * has stopped reading.
 * @param {import('fastify').FastifyReply} reply
 * @param {AbortSignal} client
 * @param {number} patience milliseconds that it may take to read: it holds the turn that others wait for
 */
export function openEvents(reply, client, patience = 30_000) {
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    connection: 'close', // the server may be closing when the last event is sent
    'x-accel-buffering': 'no', // proxies pass every event on at once
  });
  /** @param {string} event @param {object} data */
  return async (event, data) => {
    const sent = reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (sent) return;
    const timer = setTimeout(() => reply.raw.destroy(), patience);
    try {
      await once(reply.raw, 'drain', { signal: client });
    } finally {
      clearTimeout(timer);
    }
  };
}

/**
 * The steps with the seconds that each took.
 * @param {import('magnets').Generation} generation
 */
async function* timed(generation) {
  let started = performance.now();
  for await (const step of generation) {
    yield { ...step, seconds: (performance.now() - started) / 1000 };
    started = performance.now();
  }
}

/** @param {import('magnets').Generation} generation */
function describe({ seed, labels, plans, plannedFlops, baselineFlops }) {
  return {
    seed: typeof seed === 'bigint' ? String(seed) : seed,
    labels,
    flops: plannedFlops,
    baselineFlops,
    steps: plans.map(({ steps }) =>
      steps.map(({ width, refresh, activeRows, masked, flops }) => ({
        width: width.name,
        refresh,
        activeRows,
        masked,
        flops,
      })),
    ),
  };
}

/** @param {import('magnets').Generation} generation */
async function outcome(generation) {
  const { tokens, pixels, plan, flops, baselineFlops, flopsRatio, seconds } =
    await generation.result();
  const [count = 0, length = 0] = tokens.dims;
  return {
    tokens: Array.from({ length: count }, (_, i) => [
      ...tokens.data.subarray(i * length, (i + 1) * length),
    ]),
    pictures: filesOf(pixels).map(dataUrl),
    plan,
    flops,
    baselineFlops,
    flopsRatio,
    seconds,
  };
}
