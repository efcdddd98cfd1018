// The stages of the pipeline: bytes -> lines -> wishes -> batches -> samples -> pictures -> files.
// All are async generators. A generator runs only while the stage after it asks for more, so nothing piles up: the slowest
// stage sets the pace of all.

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @typedef {import('magnets').Model} Model
 * @typedef {import('magnets').GenerateOptions} GenerateOptions
 * @typedef {{ text: string, number: number }} Line number: from 1
 * @typedef {{ number: number, label: string | number | null }} Wish one picture that is wanted; number: from 0
 * @typedef {Wish & { pixels: import('./pool.js').Pixels }} Sample
 * @typedef {Wish & { png: Uint8Array }} Picture
 * @typedef {Wish & { file: string }} Written
 */

/** A line of more characters than this is refused: it would be kept in memory until its end comes. */
const longestLine = 65536;

/**
 * Bytes to lines, without the empty ones.
 * @param {AsyncIterable<Uint8Array>} chunks
 * @returns {AsyncGenerator<Line>}
 */
export async function* lines(chunks) {
  const decoder = new TextDecoder();
  let number = 0;
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > longestLine) {
      throw new RangeError(
        `line ${number + parts.length + 1}: more than ${longestLine} characters`,
      );
    }
    for (const text of parts) {
      ++number;
      if (text.trim() !== '') yield { text, number };
    }
  }
  if (rest.trim() !== '') yield { text: rest, number: number + 1 };
}

/**
 * Lines such as `{ "label": "bag", "count": 3 }` to one wish for each picture. A wrong line ends the pipeline with an
 * error that names it.
 * @param {AsyncIterable<Line>} source
 * @param {Model} model
 * @returns {AsyncGenerator<Wish>}
 */
export async function* wishes(source, model) {
  let next = 0;
  for await (const { text, number } of source) {
    const { label, count } = parse(text, number, model);
    for (let i = 0; i < count; ++i) yield { number: next++, label };
  }
}

/**
 * @param {string} text
 * @param {number} number
 * @param {Model} model
 * @returns {{ label: string | number | null, count: number }}
 */
function parse(text, number, model) {
  try {
    const wish = JSON.parse(text);
    if (typeof wish !== 'object' || wish === null || Array.isArray(wish)) {
      throw new TypeError(`Expected an object but received ${text.trim().slice(0, 80)}`);
    }
    const { label = null, count = 1, ...rest } = wish;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) {
      throw new TypeError(`Expected options among label, count but received "${unknown}"`);
    }
    model.generate({ labels: [label], count }); // checks both; nothing runs until its result is asked for
    return { label, count };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`line ${number}: ${message}`, { cause });
  }
}

/**
 * Groups of at most `size`, in order.
 * @template T
 * @param {AsyncIterable<T>} source
 * @param {number} size
 * @returns {AsyncGenerator<T[]>}
 */
export async function* batches(source, size) {
  /** @type {T[]} */
  let batch = [];
  for await (const item of source) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/**
 * Wishes to samples. One depends on the seed, its number and its label, so the size of the batches changes the time and the
 * memory and no pixel.
 * @param {AsyncIterable<Wish[]>} source
 * @param {Model} model
 * @param {GenerateOptions} options
 * @returns {AsyncGenerator<Sample>}
 */
export async function* samples(source, model, options) {
  // The model computes a batch while the stages after this one have the batch before.
  for await (const { batch, pixels } of inOrder(source, 2, generate)) {
    const shape = pixels.dims.slice(1);
    const size = shape.reduce((product, extent) => product * extent, 1);
    for (const [i, wish] of batch.entries()) {
      const data = pixels.data.slice(i * size, (i + 1) * size);
      yield { ...wish, pixels: { data, shape } };
    }
  }

  /** @param {Wish[]} batch */
  async function generate(batch) {
    const labels = batch.map(({ label }) => label);
    const firstSample = batch[0]?.number ?? 0;
    const { pixels } = await model.generate({ ...options, labels, firstSample }).result();
    return { batch, pixels };
  }
}

/**
 * Samples to PNGs, as many at once as the pool has threads.
 * @param {AsyncIterable<Sample>} source
 * @param {import('./pool.js').Pool} pool
 * @returns {AsyncGenerator<Picture>}
 */
export function pictures(source, pool) {
  return inOrder(source, pool.size, async ({ pixels, ...wish }) => ({
    ...wish,
    png: await pool.encode(pixels),
  }));
}

/**
 * What `work` makes of each item, in the order of the items, of which at most so many are under way.
 * @template T, R
 * @param {AsyncIterable<T>} source
 * @param {number} most
 * @param {(item: T) => Promise<R>} work
 * @returns {AsyncGenerator<R>}
 */
async function* inOrder(source, most, work) {
  /** @type {Promise<R>[]} */
  const running = [];
  for await (const item of source) {
    const result = work(item);
    result.catch(() => {}); // one that fails early is looked at when its turn comes
    running.push(result);
    if (running.length === most) yield/** @type {Promise<R>} */ (running.shift());
  }
  yield* running;
}

/**
 * Writes every picture to a file of its own, which gets its name when all of it is written.
 * @param {AsyncIterable<Picture>} source
 * @param {string} folder
 * @returns {AsyncGenerator<Written>}
 */
export async function* files(source, folder) {
  await mkdir(folder, { recursive: true });
  for await (const { png, ...wish } of source) {
    const name = String(wish.label ?? 'none').replaceAll(/[^\w-]+/g, '-'); // a label may be any text
    const file = join(folder, `${String(wish.number).padStart(6, '0')}-${name}.png`);
    await writeFile(`${file}.part`, png);
    await rename(`${file}.part`, file);
    yield { file, ...wish };
  }
}

/**
 * A line of JSON for each item.
 * @param {AsyncIterable<object>} source
 * @returns {AsyncGenerator<string>}
 */
export async function* jsonLines(source) {
  for await (const item of source) yield `${JSON.stringify(item)}\n`;
}
