// The smallest files of weights that other projects write, for the fuzzer to begin with.

import { ExtData, encode } from '@msgpack/msgpack';

/** @param {number} size @param {readonly (readonly [at: number, value: number, bytes: 2 | 4])[]} fields */
function record(size, fields) {
  const bytes = Buffer.alloc(size);
  for (const [at, value, width] of fields) bytes.writeUIntLE(value, at, width);
  return bytes;
}

/** An archive of stored entries. @param {Record<string, Buffer>} entries */
function zip(entries) {
  /** @type {Buffer[]} */
  const pieces = [];
  /** @type {Buffer[]} */
  const directory = [];
  let at = 0;
  for (const [name, data] of Object.entries(entries)) {
    const { length } = data;
    const sizes = (/** @type {number} */ first) =>
      /** @type {const} */ ([
        [first, length, 4],
        [first + 4, length, 4],
        [first + 8, name.length, 2],
      ]);
    const local = record(30, [[0, 0x04034b50, 4], ...sizes(18)]);
    directory.push(record(46, [[0, 0x02014b50, 4], ...sizes(20), [42, at, 4]]), Buffer.from(name));
    pieces.push(local, Buffer.from(name), data);
    at += 30 + name.length + length;
  }
  const list = Buffer.concat(directory);
  const count = directory.length / 2;
  const end = record(22, [
    [0, 0x06054b50, 4],
    [8, count, 2],
    [10, count, 2],
    [12, list.length, 4],
    [16, at, 4],
  ]);
  return Buffer.concat([...pieces, list, end]);
}

/** @param {string} value */
const text = (value) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;

const tensor = [
  'ctorch._utils\n_rebuild_tensor_v2\n((',
  text('storage'),
  'ctorch\nFloatStorage\n',
  text('0'),
  text('cpu'),
  'K\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR',
].join('');

/** What torch.save writes: a zip of a pickle and the storages. */
export const torchFile = zip({
  'a/data.pkl': Buffer.from(`\x80\x02}${text('a')}${tensor}s.`, 'latin1'),
  'a/data/0': Buffer.from(Float32Array.of(1, 2).buffer),
});

/** What flax writes: msgpack, in which an array is an extension. */
export const flaxFile = Buffer.from(
  encode({
    params: {
      a: new ExtData(1, encode([[2], 'float32', new Uint8Array(Float32Array.of(1, 2).buffer)])),
      b: new ExtData(1, encode([[1, 1], 'bfloat16', Uint8Array.of(0, 63)])),
    },
    step: 3,
  }),
);
