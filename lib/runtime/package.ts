/** This package as it is installed. No other file reads an address of a file, where bundlers would see one. */

import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** A bundle of CommonJS has no `import.meta.url`: then it is a place that is not the package's folder, which is said later. */
const here = import.meta.url ?? pathToFileURL(process.execPath).href;

/** Native code cannot look into an archive of Electron, but what was left unpacked lies in a folder beside. */
function unpacked(path: string): string {
  return process.versions.electron ? path.replace(/\.asar(?=[\\/])/, '.asar.unpacked') : path;
}

/** The package's root: where `prebuilds`, `build` and `models` are. */
export const packageRoot = unpacked(fileURLToPath(new URL('../..', here)));

/** Finds this package's dependencies, and its package.json. */
export const require = createRequire(here);

/** The version in package.json. */
export function packageVersion(): string {
  return require('../../package.json').version;
}
