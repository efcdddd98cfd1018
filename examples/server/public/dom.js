// The elements of index.html by their ids, and small things that the parts of the page share.

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export const get = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {string} id @returns {HTMLInputElement} */
export const input = (id) => get(id);
/** @param {string} id @returns {HTMLButtonElement} */
export const button = (id) => get(id);

/** Whether the reader has asked for nothing to move by itself. */
export const wantsStillness = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** How to scroll, as the reader wants it. */
export const scrolling = () => (wantsStillness() ? 'instant' : 'smooth');

/** @param {number} flops */
export const gigaflops = (flops) => (flops / 1e9).toFixed(flops < 1e11 ? 1 : 0);

/** @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));
