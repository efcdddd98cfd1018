/** Files that are large, deep or something else: refused before they are parsed, with messages that stay short. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DiskFile, unreadable } from '../../lib/checkpoint/disk-file.js';
import { convert, load } from '../../lib/index.js';
import { copyOf } from './fixtures.js';

const mebi = 2 ** 20;

/** Loads a copy of a fixture after `damage`; it must be refused at once, without much memory and in few words. */
async function refused(
  t: Test,
  name: string,
  damage: (folder: string) => void,
  message: RegExp,
): Promise<void> {
  const { folder } = copyOf('post', t);
  damage(folder);
  const started = process.cpuUsage();
  const before = process.resourceUsage().maxRSS / 1024;
  const error: Error = await load(folder, { device: 'cpu' }).then(
    (model) => {
      model.dispose();
      return new Error('it was taken');
    },
    (error) => error,
  );
  t.match(error, { name: 'MagnetsError', code: 'ERR_CHECKPOINT', message }, name);
  t.ok(error.message.length < 500, `${name}: ${error.message.length} characters`);
  const { user, system } = process.cpuUsage(started);
  t.ok(user + system < 1e6, `${name}: ${user + system} microseconds`);
  const grown = process.resourceUsage().maxRSS / 1024 - before;
  t.ok(grown < 64, `${name}: ${grown.toFixed(0)} MiB`);
}

/** A file of so many bytes that takes no room on the disk. */
function sparse(file: string, bytes: number): void {
  const descriptor = openSync(file, 'w');
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
}

function withHeader(file: string, text: string, data = Buffer.alloc(0)): void {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(file, Buffer.concat([length, Buffer.from(text), data]));
}

t.test('large files', async (t) => {
  for (const file of ['config.json', 'schedules.json', join('tokenizer', 'config.json')]) {
    await refused(
      t,
      file,
      (folder) => sparse(join(folder, file), 100 * mebi),
      /json: expected at most \d+ bytes but it has 104857600$/,
    );
  }
  const weights = 'model.safetensors';
  const entry = (i: number) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
  const entries = Array.from({ length: 60_000 }, (_, i) => entry(i)).join();
  await refused(
    t,
    'more header than the config promises',
    (folder) => withHeader(join(folder, weights), `{${entries}}`),
    /model\.safetensors: expected a header of at most 10\d{5} bytes but it says 3\d{6}$/,
  );
  await refused(
    t,
    'more data than the config promises',
    (folder) => truncateSync(join(folder, weights), 2 ** 34),
    /model\.safetensors: expected at most \d{7} bytes but it has 17179869184$/,
  );
  const many = Array.from({ length: 257 }, (_, i) => [`s${i}`, { schedule: '1x1' }]);
  await refused(
    t,
    'more schedules than anybody has',
    (folder) =>
      writeFileSync(join(folder, 'schedules.json'), JSON.stringify(Object.fromEntries(many))),
    /schedules\.json: expected at most 256 schedules but received 257$/,
  );
  const { folder } = copyOf('post', t);
  const to = join(folder, 'converted');
  const index = join(folder, 'model.safetensors.index.json');
  sparse(index, 64 * mebi);
  await t.rejects(convert(index, { to }), { message: /index\.json: expected at most 1048576/ });
  const large = join(folder, 'large.safetensors');
  withHeader(large, `{${entries},${entries.replaceAll('"', '"a')}}`);
  await t.rejects(convert(large, { to }), { message: /a header of at most 1048576 bytes/ });
});

t.test('deep files', async (t) => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const deep = `${open.repeat(5000)}1${close.repeat(5000)}`;
    const text = `{"latent_shape":${deep},"widths":${deep},"a\\"[[":"[[[["}`;
    const expected = /: expected (JSON|a JSON header) of at most 32 levels$/;
    for (const file of ['config.json', 'schedules.json', join('tokenizer', 'config.json')]) {
      await refused(t, file, (folder) => writeFileSync(join(folder, file), text), expected);
    }
    await refused(
      t,
      'header',
      (folder) => withHeader(join(folder, 'model.safetensors'), text),
      expected,
    );
  }
  const { folder, change } = copyOf('post', t);
  change('config.json', { note: '[[{{'.repeat(100), other: [[[[[[[['\\"[']]]]]]]] });
  (await load(folder)).dispose();
});

