/** This package as it is installed. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The package's root: where `prebuilds`, `build` and `models` are. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

const require = createRequire(import.meta.url);

/** The version in package.json. */
export function packageVersion(): string {
  return require('../../package.json').version;
}
