/** The checksums of a file that is converted: its own, for the model card, and those that its format keeps of its parts. */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { cut } from '../../errors.js';
import type { DiskFile } from '../disk-file.js';

/** Bytes of a file that have this CRC-32. */
export interface Checksum {
  readonly name: string;
  readonly position: number;
  readonly size: number;
  readonly crc: number;
}

const blockBytes = 2 ** 20;

/**
 * The SHA-256 of a whole file. `checksums` do not overlap and are in the order of their positions.
 * @throws MagnetsError ERR_CHECKPOINT where one of them is wrong; the signal's reason.
 */
export async function digestOf(
  file: DiskFile,
  checksums: readonly Checksum[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const digest = createHash('sha256');
  const block = new Uint8Array(blockBytes);
  let [next, crc] = [0, 0];
  for (let at = 0; at < file.size; at += blockBytes) {
    signal?.throwIfAborted();
    const bytes = block.subarray(0, file.size - at);
    await file.readInto(bytes, at);
    digest.update(bytes);
    for (; next < checksums.length; ++next, crc = 0) {
      const { name, position, size, crc: expected } = checksums[next]!;
      const [begin, end] = [position - at, position + size - at];
      crc = crc32(bytes.subarray(Math.max(0, begin), Math.max(0, end)), crc);
      if (end > bytes.byteLength) break; // the rest of it is in the next block
      if (crc !== expected) {
        file.refuse(`${cut(name)}: expected the bytes of its checksum: is the file damaged?`);
      }
    }
  }
  return digest.digest('hex');
}
