/** Finds and loads the addon; where that fails: what was tried, why each failed, and what to do on this machine. */

import { readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { MagnetsError } from '../errors.js';
import { textOf } from './control-groups.js';
import { loadFromCudaPackage } from './cuda-package.js';
import { loadLibrary } from './load-library.js';
import { require } from './package.js';

interface NodeGypBuild {
  /** The addon's file. A variable MAGNETS_PREBUILD names another folder than the package's. */
  resolve(root: string): string;
}

/** The names in a folder; undefined where there is none. */
function namesIn(folder: string): string[] | undefined {
  try {
    return readdirSync(folder).sort();
  } catch {
    return undefined;
  }
}

/** `linux-x64, glibc 2.36` */
function platform(): string {
  const system = `${process.platform}-${process.arch}`;
  if (process.platform !== 'linux') return system;
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const { excludeNetwork = false } = report;
  report.excludeNetwork = true; // names of network addresses can take seconds
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  report.excludeNetwork = excludeNetwork;
  return `${system}, ${header?.glibcVersionRuntime ? `glibc ${header.glibcVersionRuntime}` : 'musl'}`;
}

/** Where no file is for this machine: the places that were looked at. */
function placesWithoutAddon(root: string): string[] {
  const own = `prebuilds/${process.platform}-${process.arch}`;
  const built = namesIn(join(root, 'build/Release'))?.some((name) => name.endsWith('.node'));
  const fitting = namesIn(join(root, own))?.join(', ');
  const others = namesIn(join(root, 'prebuilds'))?.join(', ');
  let prebuilt = `${own} has none for this machine, only ${fitting}`;
  if (fitting === undefined) {
    prebuilt = `${own}: there is none${others ? `, only ${others}` : ', nor for another platform'}`;
  }
  return [...(built ? [] : ['build/Release/magnets.node: nothing was built here']), prebuilt];
}

type Manager = 'npm' | 'pnpm' | 'yarn' | 'yarn classic' | 'bun' | 'deno';

/** Who installed the package, by the files that it leaves in the project. */
export function packageManager(root: string): Manager {
  if (/[\\/]node_modules[\\/]\.pnpm[\\/]/.test(root)) return 'pnpm';
  if (/[\\/]node_modules[\\/]\.deno[\\/]/.test(root)) return 'deno';
  if (/[\\/]\.yarn[\\/]/.test(root)) return 'yarn';
  const yarn = (folder: string): Manager =>
    textOf(join(folder, 'yarn.lock')).includes('# yarn lockfile v1') ? 'yarn classic' : 'yarn';
  for (let folder = dirname(root); folder !== dirname(folder); folder = dirname(folder)) {
    const names = namesIn(folder) ?? [];
    const has = (name: string) => names.includes(name);
    if (has('package-lock.json')) return 'npm';
    if (has('pnpm-lock.yaml')) return 'pnpm';
    if (has('yarn.lock')) return yarn(folder);
    if (has('bun.lock') || has('bun.lockb')) return 'bun';
  }
  return 'npm';
}

/** How the install script is run where it was not, or was held back. */
const rebuilds: Readonly<Record<Manager, string>> = {
  npm: 'npm rebuild magnets --ignore-scripts=false (since npm 12 first: npm approve-scripts magnets)',
  pnpm: 'allow it by `pnpm approve-builds`, or by `allowBuilds: { magnets: true }` in pnpm-workspace.yaml (before pnpm 10.26 `onlyBuiltDependencies: [magnets]`), then pnpm rebuild magnets',
  yarn: 'say "dependenciesMeta": { "magnets": { "built": true } } in package.json, then yarn install',
  'yarn classic': 'yarn install --force --ignore-scripts=false',
  bun: 'bun pm trust magnets',
  deno: 'deno approve-scripts npm:magnets',
};

const compilers: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'such as `apt-get install g++ make cmake` or `apk add g++ make cmake linux-headers`',
  darwin: '`xcode-select --install` and `brew install cmake`',
  win32: 'Visual Studio with "Desktop development with C++", and CMake',
};

