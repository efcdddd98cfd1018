/** JSON that may be made to do harm: its size and its depth are bounded before it is parsed. */

import { MagnetsError } from '../errors.js';
import { strangeContents } from './contents.js';
import { DiskFile } from './disk-file.js';

/** Nothing here lies deeper than a few levels; what does would overflow the stack of who walks through it. */
const mostDepth = 32;

/** How deep arrays and objects lie in each other, at most. Bytes suffice: in UTF-8 these are no part of others. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; ++at) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === 0x5c) ++at;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x7b || byte === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x7d || byte === 0x5d) --depth;
  }
  return deepest;
}

/** @throws MagnetsError ERR_CHECKPOINT; `what` says in the message what was expected. */
export function parseJson(file: string, what: string, bytes: Uint8Array): unknown {
  if (depthOf(bytes) > mostDepth) {
    const message = `${file}: expected ${what} of at most ${mostDepth} levels`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const strange = strangeContents(bytes);
    const received = strange === undefined ? '' : ` but it is ${strange}`;
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected ${what}${received}`, { cause });
  }
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
