/** Where the addon cannot be loaded: the message says what was tried, why each failed, and what to do here. */

import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
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
  const sources = { 'package.json': '{ "name": "magnets" }', 'native/addon/addon.cpp': '' };
  refused(sources, /^Cannot load .* for \w+-\w+, (glibc 2\.\d+|musl), Node v\d+/);
  refused(sources, /- build\/Release\/magnets.node: nothing was built here\n/);
  refused(sources, new RegExp(`- ${own}: there is none, nor for another platform\n`));
  refused(sources, /What to do:\n- run its install script again, .*: npm rebuild magnets /);
  refused(sources, /cmake-js@8 and node-addon-api@8 next to magnets, a C\+\+20 compiler and CMake/);
  const other = { ...sources, 'prebuilds/sunos-sparc/node.node': '' };
  refused(other, /there is none, only sunos-sparc\n/);
  const unfit = { ...sources, [`${own}/node.abi1.node`]: '' };
  refused(unfit, /has none for this machine, only node.abi1.node\n/);
  const broken = { ...sources, 'build/Release/magnets.node': 'no addon' };
  refused(broken, /- build\/Release\/magnets.node: .*(file too short|invalid ELF header)/);
  refused({}, /is not its folder, as where a bundler has moved its code/);
  const traced = { 'package.json': sources['package.json'], 'dist/index.js': '' };
  refused(traced, /has only a part of its files, .*: outputFileTracingIncludes/);
  t.throws(() => loadAddon('/app.asar.unpacked/node_modules/magnets/'), {
    code: 'ERR_UNSUPPORTED',
    message: /was left in the archive. Unpack all of it: asarUnpack/,
  });
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
  t.equal(nested({}, 'node_modules/.deno/magnets@1.0.0/node_modules/magnets'), 'deno');
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
  const folder = folderOf(t, {
    'package.json': '{ "type": "module" }',
    // Hides those that may be in a folder above.
    'node_modules/node-addon-api/package.json': '{ "exports": {} }',
  });
  copyFileSync(join(root, 'scripts/install.js'), join(mkdirOf(folder, 'scripts'), 'install.js'));
  const finder = join(folder, 'node_modules/node-gyp-build');
  symlinkSync(join(root, 'node_modules/node-gyp-build'), finder);
  const tools = 'cmake-js@8 node-addon-api@8';
  for (const [agent, add] of [
    ['', `npm install ${tools}`],
    ['npm/11.19.1 node/v20.20.2 linux x64', `npm install ${tools}`],
    ['pnpm/10.26.0 npm/? node/v20.20.2 linux x64', `pnpm add ${tools}`],
    ['yarn/1.22.22 npm/? node/v20.20.2 linux x64', `yarn add ${tools}`],
    ['yarn/4.14.0 npm/? node/v20.20.2 linux x64', `yarn add ${tools}`],
    ['bun/1.4.5 npm/? node/v26.3.0 linux x64', `bun add ${tools}`],
    ['deno/2.9.6 npm/? deno/2.9.6 linux x64', 'deno add npm:cmake-js@8 npm:node-addon-api@8'],
  ] as const) {
    const run = (more: NodeJS.ProcessEnv) =>
      spawnSync(process.execPath, ['scripts/install.js'], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, npm_config_user_agent: agent, ...more },
      });
    t.match(run({}), { status: 1, stderr: `\n  ${add}\nand, if that has not built it, once more` });
    if (!agent.startsWith('npm/')) continue;
    const { stderr } = run({ npm_config_global: 'true' });
    t.match(stderr, `\n  npm install --global ${tools}\n`);
  }
  rmSync(finder);
  writeFileSync(join(mkdirOf(finder), 'package.json'), '{ "exports": {} }');
  const { status, stderr } = spawnSync(process.execPath, ['scripts/install.js'], {
    cwd: folder,
    encoding: 'utf8',
  });
  t.match({ status, stderr }, { status: 1, stderr: /node-gyp-build.*: first run npm install in / });
});

/** The package around the addon's copy, for tests that change its files. */
function packageOf(t: Test): string {
  const folder = folderOf(t, {});
  for (const path of ['package.json', 'CMakeLists.txt', 'dist', 'native', 'node_modules']) {
    symlinkSync(join(root, path), join(folder, path));
  }
  copyFileSync(join(root, 'scripts/install.js'), join(mkdirOf(folder, 'scripts'), 'install.js'));
  const addon = join(root, 'build/Release/magnets.node');
  copyFileSync(addon, join(mkdirOf(folder, own), 'node.napi.node'));
  return folder;
}

