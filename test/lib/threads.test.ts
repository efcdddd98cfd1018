/** The default number of threads in containers: what control groups of both versions say of the CPU. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { info } from '../../lib/index.js';
import { cpuQuota, usableThreads } from '../../lib/runtime/threads.js';

t.test('quotas', async (t) => {
  const own = '0::/app.slice/own\n';
  const old = '5:cpuset:/\n4:cpu,cpuacct:/docker/1f\n0::/\n';
  const v1 = 'sys/fs/cgroup/cpu,cpuacct';
  const cases: [name: string, cgroup: string | undefined, files: object, expected: number][] = [
    ['no control groups', undefined, {}, Number.POSITIVE_INFINITY],
    ['no quota', own, { 'sys/fs/cgroup/app.slice/own/cpu.max': 'max 100000\n' }, Infinity],
    ['a quota', own, { 'sys/fs/cgroup/app.slice/own/cpu.max': '200000 100000\n' }, 2],
    ['a fraction', own, { 'sys/fs/cgroup/app.slice/own/cpu.max': '25000 50000\n' }, 0.5],
    [
      'the group above has less',
      own,
      {
        'sys/fs/cgroup/app.slice/own/cpu.max': '400000 100000\n',
        'sys/fs/cgroup/app.slice/cpu.max': '150000 100000\n',
      },
      1.5,
    ],
    ['mounted at its root', own, { 'sys/fs/cgroup/cpu.max': '300000 100000\n' }, 3],
    ['of a namespace', '0::/\n', { 'sys/fs/cgroup/cpu.max': '300000 100000\n' }, 3],
    ['above the namespace', '0::/../x\n', { 'sys/fs/cgroup/cpu.max': '300000 100000\n' }, 3],
    [
      'version 1',
      old,
      {
        [`${v1}/docker/1f/cpu.cfs_quota_us`]: '250000\n',
        [`${v1}/docker/1f/cpu.cfs_period_us`]: '100000\n',
      },
      2.5,
    ],
    [
      'version 1, mounted at its root as cpu',
      old,
      {
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '100000\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      1,
    ],
    [
      'version 1 without a quota',
      old,
      { [`${v1}/cpu.cfs_quota_us`]: '-1\n', [`${v1}/cpu.cfs_period_us`]: '100000\n' },
      Number.POSITIVE_INFINITY,
    ],
    [
      'both versions',
      '4:cpuset:/\n0::/own\n',
      { 'sys/fs/cgroup/unified/own/cpu.max': '100000 100000\n' },
      1,
    ],
    [
      'spaces and colons in a name',
      '0::/user.slice/my group:1\n',
      { 'sys/fs/cgroup/user.slice/my group:1/cpu.max': '100000 100000\n' },
      1,
    ],
    [
      'spaces in the name of a group of version 1',
      '3:cpu,cpuacct:/a b/c\n',
      { [`${v1}/a b/cpu.cfs_quota_us`]: '50000\n', [`${v1}/a b/cpu.cfs_period_us`]: '100000\n' },
      0.5,
    ],
    ['a quota of nothing', own, { 'sys/fs/cgroup/app.slice/own/cpu.max': '0 100000\n' }, Infinity],
    [
      'a quota without a period',
      own,
      { 'sys/fs/cgroup/app.slice/own/cpu.max': '1000\n' },
      Infinity,
    ],
    ['an empty file', own, { 'sys/fs/cgroup/app.slice/own/cpu.max': '' }, Infinity],
    ['nonsense', `x\n${own}`, { 'sys/fs/cgroup/app.slice/cpu.max': 'a b c\n' }, Infinity],
  ];
  for (const [name, cgroup, files, expected] of cases) {
    const root = mkdtempSync(join(tmpdir(), 'magnets-'));
    t.teardown(() => rmSync(root, { recursive: true }));
    const all = { ...(cgroup === undefined ? {} : { 'proc/self/cgroup': cgroup }), ...files };
    for (const [file, text] of Object.entries(all)) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    t.equal(cpuQuota(root), expected, name);
    const most = availableParallelism();
    t.equal(usableThreads(root), Math.min(most, Math.ceil(expected)), `${name}: threads`);
  }
});

t.test('they are the default', async (t) => {
  t.equal(info().cpu.threads, usableThreads());
});
