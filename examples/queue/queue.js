// What the worker and who adds jobs have in common: the queue, and what a job is.

export const name = 'pictures';

/**
 * A job: options of model.generate, with a seed, so that a job which is done twice gives the same pictures.
 * @typedef {{ labels: (string | number | null)[], seed: number, count?: number, steps?: number, schedule?: string, guidance?: number }} Job
 * What it ends with.
 * @typedef {{ files: string[], flops: number, seconds: number }} Done
 * What it says on its way.
 * @typedef {{ step: number, steps: number, masked: number }} Progress
 */

/** A job that fails is tried again a little later, and is failed for good after its tries. */
export const jobOptions = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 200 },
  removeOnComplete: { age: 3600 },
};

const { REDIS = 'redis://127.0.0.1:6379' } = process.env;

/** `REDIS` is a URL, or the path of a socket. */
export const connection = REDIS.startsWith('/') ? { path: REDIS } : { url: REDIS };
