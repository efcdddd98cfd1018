/** The package's own addon with the library of the emulated device beside it, which `npm run test:native` has built. */

import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/package.js';

/** Where node-gyp-build is to look, MAGNETS_PREBUILD: `folder`, where both are put. */
export function emulated(folder: string): string {
  const built = join(folder, 'build/Release');
  mkdirSync(built, { recursive: true });
  copyFileSync(join(packageRoot, 'build/Release/magnets.node'), join(built, 'magnets.node'));
  const library = 'libmagnets_cuda.so';
  symlinkSync(join(packageRoot, 'build/test/emulated', library), join(built, library));
  return folder;
}
