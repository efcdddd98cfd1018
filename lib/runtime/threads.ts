/** How many threads compute by default: as many as this process may use, also in a container with a share of the CPUs. */

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, posix } from 'node:path';

/** The words of a file of the kernel's; none where it cannot be read. */
function wordsOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trim().split(/\s+/);
  } catch {
    return [];
  }
}

/** CPUs of a quota of each period in microseconds; unlimited where there is none (`max`, or -1). */
function share(quota: string | undefined, period: string | undefined): number {
  const cpus = Number(quota) / Number(period);
  return cpus > 0 ? cpus : Number.POSITIVE_INFINITY;
}

/** A folder of control groups and all that are above it: each of them limits. */
function upwards(path: string): string[] {
  const above = path === '/' ? [] : upwards(posix.dirname(path));
  return [path, ...above];
}

/**
 * How many CPUs the control groups of this process give it, which may be a fraction: `cpu.max` of version 2,
 * `cpu.cfs_quota_us` of version 1. In a container the groups may be mounted at their root, whatever the process's path
 * is called outside; the root is among those that are looked at. `root` stands for `/`.
 */
export function cpuQuota(root = '/'): number {
  const limits: number[] = [];
  for (const line of wordsOf(join(root, 'proc/self/cgroup'))) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const cpu = controllers.split(',').includes('cpu');
    if (controllers !== '' && !cpu) continue;
    for (const group of upwards(posix.normalize(path))) {
      if (!cpu) {
        for (const mount of ['sys/fs/cgroup', 'sys/fs/cgroup/unified']) {
          const [quota, period] = wordsOf(join(root, mount, group, 'cpu.max'));
          limits.push(share(quota, period));
        }
        continue;
      }
      for (const mount of [controllers, 'cpu']) {
        const folder = join(root, 'sys/fs/cgroup', mount, group);
        const [quota] = wordsOf(join(folder, 'cpu.cfs_quota_us'));
        const [period] = wordsOf(join(folder, 'cpu.cfs_period_us'));
        limits.push(share(quota, period));
      }
    }
  }
  return Math.min(...limits, Number.POSITIVE_INFINITY);
}

/** The CPUs that this process may run on, or as many as its quota fills. */
export function usableThreads(root?: string): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota(root))));
}
