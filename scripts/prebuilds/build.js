// npm run prebuilds:all [-- FOLDER...]: the addon for every platform, cross-compiled into prebuilds/. Needs linux-x64, CMake
// and Ninja; zig brings the rest. Without the CUDA backend, which is a package of its own (cuda-package.js).

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zig } from './zig.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = join(root, 'build', 'zig');
const require = createRequire(import.meta.url);
const headers = dirname(require.resolve('node-api-headers/package.json'));
const includes = [
  join(headers, 'include'),
  dirname(require.resolve('node-addon-api/package.json')),
];

/**
 * The platforms, as node-gyp-build looks for them: prebuilds/<folder>/<file>, with prebuildify's tag of the C library where
 * there are two. `zig` is what zig calls it, with the oldest version of the system that it is for.
 * @type {readonly { folder: string; file: string; zig: string }[]}
 */
const targets = JSON.parse(readFileSync(new URL('targets.json', import.meta.url), 'utf8'));

const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (targets.some(({ folder }) => folder === name)) continue;
  throw new Error(
    `Expected ${[...new Set(targets.map(({ folder }) => folder))].join(', ')} but received ${name}`,
  );
}

const program = zig(build);
for (const { folder, file, zig: target } of targets) {
  if (wanted.length > 0 && !wanted.includes(folder)) continue;
  const binaryFolder = join(build, target);
  /** @type {NodeJS.ProcessEnv} */
  const env = {
    ...process.env,
    MAGNETS_ZIG: program,
    MAGNETS_TARGET: target,
    ZIG_GLOBAL_CACHE_DIR: join(build, 'cache'),
    ZIG_LOCAL_CACHE_DIR: join(build, 'cache'),
  };
  delete env.CMAKE_CXX_COMPILER_LAUNCHER; // zig keeps what it has compiled by itself
  const cmake = (/** @type {string[]} */ ...args) =>
    execFileSync('cmake', args, { cwd: root, env, stdio: 'inherit' });
  cmake(
    ...['-G', 'Ninja', '-S', root, '-B', binaryFolder],
    ...['--toolchain', join(root, 'scripts/prebuilds/zig.cmake')],
    ...['-DMAGNETS_CUDA=OFF', `-DCMAKE_JS_INC=${includes.join(';')}`],
    `-DNODE_API_DEFINITIONS=${join(headers, 'def')}`,
  );
  cmake('--build', binaryFolder, '--target', 'magnets', '--parallel', `${availableParallelism()}`);
  const prebuilt = join(root, 'prebuilds', folder, file);
  mkdirSync(dirname(prebuilt), { recursive: true });
  copyFileSync(join(binaryFolder, 'magnets.node'), prebuilt);
  console.log(`${folder}/${file}: ${(statSync(prebuilt).size / 1e6).toFixed(2)} MB`);
}
