/** JSON that may be made to do harm: its size and its depth are bounded before it is parsed. */

import { MagnetsError, quote } from '../errors.js';
import { strangeContents } from './contents.js';
import { DiskFile } from './disk-file.js';

/** Nothing here lies deeper than a few levels; what does would overflow the stack of who walks through it. */
const mostDepth = 32;

/** The first text that is there twice; each lies from one place of `places` to the next, as JSON has it between quotes. */
function repeatedOf(bytes: Uint8Array, places: readonly number[]): string | undefined {
  if (places.length < 4) return undefined; // fewer than two
  const seen = new Set<string>();
  for (let i = 0; i < places.length; i += 2) {
    const text = Buffer.from(bytes.subarray(places[i], places[i + 1])).toString('utf8');
    const key = text.includes('\\') ? JSON.parse(`"${text}"`) : text;
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

/**
 * What JSON.parse does not tell: how deep arrays and objects lie in each other, counted no further than what is too deep,
 * and a key that an object has twice, of which it takes the last. Bytes suffice: in UTF-8 these are no part of others.
 * @throws SyntaxError for some bytes that are not JSON.
 */
function outlineOf(bytes: Uint8Array): { depth: number; repeated?: string | undefined } {
  /** The objects and arrays around a place: where the keys of each object lie. */
  const around: (number[] | undefined)[] = [];
  let [depth, before] = [0, 0];
  let repeated: string | undefined;
  for (let at = 0; at < bytes.length; ++at) {
    const byte = bytes[at];
    if (byte === 0x22) {
      const begin = at + 1;
      for (++at; at < bytes.length && bytes[at] !== 0x22; ++at) if (bytes[at] === 0x5c) ++at;
      if (before === 0x7b || before === 0x2c) around.at(-1)?.push(begin, at);
    } else if (byte === 0x7b || byte === 0x5b) {
      around.push(byte === 0x7b ? [] : undefined);
      depth = Math.max(depth, around.length);
      if (depth > mostDepth) break;
    } else if (byte === 0x7d || byte === 0x5d) {
      const keys = around.pop();
      if (keys) repeated ??= repeatedOf(bytes, keys);
    }
    if (byte === 0x7b || byte === 0x5b || byte === 0x2c || byte === 0x3a) before = byte;
  }
  return { depth, repeated };
}

/** @throws MagnetsError ERR_CHECKPOINT; `what` says in the message what was expected. */
export function parseJson(file: string, what: string, bytes: Uint8Array): unknown {
  const refuse = (message: string, cause?: unknown): never => {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected ${what}${message}`, { cause });
  };
  let json: unknown;
  let outline: ReturnType<typeof outlineOf>;
  try {
    outline = outlineOf(bytes);
    if (outline.depth <= mostDepth) {
      json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    }
  } catch (cause) {
    const strange = bytes.length === 0 ? 'empty' : strangeContents(bytes);
    return refuse(strange === undefined ? '' : ` but it is ${strange}`, cause);
  }
  const { depth, repeated } = outline;
  if (depth > mostDepth) refuse(` of at most ${mostDepth} levels`);
  if (repeated !== undefined) refuse(` whose keys differ but ${quote(repeated)} is there twice`);
  return json;
}

/** A JSON file of at most `most` bytes. */
export async function readJson(path: string, most: number, signal?: AbortSignal): Promise<unknown> {
  const disk = await DiskFile.open(path);
  try {
    return parseJson(path, 'JSON', await disk.readAll(most, signal));
  } finally {
    await disk.close();
  }
}
