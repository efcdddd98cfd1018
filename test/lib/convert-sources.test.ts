/** Files of others are read tensor by tensor, and hostile until checked: every damage is a coded error that names the file. */

import { cpSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ExtData } from '@msgpack/msgpack';
import t, { type Test } from 'tap';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource, type Group, type Source } from '../../lib/checkpoint/convert/source.js';
import { convert } from '../../lib/index.js';
import { publicFixture } from './fixtures.js';
import {
  assemble,
  flaxArray,
  flaxFile,
  pickle,
  Raw,
  temporaryFolder,
  torchFile,
  valuesOf,
  writePieces,
  zip,
} from './public-files.js';

async function opened(t: Test, path: string): Promise<Source> {
  const source = await openSource(path);
  t.teardown(() => closeSource(source));
  return source;
}

const valuesIn = async (group: Group | undefined, name: string) => [
  ...(await valuesOf(group!.get(name)!)),
];

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** A file of these bytes is refused with this message, which names it. */
async function refused(t: Test, name: string, bytes: Uint8Array, message: RegExp) {
  const file = join(temporaryFolder(t), 'checkpoint');
  writeFileSync(file, bytes);
  await t.rejects(openSource(file), { code: 'ERR_CHECKPOINT', message }, name);
  const error = (await openSource(file).catch((error) => error)) as Error;
  t.ok(error.message.includes(file), `${name}: names the file`);
}

t.test('torch: the same tensors as in the safetensors beside it', async (t) => {
  const torch = await opened(t, publicFixture('halton-odd/model.pth'));
  const plain = await opened(t, publicFixture('halton-odd/model.safetensors'));
  const expected = plain.groups.get('')!;
  const group = torch.groups.get('model_state_dict')!;
  t.equal(group.size, expected.size);
  for (const [name, tensor] of group) {
    const wanted = expected.get(name.replace('module._orig_mod.', ''))!;
    t.same(tensor.shape, wanted.shape);
    t.same(await valuesOf(tensor), await valuesOf(wanted), name);
  }
});

