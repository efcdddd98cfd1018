/** The package under Jest, which runs every test file in a realm of its own. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fixtureFolder } from '../lib/fixtures.js';

const index = new URL('../../dist/index.js', import.meta.url).href;

const test = `
import { contactSheet, load, MagnetsError, Tensor } from ${JSON.stringify(index)};

test('generates, edits and looks inside', async () => {
  const model = await load(${JSON.stringify(fixtureFolder('post'))}, { device: 'cpu' });
  const { tokens, pixels } = await model.generate({ labels: ['a'], steps: 4, seed: 3 }).result();
  expect(tokens).toBeInstanceOf(Tensor);
  expect(tokens.data).toBeInstanceOf(Int32Array);
  expect(pixels.dims).toEqual([1, 6, 8, 3]);
  const given = new Tensor('int32', Int32Array.from(tokens.data), [1, 12]);
  const edited = await model.generate({ labels: ['a'], tokens: given }).result();
  expect(edited.tokens.data).toEqual(tokens.data);
  expect((await model.forward({ tokens, labels: ['a'] })).data).toBeInstanceOf(Float32Array);
  expect(contactSheet(await model.detokenize(tokens)).length).toBeGreaterThan(0);
  const { signal } = new AbortController();
  await model.generate({ labels: ['a'], signal }).result();
  model.dispose();
  expect(() => model.generate()).toThrow(MagnetsError);
});
`;

t.test('a test of Jest generates', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-jest-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const settings = { testEnvironment: 'node', transform: {} };
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module', jest: settings }),
  );
  writeFileSync(join(folder, 'magnets.test.js'), test);
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  execFileSync('npm', ['install', ...options, 'jest@30'], { cwd: folder, stdio: 'ignore' });
  const jest = join(folder, 'node_modules/jest/bin/jest.js');
  const args = ['--experimental-vm-modules', '--no-warnings', jest, '--ci'];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.match(stderr, /Tests: +1 passed, 1 total/);
});
