/** Files as public code writes them, sound or damaged: torch archives, pickles, flax msgpack and safetensors. */

import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExtData, encode } from '@msgpack/msgpack';
import { readTensor, type SourceTensor } from '../../lib/checkpoint/convert/source.js';
import type { FileTensor } from '../../lib/checkpoint/safetensors.js';
import { elementCount } from '../../lib/tensor.js';

/** An empty folder that is gone when the test ends. */
export function temporaryFolder(t: { teardown(run: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-convert-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The values of a tensor of a file. */
export async function valuesOf(tensor: SourceTensor): Promise<Float32Array> {
  const values = new Float32Array(elementCount(tensor.shape));
  await readTensor(tensor, values);
  return values;
}

/** A tensor of a checkpoint with these values, in a file of its own. */
export function madeTensor(
  folder: string,
  shape: readonly number[],
  value: (i: number) => number,
): FileTensor {
  const path = join(mkdtempSync(join(folder, 'tensor-')), 'values');
  const count = elementCount(shape);
  const values = Float32Array.from({ length: count }, (_, i) => value(i));
  writeFileSync(path, values);
  return { dtype: 'F32', shape, path, position: 0 };
}

/** Bytes at places of a file; the rest is a hole that reads as zeros. */
export interface Pieces {
  readonly size: number;
  readonly pieces: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

export function writePieces(file: string, { size, pieces }: Pieces): string {
  const handle = openSync(file, 'w');
  ftruncateSync(handle, size);
  for (const { at, bytes } of pieces) writeSync(handle, bytes, 0, bytes.byteLength, at);
  closeSync(handle);
  return file;
}

export interface ZipInput {
  readonly name: string;
  /** Its bytes, or how many zeros. */
  readonly data: Uint8Array | number;
  /** Written instead of what is right. */
  readonly method?: number;
  readonly flags?: number;
  readonly size?: number;
  readonly offset?: number;
}

function bytesOf(size: number, fill: (view: DataView) => void): Buffer {
  const bytes = Buffer.alloc(size);
  fill(new DataView(bytes.buffer, bytes.byteOffset, size));
  return bytes;
}

/** An archive of stored entries, each of which begins at a multiple of 64, as torch writes it. */
export function zip(
  inputs: readonly ZipInput[],
  { zip64 = false, count = inputs.length } = {},
): Pieces {
  const pieces: { at: number; bytes: Uint8Array }[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data, method = 0, flags = 0, size, offset } of inputs) {
    const nameBytes = Buffer.from(name);
    const length = typeof data === 'number' ? data : data.byteLength;
    const said = size ?? length;
    const start = at + 30 + nameBytes.byteLength;
    const padding = (64 - ((start + 4) % 64)) % 64;
    const local = bytesOf(30, (view) => {
      view.setUint32(0, 0x04034b50, true);
      view.setUint32(18, said, true);
      view.setUint32(22, said, true);
      view.setUint16(26, nameBytes.byteLength, true);
      view.setUint16(28, 4 + padding, true);
    });
    const filler = bytesOf(4 + padding, (view) => {
      view.setUint16(0, 0x4246, true);
      view.setUint16(2, padding, true);
    });
    pieces.push({ at, bytes: Buffer.concat([local, nameBytes, filler]) });
    const position = start + 4 + padding;
    if (typeof data !== 'number') pieces.push({ at: position, bytes: data });
    const extra = bytesOf(zip64 ? 28 : 0, (view) => {
      if (!zip64) return;
      view.setUint16(0, 1, true);
      view.setUint16(2, 24, true);
      view.setBigUint64(4, BigInt(said), true);
      view.setBigUint64(12, BigInt(said), true);
      view.setBigUint64(20, BigInt(offset ?? at), true);
    });
    const entry = bytesOf(46, (view) => {
      view.setUint32(0, 0x02014b50, true);
      view.setUint16(8, flags, true);
      view.setUint16(10, method, true);
      view.setUint32(20, zip64 ? 0xffffffff : said, true);
      view.setUint32(24, zip64 ? 0xffffffff : said, true);
      view.setUint16(28, nameBytes.byteLength, true);
      view.setUint16(30, extra.byteLength, true);
      view.setUint32(42, zip64 ? 0xffffffff : (offset ?? at), true);
    });
    directory.push(entry, nameBytes, extra);
    at = position + length;
  }
  const list = Buffer.concat(directory);
  pieces.push({ at, bytes: list });
  const end64 = bytesOf(zip64 ? 76 : 0, (view) => {
    if (!zip64) return;
    view.setUint32(0, 0x06064b50, true);
    view.setBigUint64(32, BigInt(count), true);
    view.setBigUint64(40, BigInt(list.byteLength), true);
    view.setBigUint64(48, BigInt(at), true);
    view.setUint32(56, 0x07064b50, true);
    view.setBigUint64(64, BigInt(at + list.byteLength), true);
  });
  const end = bytesOf(22, (view) => {
    view.setUint32(0, 0x06054b50, true);
    view.setUint16(10, zip64 ? 0xffff : count, true);
    view.setUint32(12, zip64 ? 0xffffffff : list.byteLength, true);
    view.setUint32(16, zip64 ? 0xffffffff : at, true);
  });
  const tail = Buffer.concat([end64, end]);
  pieces.push({ at: at + list.byteLength, bytes: tail });
  return { size: at + list.byteLength + tail.byteLength, pieces };
}

/** Opcodes as they are. */
export class Raw {
  readonly bytes: Buffer;
  constructor(...parts: (string | Buffer)[]) {
    this.bytes = Buffer.concat(
      parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
    );
  }
}

/** A tensor of a pickle. */
export interface TorchTensor {
  readonly storage: string;
  readonly key: string;
  /** Values in the storage. */
  readonly count: number;
  readonly shape: readonly number[];
  readonly offset?: number;
  readonly strides?: readonly number[];
  readonly parameter?: boolean;
}

function isTensor(value: object): value is TorchTensor {
  return 'storage' in value && 'key' in value;
}

export function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const extent of [...shape].reverse()) {
    strides.unshift(stride);
    stride *= extent;
  }
  return strides;
}

export const global = (module: string, name: string) => new Raw(`c${module}\n${name}\n`);

function integer(value: number): Buffer {
  if (value >= 0 && value < 2 ** 31) {
    const bytes = Buffer.from('J....');
    bytes.writeInt32LE(value, 1);
    return bytes;
  }
  const bytes = Buffer.alloc(10);
  bytes[0] = 0x8a;
  bytes[1] = 8;
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}

function opcodes(value: unknown): Buffer {
  if (value === null) return Buffer.from('N');
  if (typeof value === 'boolean') return Buffer.from([value ? 0x88 : 0x89]);
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return integer(value);
    const bytes = Buffer.alloc(9, 'G');
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    const length = Buffer.alloc(5, 'X');
    length.writeUInt32LE(text.byteLength, 1);
    return Buffer.concat([length, text]);
  }
  if (value instanceof Raw) return value.bytes;
  if (Array.isArray(value)) {
    return Buffer.concat([Buffer.from('('), ...value.map(opcodes), Buffer.from('t')]);
  }
  if (isTensor(value as object)) return tensor(value as TorchTensor);
  const pairs = Object.entries(value as object)
    .flat()
    .map(opcodes);
  return Buffer.concat([Buffer.from('}('), ...pairs, Buffer.from('u')]);
}

