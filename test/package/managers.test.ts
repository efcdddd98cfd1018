/** The tarball in an empty folder by each package manager, with scripts blocked: imported, required, and its types. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { packedIn } from './packed.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const generate = `
load('fashion', { device: 'cpu' }).then(async (model) => {
  console.log((await model.generate({ labels: ['boot'], steps: 2 }).result()).pixels.dims.join('x'));
  model.dispose();
});`;

const files: Readonly<Record<string, string>> = {
  'esm.mjs': `import { load } from 'magnets';${generate}`,
  'required.cjs': `const { load } = require('magnets');${generate}`,
  'typed.mts': `
import { load, type Tensor } from 'magnets';
import { plan, presets } from 'magnets/plan';
using model = await load('fashion');
export const pixels: Tensor<'float32'> = (await model.generate({ labels: ['boot'] }).result()).pixels;
export const ratio: number = plan({ model: presets.L }).flopsRatio;
// @ts-expect-error
model.generate({ lables: ['boot'] });
`,
};

interface Manager {
  readonly name: string;
  /** What npx runs. */
  readonly program: string;
  readonly install: readonly string[];
  /** More of the project's files. */
  readonly files?: Readonly<Record<string, string>>;
  /** Packages are in archives that its own loader opens. */
  readonly archives?: boolean;
  /** Where TypeScript looks at the types, which takes seconds. */
  readonly types?: boolean;
}

const yarnrc = 'enableScripts: false\nenableGlobalCache: true\nenableTelemetry: false\n';

const managers: readonly Manager[] = [
  { name: 'npm', program: 'npm', install: ['install', '--ignore-scripts', '--no-audit'] },
  // Nothing but a package's own dependencies is in its reach.
  { name: 'pnpm', program: 'pnpm@10', install: ['install', '--ignore-scripts'], types: true },
  { name: 'yarn classic', program: 'yarn@1', install: ['install', '--ignore-scripts'] },
  {
    name: 'yarn',
    program: '@yarnpkg/cli-dist@4',
    install: ['install'],
    files: { '.yarnrc.yml': `nodeLinker: node-modules\n${yarnrc}`, 'yarn.lock': '' },
  },
  {
    name: "yarn's Plug'n'Play",
    program: '@yarnpkg/cli-dist@4',
    install: ['install'],
    files: { '.yarnrc.yml': `nodeLinker: pnp\n${yarnrc}`, 'yarn.lock': '' },
    archives: true,
  },
];

t.test('package managers', async (t) => {
  const { folder, tarball } = packedIn(t);
  for (const { name, program, install, archives, types, ...rest } of managers) {
    const project = join(folder, name);
    mkdirSync(project);
    const description = { private: true, dependencies: { magnets: `file:${tarball}` } };
    const all = { ...files, ...rest.files, 'package.json': JSON.stringify(description) };
    for (const [file, text] of Object.entries(all)) writeFileSync(join(project, file), text);
    const run = (command: string, ...args: string[]) => {
      const env = { ...process.env, NODE_OPTIONS: '', COREPACK_ENABLE_STRICT: '0', CI: '' };
      const { status, stdout, stderr } = spawnSync(command, args, {
        cwd: project,
        encoding: 'utf8',
        env,
      });
      return { status, output: `${stdout}${stderr}` };
    };
    const manage = (...args: string[]) =>
      program === 'npm' ? run('npm', ...args) : run('npx', '--yes', program, ...args);
    const { status, output } = manage('--version');
    const skip = status !== 0 && `it cannot be had: ${output}`;
    t.test(name, { skip }, async (t) => {
      t.match(manage(...install), { status: 0 }, 'installs');
      const node = (file: string) => (archives ? manage('node', file) : run('node', file));
      t.match(node('esm.mjs'), { status: 0, output: /^1x28x28x1$/m });
      // There Node requires ES modules without asking the loader.
      if (!archives) t.match(node('required.cjs'), { status: 0, output: /^1x28x28x1$/m });
      if (types === undefined) return;
      const options = ['--module', 'nodenext', '--target', 'esnext', '--strict', '--noEmit'];
      const own = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      t.same(run('node', tsc, ...own, ...options, 'typed.mts'), { status: 0, output: '' });
    });
  }
});
