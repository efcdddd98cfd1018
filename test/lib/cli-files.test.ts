/** What the commands refuse before they compute, what they leave of files that they cannot write, and their manners. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { OutputFile } from '../../lib/cli/output-file.js';
import { copyOf, fixtureFolder, publicFixture } from './fixtures.js';
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
  refused(['--out', join(folder, 'new.png/')], /a file for --out but ".*" is a folder/, 2);
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

t.test('outputs that are the same file, by whatever name, and what is none', async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  const refused = (args: string[], stderr: RegExp, status = 2) =>
    t.match(magnets('generate', 'a', '--model', fixtureFolder('post'), ...long, ...args), {
      status,
      stderr,
    });
  mkdirSync(at('real'));
  symlinkSync('real', at('link'));
  symlinkSync('a.png', at('b.png'));
  const same = /another file for --strip than --out/;
  refused(['--out', at('a.png'), '--strip', at('b.png')], same);
  refused(['--out', at('real/a.png'), '--strip', at('link/a.png')], same);
  refused(['--out', at('%d.png'), '--strip', at('65535.png')], /another file for --out than/);
  symlinkSync('4.png', at('3.png'));
  refused(['--out', at('%d.png')], /another file for --out than ".*4\.png"/);
  rmSync(at('3.png'));
  mkdirSync(at('70000.png'));
  refused(['--out', at('%d.png'), '--first-sample', '60000'], /but ".*70000\.png" is a folder/);
  rmSync(at('70000.png'), { recursive: true });
  refused(['--out', at('%d/a.png')], /one number such as %06d, in the name of the file,/);
  symlinkSync('no/folder.png', at('3.png'));
  refused(['--out', at('%d.png')], /cannot write ".*3\.png" for --out: ENOENT/, 1);
  rmSync(at('3.png'));
  const socket = createServer().listen(at('socket.png'));
  await once(socket, 'listening');
  refused(['--out', at('socket.png')], /cannot write ".*" for --out: it is a socket/, 1);
  socket.close();
  t.same(readdirSync(folder).sort(), ['b.png', 'link', 'real']);
});

t.test('a link to what is yet to be stays one', async (t) => {
  const folder = temporaryFolder(t);
  symlinkSync('later.png', join(folder, 'out.png'));
  symlinkSync('out.png', join(folder, '1.png'));
  const model = ['--model', fixtureFolder('post'), '--steps', '1', '--seed', '1'];
  t.equal(magnets('generate', 'a', ...model, '--out', join(folder, 'out.png')).status, 0);
  const one = readFileSync(join(folder, 'later.png'));
  const numbered = ['--count', '2', '--scale', '1', '--out', join(folder, '%d.png')];
  t.equal(magnets('generate', 'a', ...model, ...numbered).status, 0);
  t.notSame(readFileSync(join(folder, 'later.png')), one);
  t.same(readlinkSync(join(folder, '1.png')), 'out.png');
  t.same(readdirSync(folder).sort(), ['0.png', '1.png', 'later.png', 'out.png']);
});

/** A line of a shell that may mount, and its arguments from $1 on; undefined where this system lets nobody do so. */
function withMount(line: string, ...args: string[]) {
  const unshare = (...command: string[]) =>
    spawnSync('unshare', ['-rm', 'sh', '-c', ...command], { encoding: 'utf8' });
  if (unshare('mount -t tmpfs none /mnt').status !== 0) return undefined;
  const { status, stderr } = unshare(line, 'sh', ...args);
  return { status, stderr };
}

t.test('a file that can be written but not replaced is written', async (t) => {
  const folder = temporaryFolder(t);
  const [path, other] = [join(folder, 'mounted.txt'), join(folder, 'other.txt')];
  writeFileSync(path, '');
  writeFileSync(other, 'longer before');
  const url = JSON.stringify(new URL('../../dist/cli/output-file.js', import.meta.url));
  const script = `import(${url}).then(async ({ OutputFile }) =>
    (await OutputFile.prepare('out', ${JSON.stringify(path)})).write('after'))`;
  const line = 'mount --bind "$1" "$2" && exec "$3" -e "$4"';
  const outcome = withMount(line, other, path, process.execPath, script);
  if (outcome === undefined) return t.comment('nothing can be mounted here');
  t.same(outcome, { status: 0, stderr: '' });
  t.equal(readFileSync(other, 'utf8'), 'after');
  t.same(readdirSync(folder).sort(), ['mounted.txt', 'other.txt']);
});