t.test('an addon that was cut short ends no process', async (t) => {
  const folder = packageOf(t);
  const file = join(folder, own, 'node.napi.node');
  const install = () =>
    spawnSync(process.execPath, [join(folder, 'scripts/install.js')], {
      encoding: 'utf8',
      env: { ...process.env, PATH: '' },
    });
  t.match(install(), { status: 0, stdout: '' }, 'a whole one fits');
  const { size } = statSync(file);
  for (const bytes of [size - 1, size >> 1, 1000]) {
    truncateSync(file, bytes);
    const message = /node.napi.node: (its end is missing: it was cut short|.*slice is not valid)/;
    t.throws(() => loadAddon(folder), { code: 'ERR_UNSUPPORTED', message }, `${bytes} bytes`);
  }
  t.match(install(), { status: 1, signal: null }, 'the install script goes on to build');
});

t.test('a build that failed before does not spoil the next', async (t) => {
  const folder = packageOf(t);
  rmSync(join(folder, 'prebuilds'), { recursive: true });
  writeFileSync(
    join(mkdirOf(folder, 'build/Release'), 'CMakeCache.txt'),
    'CMAKE_CXX_COMPILER=none',
  );
  const build = join(folder, 'build/Release');
  const cmake = `#!/bin/sh
case "$1" in
  --version) echo 'cmake version 3.25.1';;
  -E) rm -r '${build}';;
  --build) [ -e '${build}/configured' ];;
  *) [ ! -e '${build}/CMakeCache.txt' ] && mkdir -p '${build}' && touch '${build}/configured';;
esac`;
  const programs = mkdirOf(folder, 'programs');
  writeFileSync(join(programs, 'cmake'), cmake, { mode: 0o755 });
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/install.js'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${programs}:${process.env.PATH}` },
  });
  t.equal(status, 0, stdout + stderr);
});

t.test('a compiler that does not know C++20 is named', async (t) => {
  const old = '#!/bin/sh\ncase "$*" in *-std=*20*|*-std=*2a*) exit 1;; esac\nexec c++ "$@"';
  const folder = folderOf(t, {});
  writeFileSync(join(folder, 'old-c++'), old, { mode: 0o755 });
  const args = ['-S', root, '-B', join(folder, 'build'), '-DMAGNETS_CUDA=OFF'];
  const { error, stderr } = spawnSync('cmake', args, {
    encoding: 'utf8',
    env: { ...process.env, CXX: join(folder, 'old-c++') },
  });
  const skip = error !== undefined && 'there is no CMake';
  t.match(stderr, /magnets: expected a compiler of C\+\+20 but received\s+\S+old-c\+\+/, { skip });
});

t.test('an application of Electron', async (t) => {
  const app = folderOf(t, {});
  const [archived, unpacked] = ['app.asar', 'app.asar.unpacked'].map((name) => {
    const folder = mkdirOf(app, name, 'node_modules/magnets');
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
    copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
    return folder;
  }) as [string, string];
  for (const name of ['fast-png', 'fflate', 'gifenc', 'iobuffer', 'node-gyp-build']) {
    symlinkSync(join(root, 'node_modules', name), join(dirname(archived), name));
  }
  // binding.gyp is among what electron-builder leaves out.
  for (const name of ['models', 'native']) symlinkSync(join(root, name), join(unpacked, name));
  const addon = join(root, 'build/Release/magnets.node');
  copyFileSync(addon, join(mkdirOf(unpacked, own), 'node.napi.node'));
  const electron = `
    Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '33.0.0' } });
    const { load } = await import(${JSON.stringify(pathToFileURL(join(archived, 'dist/index.js')))});
    await load('fashion', { device: 'cpu' });`;
  const args = ['--input-type=module', '-e', electron];
  t.match(spawnSync(process.execPath, args, { encoding: 'utf8' }), { status: 0, stderr: '' });
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

  const unpacked = packageOf(t);
  copyFileSync(join(root, 'scripts/prepare.js'), join(unpacked, 'scripts/prepare.js'));
  const installed = spawnSync(process.execPath, ['scripts/prepare.js'], {
    cwd: unpacked,
    encoding: 'utf8',
  });
  t.match(installed, { status: 0, stdout: '', stderr: '' }, 'a folder without lib is left alone');
});
