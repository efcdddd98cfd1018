/** Loads an addon's file. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { require } from './package.js';

/**
 * Linux maps a file that was cut short, as by a build that was interrupted, and ends the process where it is read past its
 * end. Its last part is the table of sections, whose place its first 64 bytes tell; other systems look for themselves.
 */
function isCutShort(file: string): boolean {
  const header = Buffer.alloc(64);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, 0, header.length, 0);
    const isElf = header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2;
    if (!isElf || endianness() !== 'LE') return false;
    const sections = header.readBigUInt64LE(40);
    const end = Number(sections) + header.readUInt16LE(58) * header.readUInt16LE(60);
    return fstatSync(descriptor).size < end;
  } finally {
    closeSync(descriptor);
  }
}

/** What the addon in a file exports. @throws Error where the file is not an addon for this machine. */
export function loadLibrary(file: string): unknown {
  if (process.platform === 'linux' && isCutShort(file)) {
    throw new Error('its end is missing: it was cut short');
  }
  return require(file);
}
