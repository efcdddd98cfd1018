/** How many threads compute by default: as many as this process may use, also in a container with a share of the CPUs. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { controlGroups, wordsOf } from './control-groups.js';

/** CPUs of a quota of each period in microseconds; unlimited where there is none (`max`, or -1). */
function share(quota: string | undefined, period: string | undefined): number {
  const cpus = Number(quota) / Number(period);
  return cpus > 0 ? cpus : Number.POSITIVE_INFINITY;
}

/**
 * How many CPUs the control groups of this process give it, which may be a fraction: `cpu.max` of version 2,
 * `cpu.cfs_quota_us` of version 1. `root` stands for `/`.
 */
export function cpuQuota(root = '/'): number {
  const limits = controlGroups('cpu', root).map(({ version, folder }) => {
    if (version === 2) {
      const [quota, period] = wordsOf(join(folder, 'cpu.max'));
      return share(quota, period);
    }
    const [quota] = wordsOf(join(folder, 'cpu.cfs_quota_us'));
    const [period] = wordsOf(join(folder, 'cpu.cfs_period_us'));
    return share(quota, period);
  });
  return Math.min(...limits, Number.POSITIVE_INFINITY);
}

/** The CPUs that this process may run on, or as many as its quota fills. */
export function usableThreads(root?: string): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota(root))));
}
