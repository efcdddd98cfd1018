/** What is published: the files of the tarball, and that it is imported and required by its name. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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
    'dist/cli/main.js',
    'native/addon/addon.cpp',
    'native/cpu/kernels.inl',
    'models/fashion/model.safetensors',
    'models/fashion/tokenizer/config.json',
    'models/moving-digits/model.safetensors',
    'CMakeLists.txt',
    'binding.gyp',
    'README.md',
    'LICENSE',
  ]) {
    t.ok(files.includes(needed), needed);
  }
  t.same(
    files.filter((file) => /^(test|training|bench|\.ci|build|scripts)\//.test(file)),
    [],
  );
});

t.test('import and require', async (t) => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const imported = run(
    '--input-type=module',
    '-e',
    `import { plan, presets, info } from 'magnets';
    console.log(plan({ model: presets.L, steps: 12 }).ratio.toFixed(2), info().cpu.threads > 0)`,
  );
  t.match(imported, { status: 0, stdout: '3.08 true\n' });
  const required = run(
    '--input-type=commonjs',
    '-e',
    `console.log(typeof require('magnets').load)`,
  );
  t.match(required, { status: 0, stdout: 'function\n' });
});

t.test('one version', async (t) => {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const { stdout } = spawnSync(process.execPath, [`${root}/dist/cli/main.js`, 'info', '--json'], {
    encoding: 'utf8',
  });
  t.equal(JSON.parse(stdout).version, version);
});