t.test('torch: dtypes, strides, offsets and shared storages', async (t) => {
  const folder = temporaryFolder(t);
  const storages = {
    f: floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    d: new Uint8Array(Float64Array.of(0.5, -3).buffer),
    h: new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff).buffer),
    b: new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer),
    l: new Uint8Array(BigInt64Array.of(3n).buffer),
  };
  const f = { storage: 'FloatStorage', key: 'f', count: 12 };
  const value = {
    iter: 2 ** 40,
    lr: 0.1,
    done: true,
    state: {
      whole: { ...f, shape: [3, 4] },
      transposed: { ...f, shape: [4, 3], strides: [1, 4] },
      part: { ...f, shape: [2, 2], strides: [4, 1], offset: 5 },
      column: { ...f, shape: [3, 1], strides: [4, 7], offset: 2 },
      cube: { ...f, shape: [2, 3, 2], strides: [1, 4, 2] },
      parameter: { ...f, shape: [2], offset: 10, parameter: true },
      scalar: { ...f, shape: [], offset: 3 },
      empty: { ...f, shape: [0, 4] },
      double: { storage: 'DoubleStorage', key: 'd', count: 2, shape: [2] },
      half: { storage: 'HalfStorage', key: 'h', count: 4, shape: [2, 2] },
      bfloat: { storage: 'BFloat16Storage', key: 'b', count: 2, shape: [2] },
      long: { storage: 'LongStorage', key: 'l', count: 1, shape: [1] },
    },
  };
  for (const zip64 of [false, true]) {
    const file = writePieces(join(folder, `${zip64}.pt`), torchFile(value, storages, { zip64 }));
    const source = await opened(t, file);
    t.same([...source.groups.keys()], ['state']);
    const group = source.groups.get('state');
    t.same(await valuesIn(group, 'whole'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    t.same(await valuesIn(group, 'transposed'), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    t.same(await valuesIn(group, 'part'), [5, 6, 9, 10]);
    t.same(await valuesIn(group, 'column'), [2, 6, 10]);
    t.same(await valuesIn(group, 'cube'), [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    t.same(await valuesIn(group, 'parameter'), [10, 11]);
    t.same(await valuesIn(group, 'scalar'), [3]);
    t.same(await valuesIn(group, 'empty'), []);
    t.same(await valuesIn(group, 'double'), [0.5, -3]);
    t.same(await valuesIn(group, 'half'), [1, -2, 2 ** -24, 65504]);
    t.same(await valuesIn(group, 'bfloat'), [1, -2]);
    await t.rejects(valuesIn(group, 'long'), { code: 'ERR_CHECKPOINT', message: /I64/ });
  }
});

const oneTensor = { storage: 'FloatStorage', key: '0', count: 4, shape: [4] };

t.test('torch: what an optimizer leaves in a pickle', async (t) => {
  const scalar = new Raw(
    'cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\0\0\0f8\x89\x88tR(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb',
    'c_codecs\nencode\n(X\x01\0\0\0aX\x06\0\0\0latin1tRtR',
  );
  const metadata = new Raw('ccollections\nOrderedDict\n)R}(X\x01\0\0\0aK\x01ub');
  const value = {
    optimizer: { groups: new Raw(']((K\x01K\x02eK\x03e'), lr: scalar, betas: [0.9, 0.999] },
    metadata,
    model: { a: oneTensor },
  };
  const file = writePieces(
    join(temporaryFolder(t), 'a.pth'),
    torchFile(value, { 0: floats(1, 2, 3, 4) }),
  );
  // Marks have to match: the list above closes one that is not there.
  await t.rejects(openSource(file), { code: 'ERR_CHECKPOINT' });
  value.optimizer.groups = new Raw('](K\x01K\x02eK\x03a');
  writePieces(file, torchFile(value, { 0: floats(1, 2, 3, 4) }));
  const source = await opened(t, file);
  t.same(await valuesIn(source.groups.get('model'), 'a'), [1, 2, 3, 4]);
});

t.test('torch: hostile pickles', async (t) => {
  const damaged = (name: string, value: unknown, message: RegExp) =>
    refused(t, name, assemble(torchFile(value, { 0: floats(1, 2, 3, 4) })), message);
  const opcodes = (name: string, text: string, message: RegExp) =>
    refused(
      t,
      name,
      assemble(zip([{ name: 'a/data.pkl', data: Buffer.from(`\x80\x02${text}`, 'latin1') }])),
      message,
    );

  await opcodes('os.system', 'cos\nsystem\nX\x02\0\0\0id\x85R.', /wants os\.system/);
  await opcodes('posix.system', 'cposix\nsystem\n(X\x02\0\0\0idtR.', /wants posix\.system/);
  await opcodes('eval', 'c__builtin__\neval\n)R.', /wants __builtin__\.eval/);
  await opcodes('a module of torch', 'ctorch.hub\nload\n)R.', /wants torch\.hub\.load/);
  await opcodes('inherited name', 'cto\nString\n)R.', /wants to\.String/);
  await opcodes('constructor', 'c__proto__\nx\n)R.', /wants __proto__\.x/);
  await opcodes('INST', '(ios\nsystem\n.', /opcode INST/);
  await opcodes('OBJ', '(cos\nsystem\no.', /wants os/);
  await opcodes('NEWOBJ', 'ccollections\nOrderedDict\n)\x81.', /opcode NEWOBJ/);
  await opcodes('STACK_GLOBAL', 'X\x02\0\0\0osX\x06\0\0\0system\x93)R.', /opcode STACK_GLOBAL/);
  await opcodes('EXT1', '\x82\x01.', /opcode EXT1/);
  await opcodes('PERSID', 'P0\n.', /opcode PERSID/);
  await opcodes('unknown', '\xfe.', /opcode 0xfe/);
  await opcodes('BUILD of a list', ']}b.', /no object with a state/);
  await opcodes('BUILD of a tuple', ')}b.', /no object with a state/);
  await opcodes(
    'REDUCE of a storage',
    'ctorch\nFloatStorage\n)R.',
    /no call of torch\.FloatStorage/,
  );
  await opcodes('REDUCE of a string', 'X\x01\0\0\0a)R.', /expected a call/);
  await opcodes('REDUCE of nothing', ')R.', /expected a value/);
  await opcodes(
    'OrderedDict of pairs',
    'ccollections\nOrderedDict\n]\x85R.',
    /an empty OrderedDict/,
  );
  await opcodes(
    'tensor of nothing',
    'ctorch._utils\n_rebuild_tensor_v2\n)R.',
    /expected a storage/,
  );
  await opcodes(
    'parameter of nothing',
    'ctorch._utils\n_rebuild_parameter\n)R.',
    /a tensor as param/,
  );
  await opcodes('persistent id', 'X\x01\0\0\0aQ.', /five parts of a storage/);
  await opcodes('empty', '', /expected more bytes/);
  await opcodes('nothing on the stack', '.', /expected a value/);
  await opcodes('two values', 'NN.', /expected one value/);
  await opcodes('no dictionary', 'N.', /expected a dictionary/);
  await opcodes('no mark', 't.', /expected a mark/);
  await opcodes('a mark', '(.', /expected a value/);
  await opcodes('unknown memo', 'h\x07.', /value of number 7/);
  await opcodes('a string past the end', 'X\xff\xff\xff\x7fab.', /expected more bytes/);
  await opcodes('no UTF-8', 'X\x01\0\0\0\xff.', /expected UTF-8/);
  await opcodes('an endless line', 'cabc', /end of a line/);
  await opcodes('half a pair', '}(Nu.', /pairs of keys and values/);
  await opcodes('a list as dictionary', '](NNu.', /expected a dictionary/);
  await opcodes('a key twice', '}(X\x01\0\0\0aNX\x01\0\0\0aNu.', /one value for a/);
  await opcodes('another protocol', '\x80\x04N.', /protocol 2 but received 4/);
  await opcodes(
    'a deep one',
    `${'}X\x01\0\0\0a'.repeat(40)}N${'s'.repeat(40)}.`,
    /at most 16 deep/,
  );

  await damaged(
    'no such storage',
    { a: { ...oneTensor, key: '7' } },
    /a: expected its bytes as entry data\/7/,
  );
  await damaged(
    'a path as key',
    { a: { ...oneTensor, key: '../../etc' } },
    /a: expected its bytes/,
  );
  await damaged(
    'a longer storage',
    { a: { ...oneTensor, count: 5 } },
    /a: expected 20 bytes .* not 16/,
  );
  await damaged(
    'past the storage',
    { a: { ...oneTensor, offset: 1 } },
    /a: expected values below 4/,
  );
  await damaged(
    'strides past it',
    { a: { ...oneTensor, shape: [2, 2], strides: [3, 1] } },
    /a: expected values below 4/,
  );
  await damaged(
    'more values than it has',
    { a: { ...oneTensor, shape: [2 ** 40], strides: [0] } },
    /a: expected at most 4 values/,
  );
  await damaged(
    'overflow',
    { a: { ...oneTensor, shape: [2 ** 50, 2 ** 50, 2 ** 50], strides: [0, 0, 0] } },
    /a: expected at most 4 values/,
  );
  await damaged('negative offset', { a: { ...oneTensor, offset: -1 } }, /a storage, an offset/);
  await damaged('negative stride', { a: { ...oneTensor, strides: [-1] } }, /a storage, an offset/);
  await damaged(
    'strides of another rank',
    { a: { ...oneTensor, strides: [1, 1] } },
    /a storage, an offset/,
  );
  await damaged(
    'many dimensions',
    { a: { ...oneTensor, shape: Array(65).fill(1), strides: Array(65).fill(1) } },
    /a storage, an offset/,
  );
  const long = 'x'.repeat(3000);
  await damaged('long names', { [long]: { [long]: oneTensor } }, /names of at most 4096/);
  await damaged(
    'another storage',
    { a: { ...oneTensor, storage: 'QInt8Storage' } },
    /wants torch\.QInt8Storage/,
  );
});

t.test('a dictionary that contains itself, and a thousand of one', async (t) => {
  const folder = temporaryFolder(t);
  const itself = new Raw(
    '}q\0(X\x01\0\0\0ah\0X\x01\0\0\0b',
    pickle(oneTensor).subarray(2, -1),
    'u',
  );
  const file = join(folder, 'a');
  writePieces(file, torchFile(itself, { 0: floats(1, 2, 3, 4) }));
  t.same([...(await opened(t, file)).groups.keys()], ['']);

  // Each level holds the one below it twice: 2^64 paths, of which each dictionary is walked once.
  let laughs = '}q\0';
  for (let level = 1; level < 15; ++level) {
    const below = `h${String.fromCharCode(level - 1)}`;
    laughs += `}(X\x01\0\0\0a${below}X\x01\0\0\0b${below}uq${String.fromCharCode(level)}`;
  }
  const many = new Raw('(', laughs, `t0`.slice(0, 1));
  writePieces(file, torchFile({ many, model: { a: oneTensor } }, { 0: floats(1, 2, 3, 4) }));
  t.same([...(await opened(t, file)).groups.keys()], ['model']);

  // A name that holds the one before it twice: its text would have 2^64 characters.
  let name = 'Nq\0';
  for (let level = 0; level < 64; ++level) {
    name += `h${String.fromCharCode(level)}\x86q${String.fromCharCode(level + 1)}`;
  }
  writePieces(file, torchFile(new Raw('}', name, '}s'), {}));
  t.same([...(await opened(t, file)).groups.keys()], []);
});

t.test('torch: hostile archives', async (t) => {
  const data = pickle({ a: oneTensor });
  const bytes = floats(1, 2, 3, 4);
  const inputs = [
    { name: 'a/data.pkl', data },
    { name: 'a/data/0', data: bytes },
  ];
  const damaged = (
    name: string,
    entries: Parameters<typeof zip>[0],
    message: RegExp,
    count?: number,
  ) => refused(t, name, assemble(zip(entries, count === undefined ? {} : { count })), message);
  const changed = (keys: object) => [inputs[0]!, { ...inputs[1]!, ...keys }];
  t.ok(await opened(t, writePieces(join(temporaryFolder(t), 'a'), zip(inputs))), 'is sound');

  await damaged(
    'compressed',
    changed({ method: 8 }),
    /data\/0: expected a stored entry but it is compressed/,
  );
  await damaged(
    'encrypted',
    changed({ flags: 1 }),
    /data\/0: expected an entry without encryption/,
  );
  await damaged('longer than the file', changed({ size: 1e9 }), /expected a number of bytes/);
  await damaged(
    'into the list',
    changed({ size: 60 }),
    /data\/0: expected its bytes before the list/,
  );
  await damaged('overlap', changed({ offset: 0 }), /overlap/);
  const beside = zip(inputs).pieces[2]!.at + 1;
  await damaged('no header there', changed({ offset: beside }), /data\/0: expected its header at/);
  await damaged(
    'an entry twice',
    [...inputs, inputs[1]!],
    /data\/0: expected one entry of this name/,
  );
  await damaged('no pickle', [inputs[1]!], /with one data\.pkl/);
  await damaged('two pickles', [...inputs, { name: 'b/data.pkl', data }], /with one data\.pkl/);
  await damaged('more entries', inputs, /expected 3 entries but the list of them ends after 2/, 3);
  await damaged('fewer entries', inputs, /expected 1 entries but the list of them has more/, 1);
  await damaged('no tensor bytes', [inputs[0]!], /a: expected its bytes as entry data\/0/);
  const bigEndian = torchFile({ a: oneTensor }, { 0: bytes }, { order: 'big' });
  await refused(
    t,
    'big endian',
    assemble(bigEndian),
    /byteorder: expected little but received big/,
  );
  const legacy = Buffer.concat([
    Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'),
    Buffer.alloc(64),
  ]);
  await refused(t, 'legacy', legacy, /before version 1\.6: load it in torch and save it again/);

  const whole = assemble(torchFile({ a: oneTensor }, { 0: bytes }));
  const other = assemble(torchFile({ b: oneTensor }, { 0: bytes }));
  await refused(t, 'more after it', Buffer.concat([whole, bytes]), /expected the end of a zip/);
  // Its list of entries is looked for where that of the first one is.
  await refused(
    t,
    'an archive after another',
    Buffer.concat([other, whole]),
    /expected a list of entries up to byte \d+ but it ends at \d+/,
  );
  for (const comment of ['a comment', 'PK\x05\x06'.repeat(100)]) {
    const commented = Buffer.concat([whole, Buffer.from(comment, 'latin1')]);
    commented.writeUInt16LE(comment.length, whole.length - 2);
    const file = join(temporaryFolder(t), 'commented');
    writeFileSync(file, commented);
    t.same([...(await opened(t, file)).groups.get('')!.keys()], ['a']);
  }
  for (let length = 0; length < whole.byteLength; length += 7) {
    await refused(t, `cut off at ${length}`, whole.subarray(0, length), /./);
  }
  const large = assemble(torchFile({ a: oneTensor }, { 0: bytes }, { zip64: true }));
  for (let at = large.byteLength - 98; at < large.byteLength - 8; ++at) {
    const flipped = Buffer.from(large);
    flipped[at] = flipped[at]! ^ 0xff;
    const file = join(temporaryFolder(t), 'flipped');
    writeFileSync(file, flipped);
    // Some bytes mean nothing here; every other change is an error of this package.
    const error = await openSource(file).then(closeSource, (error) => error);
    t.ok(error === undefined || error.code === 'ERR_CHECKPOINT', `${at}: ${error}`);
  }
});

t.test('torch: bytes that are not those of their checksum are not converted', async (t) => {
  const folder = temporaryFolder(t);
  const [file, to] = [join(folder, 'model.pt'), join(folder, 'to')];
  const bytes = readFileSync(publicFixture('vq16-tiny/model.pt'));
  const { groups } = await opened(t, publicFixture('vq16-tiny/model.pt'));
  const [tensors] = groups.values();
  for (const { pieces } of [...tensors!.values()].slice(-3)) {
    const damaged = Buffer.from(bytes);
    damaged[pieces[0]!.position]! ^= 1; // the last bit of a number, of little weight
    writeFileSync(file, damaged);
    const message =
      /model\.pt: model\/data\/\d+: expected the bytes of its checksum: is the file damaged\?$/;
    await t.rejects(convert(file, { to }), { code: 'ERR_CHECKPOINT', message });
  }
  t.same(readdirSync(folder), ['model.pt']);
});

t.test('a file that is written to while it is converted', async (t) => {
  const folder = temporaryFolder(t);
  for (const name of ['vq16-tiny/model.pt', 'halton-odd/model.safetensors']) {
    const file = join(folder, 'model');
    cpSync(publicFixture(name), file);
    const options = { to: join(folder, 'to'), heads: 3, onProgress: () => utimesSync(file, 1, 1) };
    await t.rejects(convert(file, options), {
      code: 'ERR_CHECKPOINT',
      message: /model: expected the file as it was when it was opened: it has changed$/,
    });
  }
  t.same(readdirSync(folder), ['model']);
});

t.test('flax: arrays of every dtype, in chunks, and other values', async (t) => {
  const file = join(temporaryFolder(t), 'flax');
  const chunk = (...values: number[]) => flaxArray('float32', [values.length], floats(...values));
  writeFileSync(
    file,
    flaxFile({
      params: {
        a: { kernel: flaxArray('float32', [2, 2], floats(1, 2, 3, 4)) },
        half: flaxArray('float16', [1], new Uint8Array(Uint16Array.of(0x3c00).buffer)),
        bfloat: flaxArray('bfloat16', [1], new Uint8Array(Uint16Array.of(0x4000).buffer)),
        double: flaxArray('float64', [], new Uint8Array(Float64Array.of(0.25).buffer)),
        step: flaxArray('int32', [], new Uint8Array(Int32Array.of(7).buffer)),
        chunked: {
          __msgpack_chunked_array__: true,
          shape: { 0: 3, 1: 2 },
          chunks: { 0: chunk(1, 2, 3, 4), 1: chunk(5, 6) },
        },
      },
      step: 1_000_000,
      rate: 0.5,
      negative: -200,
      name: 'x'.repeat(300),
      nothing: null,
    }),
  );
  const source = await opened(t, file);
  t.same([...source.groups.keys()], ['params']);
  const group = source.groups.get('params');
  t.same(await valuesIn(group, 'a/kernel'), [1, 2, 3, 4]);
  t.same(await valuesIn(group, 'half'), [1]);
  t.same(await valuesIn(group, 'bfloat'), [2]);
  t.same(await valuesIn(group, 'double'), [0.25]);
  t.same(group?.get('chunked')?.shape, [3, 2]);
  t.same(await valuesIn(group, 'chunked'), [1, 2, 3, 4, 5, 6]);
  await t.rejects(valuesIn(group, 'step'), { code: 'ERR_CHECKPOINT', message: /I32/ });
});

t.test('flax: hostile files', async (t) => {
  const one = flaxArray('float32', [2], floats(1, 2));
  const damaged = (name: string, value: unknown, message: RegExp) =>
    refused(t, name, flaxFile({ params: value, filler: 'x'.repeat(20) }), message);
  await damaged(
    'another extension',
    new ExtData(5, Buffer.alloc(20)),
    /params: .* received extension 5/,
  );
  await damaged(
    'no array',
    new ExtData(1, flaxFile('text')),
    /params: expected shape, dtype and bytes/,
  );
  await damaged('two parts', new ExtData(1, flaxFile([[2], 'float32'])), /but received 2 parts/);
  await damaged(
    'shape of text',
    new ExtData(1, flaxFile([['a'], 'float32', floats(1)])),
    /shape of integers/,
  );
  await damaged(
    'negative shape',
    new ExtData(1, flaxFile([[-1], 'float32', floats(1)])),
    /shape of integers/,
  );
  await damaged(
    'objects',
    flaxArray('object', [1], Buffer.alloc(8)),
    /expected numbers but received object/,
  );
  await damaged('inherited dtype', flaxArray('toString', [1], Buffer.alloc(8)), /expected numbers/);
  await damaged(
    'fewer bytes',
    flaxArray('float32', [3], floats(1, 2)),
    /expected 12 bytes .* not 8/,
  );
  const long = 'x'.repeat(3000);
  await damaged('long names', { [long]: { [long]: one } }, /names of at most 4096/);
  await damaged(
    'overflow',
    flaxArray('float32', [2 ** 31, 2 ** 31, 2 ** 31], floats(1)),
    /expected \d/,
  );
  await damaged(
    'more after it',
    new ExtData(1, Buffer.concat([flaxFile([[2], 'float32', floats(1, 2)]), Buffer.alloc(4)])),
    /its bytes up to/,
  );
  await damaged('a list', [one], /a map, an array of flax or a number, not msgpack's array/);
  await damaged('bytes', floats(1), /a map, an array of flax/);
  await damaged('a slash', { 'a/b': one }, /a\/b: .* without a slash/);
  await damaged(
    'chunks that are missing',
    { __msgpack_chunked_array__: true, shape: { 0: 2 } },
    /expected chunks/,
  );
  await damaged(
    'fewer chunks',
    { __msgpack_chunked_array__: true, shape: { 0: 3 }, chunks: { 0: one } },
    /expected \[3\] in chunks/,
  );
  await damaged(
    'chunks of numbers',
    { __msgpack_chunked_array__: true, shape: { 0: 3 }, chunks: { 0: 3 } },
    /arrays as chunks/,
  );
  await damaged(
    'chunk 1 without 0',
    { __msgpack_chunked_array__: true, shape: { 0: 2 }, chunks: { 1: one } },
    /expected 0 in chunks/,
  );

  const text = (name: string) =>
    Buffer.concat([Buffer.from([0xa0 + name.length]), Buffer.from(name)]);
  const start = Buffer.concat([Buffer.from([0x81]), text('params')]);
  const bytes = (name: string, rest: Uint8Array, message: RegExp) =>
    refused(t, name, Buffer.concat([start, rest]), message);
  const array = Buffer.from(flaxFile(one));
  await bytes(
    'a name twice',
    Buffer.concat([Buffer.from([0x82]), text('a'), array, text('a'), array]),
    /params\/a: expected one value/,
  );
  await bytes(
    'a huge map',
    Buffer.concat([Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(40)]),
    /expected a name|cut off/,
  );
  await bytes(
    'a huge string',
    Buffer.concat([Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(40)]),
    /a string of at most/,
  );
  await bytes(
    'a huge array',
    Buffer.concat([
      Buffer.from([0xc9, 0xff, 0xff, 0xff, 0xff, 1, 0x93, 0x91, 2, 0xa7]),
      Buffer.from('float32'),
      Buffer.from([0xc6, 0, 0, 0, 8]),
      Buffer.alloc(8),
    ]),
    /its bytes up to/,
  );
  await bytes(
    'a number as name',
    Buffer.from([0x81, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    /expected a name/,
  );
  await bytes(
    'no msgpack',
    Buffer.concat([Buffer.from([0xc1]), Buffer.alloc(20)]),
    /received 0xc1/,
  );
  await bytes('bytes after the end', Buffer.concat([array, Buffer.alloc(5)]), /expected its end/);
  const deep = Array.from({ length: 100 }, () => Buffer.concat([Buffer.from([0x81]), text('a')]));
  await bytes('a deep one', Buffer.concat([...deep, Buffer.from([0xc0])]), /at most 32 deep/);
  const names = Array.from({ length: 17_000 }, (_, i) =>
    Buffer.concat([text(i.toString(36)), Buffer.from([0xc0])]),
  );
  await bytes(
    'too many names',
    Buffer.concat([Buffer.from([0xde, 0x42, 0x68]), ...names]),
    /at most 16384 names/,
  );

  const sound = readFileSync(publicFixture('maskgit-flax-tiny/maskgit_checkpoint'));
  for (let length = 0; length < sound.byteLength; length += 4999) {
    await refused(t, `cut off at ${length}`, sound.subarray(0, length), /./);
  }
});

t.test('safetensors: one file, shards, a folder', async (t) => {
  const folder = temporaryFolder(t);
  const safetensors = (tensors: Record<string, [string, number[], Uint8Array]>) => {
    let at = 0;
    const entries = Object.entries(tensors).map(([name, [dtype, shape, bytes]]) => {
      at += bytes.byteLength;
      return [name, { dtype, shape, data_offsets: [at - bytes.byteLength, at] }];
    });
    const text = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.byteLength));
    return Buffer.concat([length, text, ...Object.values(tensors).map(([, , bytes]) => bytes)]);
  };
  const index = (map: unknown) =>
    writeFileSync(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: map }),
    );
  writeFileSync(join(folder, 'a-1.safetensors'), safetensors({ a: ['F32', [2], floats(1, 2)] }));
  writeFileSync(
    join(folder, 'a-2.safetensors'),
    safetensors({
      b: ['F64', [1], new Uint8Array(Float64Array.of(4).buffer)],
      c: ['U8', [3], Buffer.alloc(3)],
    }),
  );
  const refusedIndex = (map: unknown, message: RegExp) => {
    index(map);
    return t.rejects(openSource(folder), { code: 'ERR_CHECKPOINT', message });
  };

  const [first, second] = ['a-1.safetensors', 'a-2.safetensors'];
  await t.rejects(openSource(folder), { message: /expected one file of weights but found a-1\.s/ });
  await refusedIndex({ a: '../a-1.safetensors' }, /a: expected the name of a \.safetensors file/);
  await refusedIndex({ a: '/etc/passwd' }, /a: expected the name of a \.safetensors file/);
  await refusedIndex({ a: 3 }, /a: expected the name of a \.safetensors file/);
  await refusedIndex('no', /expected a weight_map/);
  await refusedIndex({ a: first, b: second }, /a-2\.safetensors: c: expected no tensor/);
  await refusedIndex({ a: first, d: first }, /d: expected it in a-1/);
  await refusedIndex(
    { a: 'missing.safetensors' },
    /missing\.safetensors: expected a readable file/,
  );
  index({ a: first, b: second, c: second });
  const group = (await opened(t, folder)).groups.get('');
  t.same(await valuesIn(group, 'a'), [1, 2]);
  t.same(await valuesIn(group, 'b'), [4]);
  await t.rejects(valuesIn(group, 'c'), { message: /U8/ });

  const bytes = readFileSync(publicFixture('halton-odd/model.safetensors'));
  for (const length of [0, 7, 8, 9, 100, 3000, bytes.byteLength - 1]) {
    await refused(t, `cut off at ${length}`, bytes.subarray(0, length), /./);
  }
});

t.test('names in files: as a line that a terminal shows and does not obey', async (t) => {
  const folder = temporaryFolder(t);
  const name = '\u001b]0;title\u0007\nfake: line\u202e';
  const shown = '\\u{1b}]0;title\\u{7}\\u{a}fake: line\\u{202e}';
  const tensor = { storage: 'FloatStorage', key: '0', count: 1, shape: [1] };
  const header = JSON.stringify({ [name]: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  for (const [format, bytes] of [
    ['torch', assemble(torchFile({ [name]: tensor }, { 0: floats(1) }))],
    ['flax', flaxFile({ params: { [name]: flaxArray('float32', [1], floats(1)) } })],
    ['safetensors', Buffer.concat([length, Buffer.from(header), floats(1)])],
  ] as const) {
    const file = join(folder, format);
    writeFileSync(file, bytes);
    const { message } = await convert(file, { to: join(folder, 'to') }).catch((error) => error);
    t.ok(message.includes(shown), message);
    t.notMatch(message, /\p{Cc}|\p{Cf}/u, format);
  }
});

t.test('torch: pickles that hold themselves, lie deep, or name one tensor often', async (t) => {
  const tensor = { storage: 'FloatStorage', key: '0', count: 1, shape: [1] };
  const data = (body: (string | Buffer)[]) =>
    assemble(torchFile(new Raw(...body), { 0: floats(1) }));
  const of = (value: unknown) => pickle(value).subarray(2, -1); // its opcodes alone
  const known = async (name: string, body: (string | Buffer)[], message: RegExp) => {
    const file = join(temporaryFolder(t), 'checkpoint');
    writeFileSync(file, data(body));
    const to = `${file}.to`;
    await t.rejects(convert(file, { to }), { code: 'ERR_CHECKPOINT', message }, name);
  };
  await known('a dictionary in itself', ['}q\0', of('a'), 'h\0s'], /found no tensors/);
  await known('a list in itself', ['}', of('a'), ']q\0h\0as'], /found no tensors/);
  await known('a dictionary as a key', ['}', '}', of(tensor), 's'], /expected strings as names/);
  const deep = Buffer.concat(Array<Buffer>(1e5).fill(Buffer.concat([Buffer.from('}'), of('a')])));
  await known('1e5 dictionaries', [deep, of(1), 's'.repeat(1e5)], /at most 16 deep/);
  await known('1e6 marks', ['('.repeat(1e6)], /expected a value before it/);
  const names = Array.from({ length: 5e4 }, (_, i) =>
    Buffer.concat([of(`k${i}`), Buffer.from('h\0')]),
  );
  const often = ['}(', of('a'), of(tensor), 'q\0', Buffer.concat(names), 'u'];
  await known('one tensor, 50001 times', often, /found 50001 tensors such as a, k0, k1/);
});

t.test('torch: the event loop stays free while a pickle is read', async (t) => {
  const file = join(temporaryFolder(t), 'checkpoint');
  const of = (size: number) => assemble(torchFile(new Raw('}'.repeat(size)), { 0: floats(1) }));
  writeFileSync(file, of(2 ** 20 - 100));
  const started = performance.now();
  let [last, longest] = [started, 0];
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  t.teardown(() => clearImmediate(next));
  await t.rejects(convert(file, { to: `${file}.to` }), { message: /expected one value/ });
  clearImmediate(next);
  turn();
  const whole = performance.now() - started;
  t.ok(longest < whole / 3, `${longest} ms of ${whole}`);
  writeFileSync(file, of(2 ** 20));
  await t.rejects(convert(file, { to: `${file}.to` }), {
    message: /pkl: expected at most 1048576/,
  });
});

t.test('what is no checkpoint', async (t) => {
  const folder = temporaryFolder(t);
  await t.rejects(openSource(folder), { message: /expected one file of weights but found none/ });
  await t.rejects(openSource(join(folder, 'none')), { message: /expected a readable file/ });
  await t.rejects(openSource('/dev/null'), { code: 'ERR_CHECKPOINT', message: /expected a file/ });
  const message = /expected a file of torch\.save, of flax \(msgpack\) or of safetensors/;
  await refused(t, 'text', Buffer.from('some text that is long enough'), message);
  await refused(
    t,
    'an HTML page',
    Buffer.from('<!DOCTYPE html><html><body>404</body></html>'),
    message,
  );
  await refused(t, 'zeros', Buffer.alloc(100), message);
  await refused(
    t,
    'a Git LFS pointer',
    Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    message,
  );
});
