/** Where this package's code is. A file of its own, so that bundlers see no address of a file in the others. */

import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** A bundle of CommonJS has no `import.meta.url`: then it is a place that is not the package's folder, which is said later. */
const here = import.meta.url ?? pathToFileURL(process.execPath).href;

/** Finds this package's dependencies, and its package.json. */
export const require = createRequire(here);

/** The package's root: where `prebuilds`, `build` and `models` are. */
export const packageRoot = fileURLToPath(new URL('../..', here));
