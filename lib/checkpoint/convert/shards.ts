/** Files of safetensors: one, or an index and its shards. */

import { dirname, join } from 'node:path';
import { cut } from '../../errors.js';
import { DiskFile } from '../disk-file.js';
import { parseJson } from '../json.js';
import { type Dtype, headerLength, parseHeader } from '../safetensors.js';
import { elementCount, type Group, type Source, type SourceTensor } from './source.js';

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

const longestIndex = 2 ** 22;
const mostShards = 1000;

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

/** Which file has which tensor. */
async function readIndex(disk: DiskFile): Promise<Map<string, string>> {
  const json = parseJson(disk.path, 'JSON', await disk.readAll(longestIndex));
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) return disk.refuse('expected a weight_map');
  const entries = Object.entries(map);
  for (const [name, shard] of entries) {
    // A name with a folder in it could lead anywhere.
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard)) {
      disk.refuse(`${cut(name)}: expected the name of a .safetensors file beside it`);
    }
  }
  return new Map(entries);
}

/** `index` is *.safetensors.index.json; its shards lie beside it. */
export async function openShards(index: DiskFile): Promise<Source> {
  const files = [index];
  try {
    const map = await readIndex(index);
    const shards = [...new Set(map.values())];
    if (shards.length > mostShards) index.refuse(`expected at most ${mostShards} shards`);
    const tensors = new Map<string, SourceTensor>();
    for (const shard of shards) {
      const disk = await DiskFile.open(join(dirname(index.path), shard));
      files.push(disk);
      for (const [name, tensor] of await readHeader(disk)) {
        if (map.get(name) !== shard) {
          disk.refuse(`${cut(name)}: expected no tensor that the index has elsewhere`);
        }
        tensors.set(name, tensor);
      }
    }
    const missing = [...map].find(([name]) => !tensors.has(name));
    if (missing !== undefined) index.refuse(`${cut(missing[0])}: expected it in ${missing[1]}`);
    return { path: index.path, format: 'safetensors', files, groups: new Map([['', tensors]]) };
  } catch (error) {
    for (const file of files.slice(1)) await file.close();
    throw error;
  }
}
