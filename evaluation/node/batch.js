// @ts-check

/**
 * Returns how many samples are generated at once: on the CPU so few that the activations stay in its caches, on a GPU
 * enough to fill it.
 *
 * @param {{ backend: string, tokenCount: number }} model
 * @returns {number}
 */
export function defaultBatch({ backend, tokenCount }) {
  return Math.ceil((backend.startsWith('cuda') ? 65536 : 2000) / tokenCount);
}
