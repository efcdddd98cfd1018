// Puts libmagnets_cuda.so, where it was built, beside the addon that prebuildify packed: the addon looks for it there.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';

const library = 'build/Release/libmagnets_cuda.so';
if (existsSync(library)) {
  const target = `prebuilds/${process.platform}-${process.arch}/libmagnets_cuda.so`;
  copyFileSync(library, target);
  execFileSync('strip', ['--strip-unneeded', target]);
  console.log(target);
} else {
  console.log('no libmagnets_cuda.so: packed without the CUDA backend');
}
