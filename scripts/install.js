// What a package manager runs after an install: nothing is to be done where a prebuilt addon fits. Else the addon is built,
// with tools that most users never need, so that they are no dependencies. Needs no npm on the PATH.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Whether node-gyp-build finds an addon that loads. */
function fits() {
  try {
    require(require('node-gyp-build').resolve(root));
    return true;
  } catch {
    return false;
  }
}

/** The program of cmake-js, where it and the headers that it finds are installed. */
function builder() {
  try {
    require.resolve('node-addon-api/package.json');
    return require.resolve('cmake-js/bin/cmake-js');
  } catch {
    return undefined;
  }
}

/** What the package manager that runs this calls to add the tools, and to run this again. */
function commands() {
  const [, name = 'npm', major] =
    /^(\w+)\/(\d+)/.exec(process.env.npm_config_user_agent ?? '') ?? [];
  const tools = 'cmake-js@8 node-addon-api@8';
  if (name === 'pnpm') return [`pnpm add ${tools}`, 'pnpm rebuild magnets'];
  if (name === 'yarn') {
    return [`yarn add ${tools}`, major === '1' ? 'yarn install --force' : 'yarn rebuild magnets'];
  }
  if (name === 'bun') return [`bun add ${tools}`, 'bun install --force'];
  return [`npm install ${tools}`, 'npm rebuild magnets'];
}

if (!fits()) {
  const cmake = builder();
  if (cmake === undefined) {
    console.error(
      [
        `magnets: there is no prebuilt addon for ${process.platform}-${process.arch} that loads here.`,
        'To build it, install a C++20 compiler, make and CMake 3.21 or later, then run',
        ...commands().map((command) => `  ${command}`),
      ].join('\n'),
    );
    // A clone without development dependencies has no dist either: scripts/prepare.js warns of it, and nothing fails.
    process.exitCode = existsSync(join(root, 'lib')) ? 0 : 1;
  } else {
    const args = [cmake, 'build', '--out', 'build/Release'];
    process.exitCode =
      spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
  }
}
