/** What the commands refuse before they compute, what they leave of files that they cannot write, and their manners. */

import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { OutputFile } from '../../lib/cli/output-file.js';
import { copyOf, fixtureFolder } from './fixtures.js';
import { cli, magnets } from './magnets.js';
import { readPng } from './png.js';
import { temporaryFolder } from './public-files.js';

/** A run that would take minutes; what is refused is refused before. */
const long = ['--count', '65536', '--steps', '1000', '--batch-size', '64'];

t.test('everything is checked before anything is computed', async (t) => {
  const folder = temporaryFolder(t);
  const model = ['--model', fixtureFolder('post'), ...long];
  const out = ['--out', join(folder, 'out.png')];
  const refused = (args: string[], stderr: RegExp, status: number) =>
    t.match(magnets('generate', 'a', ...model, ...args), { status, stderr }, args.join(' '));
  mkdirSync(join(folder, 'folder.png'));
  writeFileSync(join(folder, 'file'), '');
  refused([...out, '--scale', '0'], /1 \.\. 64 for scale but received 0/, 1);
  refused([...out, '--columns', '65537'], /1 \.\. 65536 for columns but received 65537/, 1);
  refused([...out, '--fps', '51'], /1 \.\. 50 for fps but received 51/, 1);
  refused([...out, '--scale', '64'], /a sheet of at most 1073741824 bytes .* for scale/, 1);
  const video = ['--model', fixtureFolder('video'), ...long, '--out', join(folder, 'out.gif')];
  refused([...video, '--columns', '65536'], /at most 65535 x 65535 pixels \(not \d+ x 18\)/, 1);
  refused([...out, '--strip', 'a.jpg'], /ends in \.png for --strip but received "a\.jpg"/, 2);
  refused([...out, '--strip', out[1]!], /another file for --strip than --out/, 2);
  refused(['--out', 'out.jpg'], /ends in \.png for --out but received "out\.jpg"/, 2);
  refused(['--out', join(folder, 'folder.png')], /a file for --out but ".*" is a folder/, 2);
  refused([...out, '--strip', join(folder, 'folder.png')], /a file for --strip but ".*"/, 2);
  refused(
    ['--out', join(folder, 'file', 'a.png')],
    /cannot write ".*" for --out: (ENOTDIR|EEXIST)/,
    1,
  );
  refused(['--out', '/proc/a/b/c.png'], /cannot write "\/proc\/.*" for --out: ENOENT/, 1);
  refused([...out, '--seed', String(2n ** 64n)], /bigint below 2\^64, for seed/, 1);
  t.match(magnets('bench', '--batch', '64', '--out', folder), { status: 2, stderr: /is a folder/ });
  const { folder: bare } = copyOf('post', t);
  rmSync(join(bare, 'tokenizer'), { recursive: true });
  t.match(magnets('generate', 'a', '--model', bare, ...long, ...out), {
    status: 1,
    stderr: /has no tokenizer beside it/,
  });
  t.same(readdirSync(folder).sort(), ['file', 'folder.png'], 'nothing is left behind');
});

t.test('a file is replaced whole or not at all', async (t) => {
  const folder = temporaryFolder(t);
  const generate = (out: string, ...args: string[]) =>
    magnets(
      'generate',
      'a',
      '--model',
      fixtureFolder('post'),
      '--steps',
      '1',
      '--out',
      out,
      ...args,
    );
  const [target, link] = [join(folder, 'target.png'), join(folder, 'link.png')];
  writeFileSync(target, 'before');
  symlinkSync(target, link);
  t.equal(generate(link).status, 0);
  t.match(readPng(readFileSync(target)), { channels: 3 }, 'what a link leads to is replaced');
  t.same(readdirSync(folder).sort(), ['link.png', 'target.png']);
  // A device takes bytes as they come; there, none.
  const full = join(folder, 'full.png');
  symlinkSync('/dev/full', full);
  t.match(generate(full), { status: 1, stderr: /cannot write ".*full\.png" for --out: ENOSPC/ });
  const nowhere = join(folder, 'null.png');
  symlinkSync('/dev/null', nowhere);
  t.equal(generate(nowhere).status, 0);
  t.ok(existsSync('/dev/null') && readFileSync('/dev/null').length === 0);
});

t.test('a file that is replaced keeps who may read it', async (t) => {
  const path = join(temporaryFolder(t), 'a.png');
  for (const mode of [0o600, 0o640, 0o666]) {
    writeFileSync(path, '');
    chmodSync(path, mode);
    await (await OutputFile.prepare('out', path)).write('new');
    t.equal(statSync(path).mode & 0o777, mode);
    t.equal(readFileSync(path, 'utf8'), 'new');
  }
});

t.test('what fails while it is written leaves the file before', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'new', 'out.png');
  const file = await OutputFile.prepare('out', path);
  t.same(readdirSync(join(folder, 'new')), [], 'prepared, and nothing there');
  await file.write('before');
  // As a full disk does, this fails when the file beside is being written.
  await t.rejects(file.write(7 as unknown as string), {
    message: /^cannot write ".*out\.png" for --out: /,
    cause: { code: 'ERR_INVALID_ARG_TYPE' },
  });
  t.same(readdirSync(join(folder, 'new')), ['out.png']);
  t.equal(readFileSync(path, 'utf8'), 'before');
});

t.test('a class that is called by digits or none', async (t) => {
  const { folder, change } = copyOf('post', t);
  change('config.json', { class_labels: ['1', '0', 'none', 'd', 'e'] });
  const out = join(folder, 'out.png');
  const pixels = (model: string, label: string) => {
    const args = ['--model', model, '--seed', '7', '--out', out];
    t.equal(magnets('generate', label, ...args).status, 0);
    return readPng(readFileSync(out)).data;
  };
  const plain = fixtureFolder('post'); // its classes are a .. e
  for (const [name, letter] of [
    ['1', 'a'],
    ['0', 'b'],
    ['none', 'c'],
    ['3', 'd'],
  ] as const) {
    t.same(pixels(folder, name), pixels(plain, letter), `${name} is class ${letter}`);
  }
  t.notSame(pixels(plain, 'none'), pixels(plain, 'c'));
});

t.test('a row has no more cells than there are', async (t) => {
  const out = join(temporaryFolder(t), 'out.png');
  const model = ['--model', fixtureFolder('post'), '--scale', '1', '--out', out];
  t.equal(magnets('generate', 'a', 'b', ...model, '--columns', '65536').status, 0);
  t.match(readPng(readFileSync(out)), { width: 2 * 9 + 1, height: 8 });
});

t.test('version and help', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.same(magnets('--version'), { status: 0, stdout: `${version}\n`, stderr: '' });
  t.match(magnets('-h'), { status: 0, stdout: /magnets generate/ });
  t.match(magnets('plan', '-h'), { status: 0, stdout: /^magnets plan/ });
  t.match(magnets('generate', '--', '-h'), { status: 2, stderr: /Expected --out FILE/ });
});

t.test('who reads the output may leave', async (t) => {
  const child = spawn(process.execPath, [
    cli,
    'plan',
    '--steps',
    '1000',
    '--batch',
    '999',
    '--json',
  ]);
  child.stdout.once('data', () => child.stdout.destroy());
  let errors = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  t.same([status, errors], [0, ''], 'no stack trace');
});
