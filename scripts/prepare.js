// What npm runs after an install in a clone, and before the package is packed: compiles lib to dist. An install without
// development dependencies has no compiler, and says so instead of failing. Where npm installs a folder that the package was
// unpacked to, it runs this too, but there is dist and no lib. Needs no npm on the PATH.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

function compiler() {
  try {
    return createRequire(import.meta.url).resolve('typescript/bin/tsc');
  } catch {
    return undefined;
  }
}

const tsc = compiler();
if (tsc !== undefined && existsSync('lib')) {
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else if (!existsSync('dist/index.js')) {
  console.warn(
    'magnets: lib is not compiled to dist, because TypeScript is a development dependency: run `npm install`, then `npm prune --omit=dev`',
  );
}
