// One generation of a client: checked, run, timed, and ended when its client leaves.

import { checked, quote, Refusal } from './refusal.js';

/**
 * @typedef {import('magnets').Model} Model
 * @typedef {import('magnets').Generation} Generation
 * @typedef {import('magnets').GenerateOptions} GenerateOptions
 * @typedef {object} Limits
 * @property {number} maxCount samples of one request
 * @property {number} maxTeraflops of one request
 * @property {number} maxRunning watched requests that run at the same time
 * @property {number} maxWaiting watched requests that may wait for their turn
 * @typedef {object} Service
 * @property {Map<string, Model>} models
 * @property {import('./gate.js').Gate} gate
 * @property {ReturnType<typeof import('./metrics.js').makeMetrics>} metrics
 * @property {Limits} limits
 */

/**
 * The model of this name; without a name the first one.
 * @param {Service} service
 * @param {unknown} name
 * @returns {Model}
 */
export function findModel({ models }, name) {
  const [first] = models.keys();
  const model = models.get(/** @type {string} */ (name ?? first));
  if (model === undefined) {
    const names = [...models.keys()].join(', ');
    const message = `Expected one of ${names} for model but received ${quote(name)}`;
    throw new Refusal(404, message);
  }
  return model;
}

/**
 * Aborted when the client leaves before its answer is complete.
 * @param {import('fastify').FastifyReply} reply
 */
export function clientOf({ raw }) {
  const controller = new AbortController();
  if (raw.closed) controller.abort();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

/**
 * Checks a request and runs `work` with its generation, which ends when the client leaves or the server stops.
 * @template T
 * @param {Service} service
 * @param {Model} model
 * @param {GenerateOptions} options as the client sent them
 * @param {AbortSignal} client
 * @param {(generation: Generation) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function runJob({ models, gate, metrics, limits }, model, options, client, work) {
  const started = performance.now();
  const generation = checked(() => {
    checkCount(options, limits.maxCount);
    return model.generate({ ...options, signal: AbortSignal.any([client, gate.signal]) });
  });
  checkCost(generation, limits.maxTeraflops);
  const result = await work(generation);
  const labels = { model: [...models].find((entry) => entry[1] === model)?.[0] ?? '' };
  metrics.seconds.observe(labels, (performance.now() - started) / 1000);
  return result;
}

/**
 * Before the request is made, which would allocate as much as it asks for.
 * @param {GenerateOptions} options
 * @param {number} most
 */
function checkCount({ count, tokens, labels }, most) {
  const lists = /** @type {(readonly unknown[] | undefined)[]} */ ([tokens, labels]);
  const asked = count ?? lists.find((list) => list !== undefined)?.length ?? 1;
  if (asked > most) {
    const expected = `Expected an integer in 1 .. ${most} for count`;
    throw new RangeError(`${expected} but received ${quote(asked)}`);
  }
}

/**
 * What a request costs is known before it runs.
 * @param {Generation} generation
 * @param {number} most
 */
function checkCost({ plannedFlops }, most) {
  const teraflops = plannedFlops / 1e12;
  if (teraflops <= most) return;
  const cost = `${teraflops.toFixed(2)} TFLOP`;
  throw new Refusal(413, `Expected a request of at most ${most} TFLOP but received one of ${cost}`);
}
