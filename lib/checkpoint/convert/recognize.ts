/** Which public model a file holds, by the names of its tensors. */

import { MagnetsError } from '../../errors.js';
import type { Group, Source } from './source.js';
import type { Peer } from './translation.js';

/** Names without what wrapping a model in DistributedDataParallel or torch.compile adds to them. */
function unwrapped(source: Source, path: string, group: Group): Group {
  const result = new Map(
    [...group].map(([name, tensor]) => [
      name.replace(/(^|\.)(?:(?:module|_orig_mod)\.)+/g, '$1'),
      tensor,
    ]),
  );
  if (result.size !== group.size) {
    const message = `${source.path}: ${path}: expected names that differ without module. and _orig_mod.`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }
  return result;
}

export interface Recognized {
  readonly peer: Peer;
  /** Where in the file its tensors are; empty for the top. */
  readonly path: string;
  readonly group: Group;
}

/** Some names of what was found, for a message. */
function sample(source: Source): string {
  const names = [...source.groups].flatMap(([path, group]) =>
    [...group.keys()].map((name) => (path === '' ? name : `${path}/${name}`)),
  );
  const shown = names.slice(0, 3).join(', ');
  return names.length === 0 ? 'no tensors' : `${names.length} tensors such as ${shown}`;
}

/**
 * The one model in the file that is known. Of several (weights and their moving average) the average is taken, which is
 * what its authors sample from.
 */
export function recognize(
  source: Source,
  peers: readonly Peer[],
  others: readonly { readonly tensor: RegExp; readonly name: string }[],
): Recognized {
  const format = source.format === 'flax' ? 'flax' : 'torch';
  const found: Recognized[] = [];
  for (const [path, stored] of source.groups) {
    const group = format === 'flax' ? stored : unwrapped(source, path, stored);
    const names = new Set(group.keys());
    for (const peer of peers) {
      if (peer.format === format && peer.recognizes(names)) found.push({ peer, path, group });
    }
  }
  const averages = found.filter(({ path }) => /ema/i.test(path));
  const candidates = averages.length > 0 ? averages : found;
  if (candidates.length === 1) return candidates[0]!;

  const refuse = (message: string): never => {
    throw new MagnetsError('ERR_CHECKPOINT', `${source.path}: ${message}`);
  };
  if (candidates.length > 1) {
    return refuse(`expected one model but found ${candidates.map(({ path }) => path).join(', ')}`);
  }
  const names = [...source.groups.values()].flatMap((group) => [...group.keys()]);
  const other = others.find(({ tensor }) => names.some((name) => tensor.test(name)));
  if (other !== undefined) {
    return refuse(`expected a model that can be converted but it looks like ${other.name}`);
  }
  return refuse(`expected a model that can be converted but found ${sample(source)}`);
}