t.test('keys that are there twice', async (t) => {
  const twice = (file: string, key: string, other = key) =>
    refused(
      t,
      `${file}: ${key}, ${other}`,
      (folder) => {
        const path = join(folder, file);
        const text = readFileSync(path, 'latin1');
        const changed = text.replace(`"${key}"`, `"${other}": 1, "${key}"`);
        if (!file.endsWith('.safetensors')) return writeFileSync(path, changed, 'latin1');
        const length = Buffer.from(text.slice(0, 8), 'latin1').readBigUInt64LE();
        const header = changed.slice(8, 8 + Number(length) + changed.length - text.length);
        withHeader(path, header, Buffer.from(text.slice(8 + Number(length)), 'latin1'));
      },
      new RegExp(`: expected .*JSON.* whose keys differ but "${key}" is there twice$`),
    );
  await twice('config.json', 'hidden_size');
  await twice('config.json', 'hidden_size', 'hidden\\u005fsize');
  await twice('config.json', 'heads'); // of a width
  await twice(join('tokenizer', 'config.json'), 'channels');
  await twice('model.safetensors', 'embeddings.word.weight');
  await twice('model.safetensors', 'dtype');
  const { folder, change } = copyOf('post', t);
  change('config.json', { note: [{ a: 1, b: ['a', 'a'] }, { a: { a: 'a' } }], a: 'a"a"' });
  (await load(folder)).dispose();
});

t.test('long names and values are cut in messages', async (t) => {
  const long = 'x'.repeat(200_000);
  const header =
    (name: string, dtype = 'F32') =>
    (folder: string) =>
      withHeader(
        join(folder, 'model.safetensors'),
        JSON.stringify({ [name]: { dtype, shape: [1], data_offsets: [0, 4] } }),
        Buffer.alloc(4),
      );
  await refused(t, 'dtype', header('a', long), /a: expected dtype F32, .* but received x+\.\.\.$/);
  await refused(t, 'name', header(long, 'I16'), /x\.\.\.: expected dtype /);
  const config = (keys: object) => (folder: string) => {
    const file = join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...keys }));
  };
  await refused(t, 'value', config({ hidden_act: long }), /for hidden_act but received "x+\.\.\.$/);
  await refused(
    t,
    'list',
    config({ widths: Array(50_000).fill(1) }),
    /at most 64 widths for widths but received \[[1,]+\.\.\.$/,
  );
  await refused(
    t,
    'key',
    config({ sampling: { [long]: 1 } }),
    /sampling\.x+\.\.\. but received 1$/,
  );
  await refused(t, 'shape', header('a', 'F32'), /expected a tensor \[.*\] but received nothing$/);
  const { folder, change } = copyOf('post', t);
  const labels = Array.from({ length: 5 }, (_, i) => `${i}${long}`);
  change('config.json', { class_labels: labels });
  const model = await load(folder);
  t.teardown(() => model.dispose());
  try {
    model.generate({ labels: [long] });
    t.fail('it was taken');
  } catch (error) {
    const { length } = (error as Error).message;
    t.ok(length < 1000, `${length} characters`);
  }
});

