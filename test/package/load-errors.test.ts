/** Where the addon cannot be loaded: the message says what was tried, why each failed, and what to do here. */

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import t, { type Test } from 'tap';
import { loadAddon, packageManager } from '../../lib/runtime/addon.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A folder with these files, gone when the test ends. */
function folderOf(t: Test, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-addon-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

const own = `prebuilds/${process.platform}-${process.arch}`;

t.test('what was tried, and why it failed', async (t) => {
  const refused = (files: Readonly<Record<string, string>>, message: RegExp) => {
    const folder = folderOf(t, files);
    t.throws(() => loadAddon(folder), { code: 'ERR_UNSUPPORTED', message });
  };
  const sources = { 'binding.gyp': '' };
  refused(sources, /^Cannot load .* for \w+-\w+, (glibc 2\.\d+|musl), Node v\d+/);
  refused(sources, /- build\/Release\/magnets.node: nothing was built here\n/);
  refused(sources, new RegExp(`- ${own}: there is none, nor for another platform\n`));
  refused(sources, /What to do:\n- run its install script again, .*: npm rebuild magnets /);
  refused(sources, /a C\+\+20 compiler and CMake/);
  const other = { ...sources, 'prebuilds/sunos-sparc/node.node': '' };
  refused(other, /there is none, only sunos-sparc\n/);
  const unfit = { ...sources, [`${own}/node.abi1.node`]: '' };
  refused(unfit, /has none for this machine, only node.abi1.node\n/);
  const broken = { ...sources, 'build/Release/magnets.node': 'no addon' };
  refused(broken, /- build\/Release\/magnets.node: .*(file too short|invalid ELF header)/);
  refused({}, /is not its folder, as where a bundler has moved its code/);
});

t.test('each package manager is known by what it leaves', async (t) => {
  const nested = (files: Readonly<Record<string, string>>, path = 'node_modules/magnets') =>
    packageManager(join(folderOf(t, files), path));
  t.equal(nested({}), 'npm');
  t.equal(nested({ 'package-lock.json': '' }), 'npm');
  t.equal(nested({ 'pnpm-lock.yaml': '' }), 'pnpm');
  t.equal(nested({}, 'node_modules/.pnpm/magnets@1.0.0/node_modules/magnets'), 'pnpm');
  t.equal(nested({ 'yarn.lock': '# yarn lockfile v1\n' }), 'yarn classic');
  t.equal(nested({ 'yarn.lock': '__metadata:\n  version: 8\n' }), 'yarn');
  t.equal(nested({}, '.yarn/unplugged/magnets-npm/node_modules/magnets'), 'yarn');
  t.equal(nested({ 'yarn.lock/folder': '' }), 'yarn', 'one that cannot be read');
  t.equal(nested({ 'bun.lock': '' }), 'bun');
  t.equal(nested({ 'bun.lockb': '' }), 'bun');
});

const program = `
import { load } from 'magnets';
load('fashion', { device: 'cpu' }).then(
  async (model) => {
    console.log((await model.generate({ labels: ['boot'], steps: 2 }).result()).tokens.dims.join());
  },
  ({ code, message }) => console.log(code, message),
);
`;

t.test('a bundle that leaves the package out runs, one that has it in says so', async (t) => {
  const folder = folderOf(t, { 'program.js': program, 'package.json': '{ "type": "module" }' });
  execFileSync('ln', ['-s', root, join(mkdirOf(folder, 'node_modules'), 'magnets')]);
  const run = (file: string) => {
    const { stdout, stderr } = spawnSync(process.execPath, [join(folder, file)], {
      encoding: 'utf8',
    });
    return `${stdout}${stderr}`;
  };
  const bundle = (outfile: string, external: string[]) =>
    build({
      entryPoints: [join(folder, 'program.js')],
      outfile: join(folder, outfile),
      bundle: true,
      format: 'esm',
      platform: 'node',
      external,
      logLevel: 'silent',
      banner: {
        js: `import { createRequire as c } from 'node:module'; const require = c(import.meta.url);`,
      },
    });
  const refused =
    /^ERR_UNSUPPORTED .* is not its folder, as where a bundler .*esbuild --external:magnets/;
  await build({
    entryPoints: [join(folder, 'program.js')],
    outfile: join(folder, 'inside.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    logLevel: 'silent',
  });
  t.match(run('inside.cjs'), refused, 'CommonJS, which has no import.meta.url');
  await bundle('outside.js', ['magnets']);
  t.equal(run('outside.js'), '1,49\n');
  await bundle('inside.js', []);
  t.match(run('inside.js'), refused);

  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts', '--no-save'];
  const tools = folderOf(t, { 'package.json': '{}' });
  execFileSync('npm', ['install', ...options, 'webpack@5'], { cwd: tools, stdio: 'ignore' });
  const settings = {
    mode: 'production',
    target: 'node20',
    entry: join(folder, 'program.js'),
    output: { path: folder, filename: 'webpack.js', module: true, chunkFormat: 'module' },
    experiments: { outputModule: true, topLevelAwait: true },
  };
  const outside = { ...settings, externals: { magnets: 'module magnets' } };
  const inside = { ...settings, output: { ...settings.output, filename: 'webpack-inside.js' } };
  const script = `require('webpack')(${JSON.stringify([outside, inside])}, (error, stats) => {
    if (error ?? stats.hasErrors()) throw error ?? new Error(stats.toString());
  });`;
  execFileSync(process.execPath, ['-e', script], { cwd: tools, stdio: 'inherit' });
  t.equal(run('webpack.js'), '1,49\n');
  t.match(run('webpack-inside.js'), /^ERR_UNSUPPORTED .*: a bundler has replaced .*or externals: /);
});

function mkdirOf(...path: string[]): string {
  const folder = join(...path);
  mkdirSync(folder, { recursive: true });
  return folder;
}

t.test('the install script names the commands of who runs it', async (t) => {
  const folder = folderOf(t, { 'package.json': '{ "type": "module" }' });
  copyFileSync(join(root, 'scripts/install.js'), join(mkdirOf(folder, 'scripts'), 'install.js'));
  for (const [agent, add, again] of [
    ['', 'npm install', 'npm rebuild magnets'],
    ['npm/11.19.1 node/v20.20.2 linux x64', 'npm install', 'npm rebuild magnets'],
    ['pnpm/10.26.0 npm/? node/v20.20.2 linux x64', 'pnpm add', 'pnpm rebuild magnets'],
    ['yarn/1.22.22 npm/? node/v20.20.2 linux x64', 'yarn add', 'yarn install --force'],
    ['yarn/4.14.0 npm/? node/v20.20.2 linux x64', 'yarn add', 'yarn rebuild magnets'],
    ['bun/1.4.5 npm/? node/v26.3.0 linux x64', 'bun add', 'bun install --force'],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/install.js'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, npm_config_user_agent: agent },
    });
    t.equal(status, 1);
    t.match(stderr, `\n  ${add} cmake-js@8 node-addon-api@8\n  ${again}\n`, agent);
  }
});

t.test('installs without npm on the PATH, and without development dependencies', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
    t.notMatch(scripts[name] ?? '', /\b(npm|npx)\b/, name);
  }
  const clone = folderOf(t, { 'package.json': '{ "type": "module" }' });
  copyFileSync(join(root, 'scripts/prepare.js'), join(mkdirOf(clone, 'scripts'), 'prepare.js'));
  const prepared = spawnSync(process.execPath, ['scripts/prepare.js'], {
    cwd: clone,
    encoding: 'utf8',
  });
  t.match(prepared, { status: 0, stderr: /TypeScript is a development dependency/ });
});