function tensor(value: TorchTensor): Buffer {
  const { storage, key, count, shape, offset = 0, strides = rowMajor(shape) } = value;
  const id = opcodes(['storage', global('torch', storage), key, 'cpu', count]);
  const hooks = new Raw('ccollections\nOrderedDict\n)R');
  const stored = new Raw(id, 'Q');
  const rebuilt = [
    global('torch._utils', '_rebuild_tensor_v2').bytes,
    opcodes([stored, offset, shape, strides, false, hooks]),
    Buffer.from('R'),
  ];
  if (!value.parameter) return Buffer.concat(rebuilt);
  return Buffer.concat([
    global('torch._utils', '_rebuild_parameter').bytes,
    opcodes([new Raw(...rebuilt), true, hooks]),
    Buffer.from('R'),
  ]);
}

/** Protocol 2. */
export function pickle(value: unknown): Buffer {
  return Buffer.concat([Buffer.from([0x80, 2]), opcodes(value), Buffer.from('.')]);
}

/** A file of torch.save: a pickle of `value`, and storages by their keys. */
export function torchFile(
  value: unknown,
  storages: Readonly<Record<string, Uint8Array | number>>,
  options: { zip64?: boolean; order?: string } = {},
): Pieces {
  return zip(
    [
      { name: 'archive/data.pkl', data: pickle(value) },
      { name: 'archive/byteorder', data: Buffer.from(options.order ?? 'little') },
      ...Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data })),
    ],
    options,
  );
}

