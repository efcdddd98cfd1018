// The stages of the pipeline: bytes -> lines -> labels -> batches -> pictures -> files.
// All but the last are async generators. A generator runs only while the stage after it asks for more, so nothing piles
// up: the slowest stage sets the pace of all.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { encodePng, Tensor } from 'magnets';

/**
 * @typedef {import('magnets').Model} Model
 * @typedef {import('magnets').GenerateOptions} GenerateOptions
 * @typedef {{ text: string, number: number }} Line number: from 1
 * @typedef {{ number: number, label: string | number | null }} Wish one picture that is wanted; number: from 0
 * @typedef {{ number: number, label: string | number | null, png: Uint8Array }} Picture
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
    const { label = null, count = 1, ...rest } = JSON.parse(text);
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
 * Wishes to pictures. A picture depends on the seed, its number and its label, so the size of the batches changes the
 * time and the memory and no pixel.
 * @param {AsyncIterable<Wish[]>} source
 * @param {Model} model
 * @param {GenerateOptions} options
 * @returns {AsyncGenerator<Picture>}
 */
export async function* pictures(source, model, options) {
  for await (const batch of source) {
    const labels = batch.map(({ label }) => label);
    const firstSample = batch[0]?.number ?? 0;
    const { pixels } = await model.generate({ ...options, labels, firstSample }).result();
    const shape = pixels.dims.slice(1);
    const size = shape.reduce((product, extent) => product * extent, 1);
    for (const [i, { number, label }] of batch.entries()) {
      const own = pixels.data.subarray(i * size, (i + 1) * size);
      yield { number, label, png: encodePng(new Tensor('float32', own, shape)) };
    }
  }
}

/**
 * Writes every picture to a file of its own. While files are written the next batch is generated; at most `waiting`
 * pictures wait for the disk.
 * @param {string} folder
 * @param {(written: { file: string, number: number, label: Wish['label'] }) => void} onWritten
 */
export function files(folder, onWritten, waiting = 64) {
  return new Writable({
    objectMode: true,
    highWaterMark: waiting,
    construct(done) {
      mkdir(folder, { recursive: true }).then(() => done(), done);
    },
    /** @param {Picture} picture */
    write({ number, label, png }, _, done) {
      const name = String(label ?? 'none').replaceAll(/[^\w-]+/g, '-'); // a label may be any text
      const file = join(folder, `${String(number).padStart(6, '0')}-${name}.png`);
      writeFile(file, png).then(() => {
        onWritten({ file, number, label });
        done();
      }, done);
    },
  });
}
