// What the server counts, in the form of Prometheus.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** @param {import('./gate.js').Gate} gate */
export function makeMetrics(gate) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const state of /** @type {const} */ (['running', 'waiting'])) {
    new Gauge({
      name: `magnets_requests_${state}`,
      help: `Requests that are ${state}`,
      registers,
      collect() {
        this.set(gate[state]);
      },
    });
  }
  return {
    registry,
    requests: new Counter({
      name: 'magnets_requests_total',
      help: 'Requests that have ended: done, left by their client, refused or failed',
      labelNames: ['model', 'outcome'],
      registers,
    }),
    samples: new Counter({
      name: 'magnets_samples_total',
      help: 'Samples that were generated',
      labelNames: ['model'],
      registers,
    }),
    steps: new Counter({
      name: 'magnets_steps_total',
      help: 'Steps that have run, by the width of the sub-model',
      labelNames: ['model', 'width'],
      registers,
    }),
    flops: new Counter({
      name: 'magnets_flops_total',
      help: 'FLOPs of these steps, counted while running',
      labelNames: ['model'],
      registers,
    }),
    seconds: new Histogram({
      name: 'magnets_request_seconds',
      help: 'Seconds from the arrival of a request to its end, of those that were done',
      labelNames: ['model'],
      buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50],
      registers,
    }),
  };
}
