/** Files of safetensors: one, or an index and its shards. */

import { dirname, join } from 'node:path';
import { elementCount } from '../../tensor.js';
import { DiskFile } from '../disk-file.js';
import { type Dtype, headerLength, parseHeader } from '../safetensors.js';
import { mergeShards } from '../shards.js';
import type { Group, Source, SourceTensor } from './source.js';

const dtypes = [
  'F64',
  'F32',
  'F16',
  'BF16',
  'I64',
  'I32',
  'I16',
  'I8',
  'U8',
  'BOOL',
] as const satisfies readonly Dtype[];

async function readHeader(disk: DiskFile): Promise<Group> {
  const start = await disk.read(0, Math.min(8, disk.size));
  const length = headerLength(disk.path, start, disk.size);
  const header = await disk.read(8, length);
  const tensors = parseHeader(disk.path, header, disk.size - 8 - length, dtypes);
  return new Map(
    tensors.map(({ name, dtype, shape, begin }): [string, SourceTensor] => {
      const pieces = [{ position: 8 + length + begin, count: elementCount(shape) }];
      return [name, { dtype, shape, disk, pieces }];
    }),
  );
}

/** Whether a file may be safetensors: a length, then a JSON object. */
export function isSafetensors(start: Uint8Array): boolean {
  return start[8] === 0x7b && start.subarray(4, 8).every((byte) => byte === 0);
}

export async function openSafetensors(disk: DiskFile): Promise<Source> {
  const groups = new Map([['', await readHeader(disk)]]);
  return { path: disk.path, format: 'safetensors', files: [disk], groups };
}

/** `index` is *.safetensors.index.json; its shards lie beside it. */
export async function openShards(index: DiskFile): Promise<Source> {
  const files = [index];
  try {
    const tensors = await mergeShards(index, async (shard) => {
      const disk = await DiskFile.open(join(dirname(index.path), shard));
      files.push(disk);
      return { disk, tensors: await readHeader(disk) };
    });
    return { path: index.path, format: 'safetensors', files, groups: new Map([['', tensors]]) };
  } catch (error) {
    for (const file of files.slice(1)) await file.close();
    throw error;
  }
}