const itemSizes = { FloatStorage: 4, HalfStorage: 2, LongStorage: 8 } as const;

/** A file of torch.save of tensors of zeros, by their names and shapes; `wrap` places them in the file. */
export function sparseTorchFile(
  shapes: Readonly<Record<string, readonly number[]>>,
  wrap: (state: object) => unknown = (state) => state,
  storage: keyof typeof itemSizes = 'FloatStorage',
): Pieces {
  const names = Object.keys(shapes);
  const count = (name: string) => shapes[name]!.reduce((product, extent) => product * extent, 1);
  const state = names.map((name, i) => {
    return [name, { storage, key: String(i), count: count(name), shape: shapes[name] }];
  });
  const storages = names.map((name, i) => [String(i), count(name) * itemSizes[storage]]);
  return torchFile(wrap(Object.fromEntries(state)), Object.fromEntries(storages));
}

/** An array of flax; with `bytes` as a number, what its bytes are preceded by. */
export function flaxArray(dtype: string, shape: readonly number[], bytes: Uint8Array): ExtData {
  return new ExtData(1, encode([shape, dtype, bytes]));
}

export function flaxFile(value: unknown): Uint8Array {
  return encode(value);
}

function head(first: number, bytes: 1 | 2 | 4, value: number): Buffer {
  const result = Buffer.alloc(1 + bytes);
  result[0] = first;
  result.writeUIntBE(value, 1, bytes);
  return result;
}

/** Where the values of arrays lie in a file. */
export interface Holes {
  readonly holes: readonly { readonly at: number; readonly bytes: number }[];
}

/** Small numbers, positive and negative, where a file has f32 values: the same ones again and again. */
export function fillWithNoise(file: string, { holes }: Holes): void {
  let state = 1;
  const noise = Float32Array.from({ length: 2 ** 18 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (0.05 * state) / 2 ** 31;
  });
  const block = new Uint8Array(noise.buffer);
  const handle = openSync(file, 'r+');
  for (const { at, bytes } of holes) {
    for (let done = 0; done < bytes; ) {
      done += writeSync(handle, block, 0, Math.min(block.length, bytes - done), at + done);
    }
  }
  closeSync(handle);
}

/** A flax file of arrays of zeros, by their paths below `params`. */
export function sparseFlaxFile(
  shapes: Readonly<Record<string, readonly number[]>>,
): Pieces & Holes {
  type Tree = { [name: string]: Tree | readonly number[] };
  const root: Tree = {};
  for (const [path, shape] of Object.entries(shapes)) {
    const names = path.split('/');
    let tree = root;
    for (const name of names.slice(0, -1)) {
      tree[name] ??= {};
      tree = tree[name] as Tree;
    }
    tree[names.at(-1)!] = shape;
  }
  const pieces: { at: number; bytes: Uint8Array }[] = [];
  const holes: { at: number; bytes: number }[] = [];
  let at = 0;
  const push = (bytes: Uint8Array) => {
    pieces.push({ at, bytes });
    at += bytes.byteLength;
  };
  const walk = (node: Tree | readonly number[]) => {
    if (!Array.isArray(node)) {
      const entries = Object.entries(node as Tree);
      push(head(0xde, 2, entries.length));
      for (const [name, inner] of entries) {
        push(encode(name));
        walk(inner);
      }
      return;
    }
    const bytes = 4 * node.reduce((product: number, extent: number) => product * extent, 1);
    const inside = Buffer.concat([
      Buffer.from([0x93]),
      encode(node),
      encode('float32'),
      head(0xc6, 4, bytes),
    ]);
    push(Buffer.concat([head(0xc9, 4, inside.byteLength + bytes), Buffer.from([1]), inside]));
    holes.push({ at, bytes });
    at += bytes;
  };
  walk(root);
  return { size: at, pieces, holes };
}

export function assemble({ size, pieces }: Pieces): Buffer {
  const bytes = Buffer.alloc(size);
  for (const { at, bytes: part } of pieces) bytes.set(part, at);
  return bytes;
}