/** @throws MagnetsError ERR_UNSUPPORTED that says what to do. */
function refuse(root: string, tried: readonly string[], cause: unknown): never {
  const compiler = compilers[process.platform];
  const restricted =
    'permission' in process || /loading addons is disabled|ffi access/.test(`${cause}`);
  const message = [
    `Cannot load the native module of magnets for ${platform()}, Node ${process.version}`,
    `Tried, in ${root}:`,
    ...tried.map((line) => `- ${line}`),
    'What to do:',
    `- run its install script again, which takes a prebuilt file or compiles: ${rebuilds[packageManager(root)]}`,
    `- where that ends with an error, install what it compiles with: cmake-js@8 and node-addon-api@8 next to magnets, a C++20 compiler and CMake 3.21 or later${compiler ? `, ${compiler}` : ''}`,
    '- where node_modules was copied from another machine, delete it and install here',
    ...(restricted
      ? ['- let this process load addons and read its folder, and /etc/alpine-release']
      : []),
  ].join('\n');
  throw new MagnetsError('ERR_UNSUPPORTED', message, { cause });
}

/** What to do where the file that runs has not the whole package around it. */
const remedies = {
  bundle:
    'Keep magnets out of the bundle: esbuild --external:magnets, external: ["magnets"] of Rollup and of ssr in Vite, or externals: { magnets: "module magnets" } of webpack',
  trace:
    'Copy all of it: outputFileTracingIncludes: { "/*": ["./node_modules/magnets/**/*"] } of Next.js',
  archive:
    'Unpack all of it: asarUnpack: ["**/node_modules/magnets/**"] of electron-builder, or asar: { unpack: "**/node_modules/magnets/**" } of Electron Forge',
};

function refuseFolder(why: string, remedy: string): never {
  const message = `Cannot load the native module of magnets: ${why}. ${remedy}`;
  throw new MagnetsError('ERR_UNSUPPORTED', message);
}

/** Refuses where the file that runs has not the whole package around it. */
function checkFolder(root: string): void {
  const names = namesIn(root);
  if (root.includes('.asar.unpacked') && !names?.includes('package.json')) {
    refuseFolder(`${root} was left in the archive`, remedies.archive);
  }
  if (typeof require !== 'function') {
    refuseFolder('a bundler has replaced how it finds its files', remedies.bundle);
  }
  if (names === undefined) return; // this process may not look there
  if (!/"name":\s*"magnets"/.test(textOf(join(root, 'package.json')))) {
    const why = `${root} is not its folder, as where a bundler has moved its code`;
    refuseFolder(why, remedies.bundle);
  }
  if (!['native', 'prebuilds', 'build'].some((name) => names.includes(name))) {
    const why = `${root} has only a part of its files, as where somebody followed its imports`;
    refuseFolder(why, remedies.trace);
  }
}

/** The addon of the package in `root`. @throws MagnetsError ERR_UNSUPPORTED that says what to do. */
export function loadAddon(root: string): unknown {
  checkFolder(root);
  let load: NodeGypBuild;
  try {
    load = require('node-gyp-build');
  } catch (cause) {
    return refuse(
      root,
      [`node-gyp-build, which finds the file: ${(cause as Error).message}`],
      cause,
    );
  }
  let file: string;
  try {
    file = load.resolve(root);
  } catch (cause) {
    return refuse(root, placesWithoutAddon(root), cause);
  }
  try {
    // What was built here comes first: it has the CUDA backend if it was meant to.
    const prebuilt = file.includes(`${sep}prebuilds${sep}`);
    return (prebuilt ? loadFromCudaPackage() : undefined) ?? loadLibrary(file);
  } catch (cause) {
    return refuse(root, [`${relative(root, file)}: ${(cause as Error).message}`], cause);
  }
}