t.test('what is no file, or another file', async (t) => {
  const weights = (content: string | Buffer) => (folder: string) =>
    writeFileSync(join(folder, 'model.safetensors'), content);
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 1\n`;
  const page = '<!DOCTYPE html><html><body>Please log in</body></html>';
  await refused(t, 'pointer', weights(pointer), /expected safetensors but it is a pointer of Git/);
  await refused(t, 'page', weights(page), /expected safetensors but it is a page of HTML/);
  await refused(t, 'archive', weights('PK\x03\x04 and more'), /but it is a zip archive, such as/);
  const pickle = Buffer.from('8002637468', 'hex');
  await refused(t, 'pickle', weights(Buffer.concat([pickle, pickle])), /but it is a pickle/);
  await refused(t, 'gzip', weights(Buffer.from('1f8b08000000000000', 'hex')), /by gzip: unpack/);
  await refused(t, 'JSON', weights('{"error": "no"}'), /expected safetensors but it is JSON$/);
  const config = (content: string) => (folder: string) =>
    writeFileSync(join(folder, 'config.json'), content);
  await refused(
    t,
    'pointer',
    config(pointer),
    /json: expected JSON but it is a pointer of Git LFS/,
  );
  await refused(t, 'page', config(page), /json: expected JSON but it is a page of HTML/);
  await refused(t, 'nothing', config(''), /json: expected JSON but it is empty$/);
  for (const encoding of ['\ufeff{}', '\ufffe\u7b00\u7d00']) {
    const written = (folder: string) =>
      writeFileSync(join(folder, 'config.json'), encoding, 'utf16le');
    await refused(t, 'UTF-16', written, /json: expected JSON but it is text in UTF-16: save it in/);
  }
  const replaced = (file: string, make: (path: string) => void) => (folder: string) => {
    rmSync(join(folder, file), { recursive: true });
    make(join(folder, file));
  };
  for (const file of ['model.safetensors', 'config.json']) {
    await refused(t, 'folder', replaced(file, mkdirSync), /expected a file but it is a folder$/);
    await refused(
      t,
      'pipe',
      replaced(file, (path) => execFileSync('mkfifo', [path])),
      /expected a file but it is a device or a pipe$/,
    );
    await refused(
      t,
      'nothing',
      replaced(file, () => {}),
      /expected a readable file but there is none \(ENOENT\)$/,
    );
  }
  // Without these files there is a model, but not the one that somebody made.
  const nowhere = (path: string) => symlinkSync('nowhere', path);
  for (const [name, file, make] of [
    ['a tokenizer without its config', join('tokenizer', 'config.json'), () => {}],
    ['a link that leads nowhere', 'tokenizer', nowhere],
    ['an empty tokenizer', 'tokenizer', mkdirSync],
    ['a link that leads nowhere', 'schedules.json', nowhere],
  ] as const) {
    const damage = (folder: string) => {
      rmSync(join(folder, file), { recursive: true, force: true });
      make(join(folder, file));
    };
    await refused(
      t,
      `${file}: ${name}`,
      damage,
      /\.json: expected a readable file but there is none/,
    );
  }
  const { folder } = copyOf('post', t);
  await t.rejects(load(join(folder, 'config.json')), {
    message: /a readable file but a part of its path is no folder \(ENOTDIR\)$/,
  });
});

t.test('why the system does not read a file', async (t) => {
  const reason = (code: string) =>
    unreadable('m', Object.assign(new Error(`${code}: from the system`), { code }));
  t.match(reason('EACCES'), {
    code: 'ERR_CHECKPOINT',
    message: 'm: expected a readable file but this user may not read it (EACCES)',
  });
  t.match(reason('ENOMEM'), { code: 'ERR_OUT_OF_MEMORY', message: /no memory to read it/ });
  t.match(reason('EIO'), { code: 'ERR_CHECKPOINT', message: /but EIO: from the system$/ });
});

t.test('a file of more than 2 GiB is read, in pieces that the system takes', async (t) => {
  const lengths: number[] = [];
  // The memory is never touched, so that it costs none.
  const handle = {
    async read(_: Uint8Array, __: number, length: number) {
      lengths.push(length);
      return { bytesRead: Math.min(length, 2 ** 31 - 4096) };
    },
  };
  const fileOf = (size: number): DiskFile => Reflect.construct(DiskFile, ['large', size, handle]);
  const size = 2 ** 31 + 12;
  t.equal((await fileOf(size).readAll(size)).byteLength, size);
  t.ok(lengths.every((length) => length <= 2 ** 31 - 4096));
  t.equal(
    lengths.reduce((sum, length) => sum + length, 0),
    size,
  );
  await t.rejects(fileOf(size).readAll(size, AbortSignal.abort()), { name: 'AbortError' });
  await t.rejects(fileOf(2 ** 45).readAll(2 ** 45), {
    code: 'ERR_OUT_OF_MEMORY',
    message: /^large: no memory for 35184372088832 bytes of it$/,
  });
});
