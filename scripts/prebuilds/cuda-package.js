// npm run prebuilds:cuda: the package magnets-cuda-linux-x64, of what `npm run build:native` has built here: the addon and
// libmagnets_cuda.so, together, because C++ objects cross between them. --from FOLDER takes another build, --to FOLDER
// another place.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { from, to } = parseArgs({
  options: {
    from: { type: 'string', default: join(root, 'build/Release') },
    to: { type: 'string', default: join(root, 'build/cuda-package') },
  },
}).values;

const binaries = ['magnets.node', 'libmagnets_cuda.so'];
for (const file of binaries) {
  if (existsSync(join(from, file))) continue;
  throw new Error(`Expected ${join(from, file)}: build it with nvcc 12.8 or later on the PATH`);
}
const { version, license, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const name = 'magnets-cuda-linux-x64';
const description = {
  name,
  version,
  description: 'The CUDA backend of magnets, found when it is installed beside it',
  license,
  engines,
  os: ['linux'],
  cpu: ['x64'],
  libc: ['glibc'],
  files: binaries,
  peerDependencies: { magnets: version },
};
const readme = `# ${name}

The CUDA backend of [magnets](https://www.npmjs.com/package/magnets) ${version} for NVIDIA GPUs, on Linux with glibc.
Install it beside \`magnets\`, in the same version. \`npx magnets info\` says whether it is used, and why not.
`;
mkdirSync(to, { recursive: true });
for (const file of binaries) {
  copyFileSync(join(from, file), join(to, file));
  execFileSync('strip', ['--strip-unneeded', join(to, file)]);
}
copyFileSync(join(root, 'LICENSE'), join(to, 'LICENSE'));
writeFileSync(join(to, 'package.json'), `${JSON.stringify(description, undefined, 2)}\n`);
writeFileSync(join(to, 'README.md'), readme);
console.log(to);
