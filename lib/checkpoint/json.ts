/** JSON that may be made to do harm: its size and its depth are bounded before it is parsed. */

import { MagnetsError, quote } from '../errors.js';
import { strangeContents } from './contents.js';
import { DiskFile } from './disk-file.js';

/** Nothing here lies deeper than a few levels; what does would overflow the stack of who walks through it. */
const mostDepth = 32;

/** A key as the text that it stands for, whichever way it is written. */
function keyOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  return text.includes('\\') ? JSON.parse(`"${text}"`) : text;
}

/**
 * Where the keys of each object lie, and how deep arrays and objects lie in each other: what JSON.parse does not tell.
 * Bytes suffice: in UTF-8 these are no part of others. `bytes` need not be JSON.
 */
class Outline {
  /** At most; no further than the first that lies too deep. */
  depth = 0;
  /** Of every object: where each of its keys begins and ends, without the quotes. */
  readonly #objects: number[][] = [];

  constructor(private readonly bytes: Uint8Array) {
    /** The objects and arrays around a place; an array has no keys. */
    const around: (number[] | undefined)[] = [];
    let before = 0;
    for (let at = 0; at < bytes.length && this.depth <= mostDepth; ++at) {
      const byte = bytes[at];
      if (byte === 0x22) {
        const begin = at + 1;
        for (++at; at < bytes.length && bytes[at] !== 0x22; ++at) if (bytes[at] === 0x5c) ++at;
        if (before === 0x7b || before === 0x2c) around.at(-1)?.push(begin, at);
      } else if (byte === 0x7b || byte === 0x5b) {
        const keys = byte === 0x7b ? [] : undefined;
        if (keys) this.#objects.push(keys);
        around.push(keys);
        this.depth = Math.max(this.depth, around.length);
      } else if (byte === 0x7d || byte === 0x5d) around.pop();
      if (byte === 0x7b || byte === 0x5b || byte === 0x2c || byte === 0x3a) before = byte;
    }
  }

  /** A key that an object has twice, of which JSON.parse takes the last; of bytes that are JSON. */
  repeatedKey(): string | undefined {
    for (const places of this.#objects) {
      const seen = new Set<string>();
      for (let i = 0; i < places.length; i += 2) {
        const key = keyOf(this.bytes.subarray(places[i], places[i + 1]));
        if (seen.has(key)) return key;
        seen.add(key);
      }
    }
    return undefined;
  }
}

/** @throws MagnetsError ERR_CHECKPOINT; `what` says in the message what was expected. */
export function parseJson(file: string, what: string, bytes: Uint8Array): unknown {
  const outline = new Outline(bytes);
  if (outline.depth > mostDepth) {
    const message = `${file}: expected ${what} of at most ${mostDepth} levels`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const strange = bytes.length === 0 ? 'empty' : strangeContents(bytes);
    const received = strange === undefined ? '' : ` but it is ${strange}`;
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected ${what}${received}`, { cause });
  }
  const repeated = outline.repeatedKey();
  if (repeated === undefined) return json;
  const message = `${file}: expected ${what} whose keys differ but ${quote(repeated)} is there twice`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
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
