// What a package manager runs after an install: nothing is to be done where a prebuilt addon fits. Else the addon is built,
// with tools that most users never need, so that they are no dependencies. Needs no npm on the PATH.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Why node-gyp-build finds no addon that loads; undefined where it finds one. */
function misfit() {
  try {
    // By a process of its own: a file that is cut short ends whoever loads it.
    const file = require('node-gyp-build').resolve(root);
    const args = ['-e', 'require(process.argv[1])', file];
    const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status === 0) return undefined;
    return signal ?? /^Error: (.*)/m.exec(stderr)?.[1] ?? stderr;
  } catch (error) {
    return /** @type {Error} */ (error).message.split('\n')[0];
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

/** How the package manager that runs this adds the tools. */
function addTools() {
  const [, name = 'npm'] = /^(\w+)\//.exec(process.env.npm_config_user_agent ?? '') ?? [];
  const tools = 'cmake-js@8 node-addon-api@8';
  if (name === 'deno') return 'deno add npm:cmake-js@8 npm:node-addon-api@8';
  if (name !== 'npm') return `${name} add ${tools}`;
  return `npm install ${process.env.npm_config_global === 'true' ? '--global ' : ''}${tools}`;
}

/** Why the addon cannot be built, and what to do. @param {string} why */
function refusal(why) {
  // npm does not install the dependencies of a folder that it only links.
  if (why.includes('node-gyp-build')) return `magnets: ${why}: first run npm install in ${root}`;
  return [
    `magnets: there is no prebuilt addon for ${process.platform}-${process.arch} that loads here: ${why}`,
    'To build it, install a C++20 compiler, make and CMake 3.21 or later, then run',
    `  ${addTools()}`,
    'and, if that has not built it, once more the command that ended here.',
  ].join('\n');
}

const why = misfit();
if (why !== undefined) {
  const cmake = builder();
  if (cmake === undefined) {
    console.error(refusal(why));
    // A clone without development dependencies has no dist either: scripts/prepare.js warns of it, and nothing fails.
    process.exitCode = existsSync(join(root, 'lib')) ? 0 : 1;
  } else {
    const args = [cmake, 'rebuild', '--out', 'build/Release']; // afresh: a build that failed cannot be taken up
    process.exitCode =
      spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
  }
}
