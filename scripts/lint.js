// npm run lint: every linter of the repository, each even if one before it has failed. Ends with `lint: N passed, M failed`.

import { spawnSync } from 'node:child_process';

/** @type {Record<string, string[]>} */
const linters = {
  biome: ['npx', 'biome', 'check'],
  'clang-format': ['node', 'scripts/clang-format.js', '--check'],
  pyflakes: ['/usr/bin/python3', '-m', 'pyflakes', 'training', 'evaluation', 'bench', 'test'],
  pycodestyle: ['/usr/bin/python3', '-m', 'pycodestyle', 'training', 'evaluation', 'bench', 'test'],
};

let failed = 0;
for (const [name, [command, ...args]] of Object.entries(linters)) {
  const { status, error } = spawnSync(/** @type {string} */ (command), args, { stdio: 'inherit' });
  if (status === 0) continue;
  ++failed;
  console.error(`${name} failed${error ? `: ${error.message}` : ''}`);
}
console.log(`lint: ${Object.keys(linters).length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