t.test('a full disk', async (t) => {
  const folder = temporaryFolder(t);
  const model = publicFixture('vq16-tiny/model.pt');
  const on = (size: string, line: string) =>
    withMount(
      `mount -t tmpfs -o size=${size} none "$1" && cd "$1" && ${line} && ls -A "$1" >&2`,
      ...[folder, process.execPath, cli, model, fixtureFolder('post')],
    );
  const convert = on('2m', '! "$2" "$3" convert "$4" --to to');
  if (convert === undefined) return t.comment('nothing can be mounted here');
  t.match(convert.stderr, /to: expected room for 3758892 bytes but the disk has 2097152\n$/);
  // Room for the weights alone.
  t.match(
    on('3684k', '! "$2" "$3" convert "$4" --to to')!.stderr,
    /to: expected a folder that can be written but ENOSPC: no space left on device\n$/,
  );
  const generate = '"$2" "$3" generate a --model "$5" --steps 1 --seed 1 --scale 9 --count';
  t.match(
    on('128k', `echo > a.png; ! ${generate} 2000 --out a.png`)!.stderr,
    /ENOSPC.*\na\.png\n$/,
  );
  t.match(
    on('128k', `! ${generate} 500 --batch-size 2 --out %d.png`)!.stderr,
    /cannot write "(\d+)\.png" for --out: ENOSPC: .*; \d+ of 500 are written, the others by .*\n0\.png\n/,
  );
});

t.test('the standard output as a file keeps what is there, and its order', async (t) => {
  const bench = ['bench', '--model', fixtureFolder('post'), '--steps', '1', '--repeats', '1'];
  const args = [cli, ...bench, '--out', '/dev/stdout'];
  const path = join(temporaryFolder(t), 'results');
  writeFileSync(path, 'before\n');
  const file = openSync(path, 'a');
  t.equal(spawnSync(process.execPath, args, { stdio: ['ignore', file, 'inherit'] }).status, 0);
  closeSync(file);
  const written = /^\{\n {2}"device": .*\n\}\n.*peak of the device/s;
  const [before, ...lines] = readFileSync(path, 'utf8').split('\n');
  t.equal(before, 'before');
  t.match(lines.join('\n'), written);
  // Node's pipes are sockets, which cannot be opened by their path.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const output = text(child.stdout);
  t.same(await once(child, 'exit'), [0, null]);
  t.match(await output, written);
});

t.test('whatever ends the process meanwhile, nothing half-written stays', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a.png');
  const url = JSON.stringify(new URL('../../dist/cli/output-file.js', import.meta.url));
  for (const [end, expected] of [
    ["process.kill(process.pid, 'SIGINT')", [null, 'SIGINT']],
    ["process.kill(process.pid, 'SIGTERM')", [null, 'SIGTERM']],
    ["process.kill(process.pid, 'SIGHUP')", [null, 'SIGHUP']],
    ['process.exit(7)', [7, null]],
  ] as const) {
    const script = `import(${url}).then(async ({ OutputFile }) => {
      const file = await OutputFile.prepare('out', ${JSON.stringify(path)});
      const writing = file.write(Buffer.alloc(2 ** 26));
      const turn = () => {
        const partial = fs.readdirSync(${JSON.stringify(folder)}).find((name) => name !== 'a.png');
        if (partial === undefined) return setImmediate(turn);
        ${end};
      };
      turn();
      await writing;
      await new Promise((resolve) => setTimeout(resolve, 1e4));
    })`;
    writeFileSync(path, 'before');
    // Without what tap has every Node load, which listens to signals.
    const line = 'unset NODE_OPTIONS; exec "$0" -e "$1"';
    const child = spawn('sh', ['-c', line, process.execPath, script], { stdio: 'inherit' });
    t.same(await once(child, 'exit'), expected, end);
    t.same(readdirSync(folder), ['a.png'], end);
    t.equal(statSync(path).size, 'before'.length, end);
  }
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
