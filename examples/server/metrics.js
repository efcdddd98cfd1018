// What the models and the server count, in the form of Prometheus.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/**
 * Labels and a value of each.
 * @typedef {(metrics: import('magnets').Metrics) => Iterable<[Record<string, string>, number]>} Read
 */

/**
 * One value for each key.
 * @param {string} label
 * @param {Readonly<Record<string, number>>} counts
 * @returns {[Record<string, string>, number][]}
 */
const by = (label, counts) =>
  Object.entries(counts).map(([key, value]) => [{ [label]: key }, value]);

/** @type {[name: string, help: string, labels: string[], read: Read][]} counted by the models themselves */
const counters = [
  [
    'requests',
    'Requests that have ended: done, failed, aborted (their client has left) or refused',
    ['outcome'],
    ({ requests: { queued, running, ...ended } }) => by('outcome', ended),
  ],
  ['samples', 'Samples that were generated', [], ({ samples }) => [[{}, samples]]],
  [
    'batches',
    'Batches, by the samples of all requests that shared one',
    ['samples'],
    ({ batches }) => by('samples', batches),
  ],
  [
    'steps',
    'Steps that have run, by the width of the sub-model',
    ['width'],
    ({ steps }) => by('width', steps),
  ],
  ['flops', 'FLOPs of these steps, counted while running', [], ({ flops }) => [[{}, flops]]],
  [
    'seconds',
    'Seconds that requests were queued, and that steps took',
    ['state'],
    ({ seconds }) => by('state', seconds),
  ],
];

/**
 * @param {Map<string, import('magnets').Model>} models
 * @param {import('./gate.js').Gate} gate
 */
export function makeMetrics(models, gate) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const [name, help, labels, read] of counters) {
    new Counter({
      name: `magnets_${name}_total`,
      help,
      labelNames: ['model', ...labels],
      registers,
      collect() {
        this.reset(); // they come as totals
        for (const [model, each] of models) {
          for (const [labels, value] of read(each.metrics())) this.inc({ model, ...labels }, value);
        }
      },
    });
  }
  for (const state of /** @type {const} */ (['queued', 'running'])) {
    new Gauge({
      name: `magnets_requests_${state}`,
      help: `Requests that are ${state}`,
      labelNames: ['model'],
      registers,
      collect() {
        for (const [model, each] of models) this.set({ model }, each.metrics().requests[state]);
      },
    });
  }
  new Gauge({
    name: 'magnets_watched_waiting',
    help: 'Watched requests that wait for their turn',
    registers,
    collect() {
      this.set(gate.waiting);
    },
  });
  const answers = new Counter({
    name: 'magnets_answers_total',
    help: 'Answers to clients, by their HTTP status',
    labelNames: ['status'],
    registers,
  });
  return {
    registry,
    /** @param {number} status */
    answered: (status) => answers.inc({ status: String(status) }),
    seconds: new Histogram({
      name: 'magnets_request_seconds',
      help: 'Seconds from the arrival of a request to its end, of those that were done',
      labelNames: ['model'],
      buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50],
      registers,
    }),
  };
}
