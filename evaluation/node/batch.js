/** Samples at once: on the CPU so few that activations stay in its caches, on a GPU enough to fill it. */
export const batchOf = ({ backend, tokens }) =>
  Math.ceil((backend.startsWith('cuda') ? 65536 : 2000) / tokens);
