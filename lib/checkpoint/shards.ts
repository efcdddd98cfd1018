/** Weights in several files: an index (*.safetensors.index.json) says which file beside it has which tensor. */

import { cut } from '../errors.js';
import type { DiskFile } from './disk-file.js';
import { parseJson } from './json.js';

export const indexEnding = '.safetensors.index.json';

const longestIndex = 2 ** 20;
const mostShards = 1000;

/**
 * Names of files by name of tensor. A name leads into no other folder; a file that is a link is followed, as everywhere:
 * who can place a link can place a file, and Hugging Face's cache is made of links.
 */
async function readIndex(index: DiskFile): Promise<ReadonlyMap<string, string>> {
  const json = parseJson(index.path, 'JSON', await index.readAll(longestIndex));
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    return index.refuse('expected a weight_map');
  }
  const entries = Object.entries(map);
  for (const [name, shard] of entries) {
    if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard)) {
      index.refuse(`${cut(name)}: expected the name of a .safetensors file beside it`);
    }
  }
  const shards = new Set(entries.map(([, shard]) => shard));
  if (shards.size > mostShards) index.refuse(`expected at most ${mostShards} shards`);
  return new Map(entries);
}

/**
 * The tensors of all the files that an index names. `read` gives those of one.
 * @throws MagnetsError ERR_CHECKPOINT where a file has a tensor that the index has elsewhere, or lacks one.
 */
export async function mergeShards<T>(
  index: DiskFile,
  read: (shard: string) => Promise<{ disk: DiskFile; tensors: Iterable<readonly [string, T]> }>,
): Promise<Map<string, T>> {
  const places = await readIndex(index);
  const merged = new Map<string, T>();
  for (const shard of new Set(places.values())) {
    const { disk, tensors } = await read(shard);
    for (const [name, tensor] of tensors) {
      if (places.get(name) !== shard) {
        disk.refuse(`${cut(name)}: expected no tensor that the index has elsewhere`);
      }
      merged.set(name, tensor);
    }
  }
  for (const [name, shard] of places) {
    if (!merged.has(name)) index.refuse(`${cut(name)}: expected it in ${shard}`);
  }
  return merged;
}
