/**
 * The entries of a zip archive (with zip64) whose bytes are stored as they are: what torch.save writes. Nothing is
 * unpacked, so there is nothing that could swell.
 */

import type { DiskFile } from '../disk-file.js';

export interface ZipEntry {
  readonly position: number;
  readonly size: number;
  /** The CRC-32 of its bytes; 0 where the writer computed none, which torch allows. */
  readonly crc: number;
}

/** An archive of a checkpoint has as many entries as storages, a few thousand. */
const mostEntries = 2 ** 17;
const mostDirectoryBytes = 2 ** 25;

const endSignature = 0x06054b50;
const end64LocatorSignature = 0x07064b50;
const end64Signature = 0x06064b50;
const entrySignature = 0x02014b50;
const localSignature = 0x04034b50;
const endBytes = 22;
const longestComment = 2 ** 16 - 1;

function safe(disk: DiskFile, value: bigint): number {
  if (value > BigInt(disk.size)) disk.refuse(`expected a number of bytes but received ${value}`);
  return Number(value);
}

/** Where the list of entries is. It ends where the end of the archive begins, and that with the file. */
async function readEnd(disk: DiskFile): Promise<{ count: number; size: number; start: number }> {
  const tail = Math.min(disk.size, endBytes + longestComment);
  const bytes = Buffer.from(await disk.read(disk.size - tail, tail));
  const endsFile = (at: number) =>
    bytes.readUInt32LE(at) === endSignature && at + endBytes + bytes.readUInt16LE(at + 20) === tail;
  let at = tail - endBytes;
  while (at >= 0 && !endsFile(at)) --at;
  if (at < 0) disk.refuse('expected the end of a zip archive: is the file cut off?');
  const list = {
    count: bytes.readUInt16LE(at + 10),
    size: bytes.readUInt32LE(at + 12),
    start: bytes.readUInt32LE(at + 16),
  };
  let end = disk.size - tail + at;
  const locator = end < 20 ? undefined : Buffer.from(await disk.read(end - 20, 20));
  if (locator?.readUInt32LE(0) === end64LocatorSignature) {
    end = safe(disk, locator.readBigUInt64LE(8));
    const large = Buffer.from(await disk.read(end, 56));
    if (large.readUInt32LE(0) !== end64Signature) {
      disk.refuse('expected the end of a zip64 archive');
    }
    list.count = safe(disk, large.readBigUInt64LE(32));
    list.size = safe(disk, large.readBigUInt64LE(40));
    list.start = safe(disk, large.readBigUInt64LE(48));
  }
  const reached = list.start + list.size;
  if (reached !== end) {
    disk.refuse(`expected a list of entries up to byte ${end} but it ends at ${reached}`);
  }
  return list;
}

/** Sizes and positions that have more than 32 bits are in an extra field, in this order. */
function readExtra64(extra: Buffer, fields: readonly number[]): (number | bigint)[] {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const data = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    let used = 0;
    return fields.map((field) => {
      if (field !== 0xffffffff || used + 8 > data.byteLength) return field;
      used += 8;
      return data.readBigUInt64LE(used - 8);
    });
  }
  return [...fields];
}

/** Every entry by its name. */
export async function readZip(disk: DiskFile): Promise<Map<string, ZipEntry>> {
  const { count, size, start } = await readEnd(disk);
  if (count > mostEntries) disk.refuse(`expected at most ${mostEntries} entries, not ${count}`);
  if (size > mostDirectoryBytes) {
    disk.refuse(`expected a list of entries of at most ${mostDirectoryBytes} bytes, not ${size}`);
  }
  const directory = Buffer.from(await disk.read(start, size));
  const listed = new Map<string, { offset: number; size: number; crc: number }>();
  let at = 0;
  for (let i = 0; i < count; ++i) {
    if (at + 46 > size || directory.readUInt32LE(at) !== entrySignature) {
      disk.refuse(`expected ${count} entries but the list of them ends after ${i}`);
    }
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const next = extraEnd + directory.readUInt16LE(at + 32);
    if (next > size) disk.refuse(`expected an entry's ${next - at} bytes, the list has fewer`);
    const name = directory.toString('utf8', at + 46, nameEnd);
    const refuse = (message: string) => disk.refuse(`${name}: ${message}`);

    if (directory.readUInt16LE(at + 8) & 1) refuse('expected an entry without encryption');
    const method = directory.readUInt16LE(at + 10);
    if (method !== 0) refuse(`expected a stored entry but it is compressed (method ${method})`);
    const [bytes, packed, offset] = readExtra64(directory.subarray(nameEnd, extraEnd), [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]).map((field) => safe(disk, BigInt(field))) as [number, number, number];
    if (bytes !== packed) refuse(`expected a stored entry but ${packed} bytes stand for ${bytes}`);
    if (listed.has(name)) refuse('expected one entry of this name');
    listed.set(name, { offset, size: bytes, crc: directory.readUInt32LE(at + 16) });
    at = next;
  }
  if (at !== size) disk.refuse(`expected ${count} entries but the list of them has more`);

  // In the order in which they lie there: each piece of the file is read once.
  const entries = new Map<string, ZipEntry>();
  let [before, reached] = ['', 0];
  for (const [name, { offset, size, crc }] of [...listed].sort(
    ([, a], [, b]) => a.offset - b.offset,
  )) {
    const refuse = (message: string) => disk.refuse(`${name}: ${message}`);
    if (offset < reached) refuse(`expected bytes of its own but they overlap ${before}`);
    const local = await disk.peek(offset, 30);
    if (local.readUInt32LE(0) !== localSignature) refuse(`expected its header at ${offset}`);
    const position = offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    if (position + size > start) refuse('expected its bytes before the list of entries');
    entries.set(name, { position, size, crc });
    [before, reached] = [name, position + size];
  }
  return entries;
}
