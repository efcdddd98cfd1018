/** A stranger's first minute: the packed tarball, installed in an empty folder, generates with both bundled models. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { npm, pack, packedIn } from './packed.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const script = `
import { load } from 'magnets';
for (const [name, label] of [['fashion', 'boot'], ['moving-digits', '7 left']]) {
  const model = await load(name, { device: 'cpu' });
  const { pixels } = await model.generate({ labels: [label], steps: 4, seed: 1 }).result();
  console.log(name, pixels.dims.join('x'), pixels.data.every((value) => value >= 0 && value <= 1));
  model.dispose();
}
`;

t.test('the packed tarball installs without a compiler and generates', async (t) => {
  const { folder, tarball } = packedIn(t);
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  writeFileSync(join(empty, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  npm(empty, 'install', '--no-audit', '--no-fund', tarball);
  const installed = JSON.parse(
    readFileSync(join(empty, 'node_modules/magnets/package.json'), 'utf8'),
  );
  t.equal(installed.version, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
  t.throws(
    () => readFileSync(join(empty, 'node_modules/magnets/build/Release/magnets.node')),
    'nothing was compiled',
  );

  writeFileSync(join(empty, 'first.js'), script);
  const output = execFileSync(process.execPath, ['first.js'], { cwd: empty, encoding: 'utf8' });
  t.equal(output, 'fashion 1x28x28x1 true\nmoving-digits 1x16x32x32x1 true\n');
  const info = () => execFileSync('npx', ['magnets', 'info'], { cwd: empty, encoding: 'utf8' });
  t.match(info(), /cpu: available/);
  t.notOk(existsSync(join(empty, 'node_modules/cmake-js')), 'no tools to build with');

  // The package of the CUDA backend, beside it: its addon is used, which looks for the library beside itself.
  const build = join(folder, 'build');
  mkdirSync(build);
  for (const file of ['magnets.node', 'libmagnets_cuda.so']) {
    copyFileSync(join(root, 'build/Release/magnets.node'), join(build, file));
  }
  const cuda = join(folder, 'cuda');
  const packCuda = join(root, 'scripts/prebuilds/cuda-package.js');
  execFileSync(process.execPath, [packCuda, '--from', build, '--to', cuda], { stdio: 'ignore' });
  npm(empty, 'install', '--no-audit', '--no-fund', join(cuda, pack(cuda)));
  const beside = 'node_modules/magnets-cuda-linux-x64';
  t.match(info(), `${beside}/libmagnets_cuda.so is no CUDA library of magnets`);
  const description = join(empty, beside, 'package.json');
  const other = readFileSync(description, 'utf8').replace('"0.', '"99.');
  writeFileSync(description, other);
  t.match(info(), /magnets-cuda-linux-x64 99\.\S+ is installed beside magnets 0\./);
  t.match(info(), /cpu: available/);
});
