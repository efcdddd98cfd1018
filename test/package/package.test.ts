/** What is published: the files of the tarball, and that it is imported and required by its name. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

t.test('the tarball has all it needs and nothing else', async (t) => {
  const { status, stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  });
  t.equal(status, 0);
  const files = (JSON.parse(stdout) as [{ files: { path: string }[] }])[0].files.map(
    (file) => file.path,
  );
  for (const needed of [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/plan/index.js',
    'dist/plan/index.d.ts',
    'dist/cli/main.js',
    'native/addon/addon.cpp',
    'models/fashion/model.safetensors',
    'models/fashion/tokenizer/config.json',
    'models/moving-digits/model.safetensors',
    'CMakeLists.txt',
    'binding.gyp',
    'scripts/install.js',
    'scripts/prepare.js',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
  ]) {
    t.ok(files.includes(needed), needed);
  }
  for (const folder of ['native/engine/', 'native/cpu/', 'native/cuda/']) {
    t.ok(
      files.some((file) => file.startsWith(folder)),
      folder,
    );
  }
  t.same(
    files.filter((file) =>
      /^(test|training|evaluation|bench|examples|\.ci|\.github|build|scripts)\//.test(file),
    ),
    ['scripts/install.js', 'scripts/prepare.js'],
    'what package managers run',
  );
});

t.test('import and require', async (t) => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const imported = run(
    '--input-type=module',
    '-e',
    `import { plan, presets, info } from 'magnets';
    console.log(plan({ model: presets.L, steps: 12 }).flopsRatio.toFixed(2), info().cpu.threads > 0)`,
  );
  t.match(imported, { status: 0, stdout: '3.08 true\n' });
  const required = run(
    '--input-type=commonjs',
    '-e',
    `console.log(typeof require('magnets').load)`,
  );
  t.match(required, { status: 0, stdout: 'function\n' });
});

t.test('TypeScript 5.0 reads the types', async (t) => {
  const run = (...args: string[]) =>
    spawnSync('npx', ['--yes', '--package', 'typescript@5.0', 'tsc', ...args], {
      cwd: root,
      encoding: 'utf8',
    });
  const skip = run('--version').status !== 0 && 'it cannot be had';
  t.test('declarations', { skip }, async (t) => {
    const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--noEmit'];
    const more = ['--exactOptionalPropertyTypes', '--types', 'node'];
    const { stdout } = run(...options, ...more, 'dist/index.d.ts', 'dist/plan/index.d.ts');
    t.equal(stdout, '');
  });
});

t.test('magnets/plan is bundled for a browser, without any module of Node', async (t) => {
  const bundle = (from: string) =>
    build({
      stdin: { contents: `export * from ${JSON.stringify(from)}`, resolveDir: root },
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'browser',
      logLevel: 'silent',
    });
  const { outputFiles, metafile } = await bundle('magnets/plan');
  const inputs = Object.keys(metafile.inputs).filter((file) => file !== '<stdin>');
  t.ok(inputs.includes('dist/plan/index.js'));
  t.same(
    inputs.filter((file) => !/^dist\/(plan\/\w+|errors)\.js$/.test(file)),
    [],
    'it looks at nothing above it',
  );
  const code = Buffer.from(outputFiles[0]!.contents).toString('base64');
  const { plan, presets } = await import(`data:text/javascript;base64,${code}`);
  t.equal(plan({ model: presets.L, steps: 12 }).flopsRatio.toFixed(2), '3.08');
  await t.rejects(
    bundle('magnets'),
    { message: /Could not resolve "node:/ },
    'the rest needs Node',
  );
});

t.test('one version', async (t) => {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const { stdout } = spawnSync(process.execPath, [`${root}/dist/cli/main.js`, 'info', '--json'], {
    encoding: 'utf8',
  });
  t.equal(JSON.parse(stdout).version, version);
});

t.test('the addon exports what Node looks up and nothing else', async (t) => {
  const addon = `${root}/build/Release/magnets.node`;
  const skip = process.platform !== 'linux' && 'the format of Linux';
  t.test('symbols', { skip }, async (t) => {
    const { stdout } = spawnSync('nm', ['-D', '--defined-only', addon], { encoding: 'utf8' });
    const names = stdout.trim().split('\n');
    t.same(
      names.map((line) => line.split(' ').at(-1)?.replace(/@.*/, '')),
      ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
    );
  });
  t.test('memory', { skip }, async (t) => {
    const { stdout } = spawnSync('nm', ['-D', '--undefined-only', addon], { encoding: 'utf8' });
    const used: string[] = stdout.match(/\b(napi|node_api)_\w+/g) ?? [];
    t.ok(used.includes('napi_get_typedarray_info'));
    // Electron takes no memory but V8's own, and where V8 has none, Node's function ends the process.
    t.same(
      used.filter((name) =>
        /external_(arraybuffer|buffer|string)|create_(array)?buffer/.test(name),
      ),
      [],
    );
  });
});
