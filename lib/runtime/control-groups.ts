/** The control groups that this process is in: a container's share of the machine. */

import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** A file of the kernel's; empty where it cannot be read. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Its words; none where it cannot be read. */
export function wordsOf(file: string): string[] {
  const text = textOf(file).trim();
  return text === '' ? [] : text.split(/\s+/);
}

/** A folder of control groups and all that are above it: each of them limits. */
function upwards(path: string): string[] {
  const above = path === '/' ? [] : upwards(posix.dirname(path));
  return [path, ...above];
}

export interface ControlGroup {
  readonly version: 1 | 2;
  readonly folder: string;
}

/**
 * Where the limits of a controller are, such as `'cpu'`. In a container the groups may be mounted at their root, whatever
 * the process's path is called outside; the root is among those that are answered. `root` stands for `/`.
 */
export function controlGroups(controller: string, root = '/'): ControlGroup[] {
  const groups: ControlGroup[] = [];
  // Lines, for the name of a group may have spaces.
  for (const line of textOf(join(root, 'proc/self/cgroup')).split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const own = controllers.split(',').includes(controller);
    if (controllers !== '' && !own) continue;
    const version = own ? 1 : 2;
    const mounts = own ? [controllers, controller] : ['', 'unified'];
    for (const group of upwards(posix.normalize(path))) {
      for (const mount of mounts) {
        groups.push({ version, folder: join(root, 'sys/fs/cgroup', mount, group) });
      }
    }
  }
  return groups;
}
