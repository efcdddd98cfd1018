/** Files of torch.save: a zip archive of a pickle and of the bytes of every storage. */

import { MagnetsError } from '../../errors.js';
import { elementCount } from '../../tensor.js';
import type { DiskFile } from '../disk-file.js';
import { type Dtype, elementSize } from '../safetensors.js';
import { readPickle } from './pickle.js';
import { PickleError, StridedTensor, type Value } from './pickle-objects.js';
import type { Group, Source, SourceTensor } from './source.js';
import { readZip, type ZipEntry } from './zip.js';

const dtypes: Readonly<Record<string, Dtype>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** That of a thousand tensors has 200 KB; what a pickle builds takes 200 times its bytes at most. */
const mostPickleBytes = 2 ** 20;
/** State dicts lie one or two dictionaries deep, an optimizer's state three. */
const mostDepth = 16;
/** Of all names on the way to a tensor: each dictionary's path holds them anew. */
const longestPath = 2 ** 12;

/** How torch.save began its files before version 1.6: a pickle of a magic number. */
const legacyStart = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

export function isTorchArchive(start: Uint8Array): boolean {
  return Buffer.from(start).readUInt32LE() === 0x04034b50;
}

export function isLegacyTorch(start: Uint8Array): boolean {
  return legacyStart.equals(start.subarray(0, legacyStart.byteLength));
}

function rowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; --axis) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** A tensor of the pickle in the bytes of its storage, which is an entry of the archive. */
function locate(
  disk: DiskFile,
  name: string,
  tensor: StridedTensor,
  entry: ZipEntry | undefined,
): SourceTensor {
  const refuse = (message: string): never => disk.refuse(`${name}: ${message}`);
  const { storage, offset, shape, strides } = tensor;
  const dtype = dtypes[storage.type]!;
  const size = elementSize(dtype);
  if (entry === undefined) return refuse(`expected its bytes as entry data/${storage.key}`);
  if (storage.count * size > entry.size) {
    refuse(`expected ${storage.count * size} bytes in data/${storage.key}, not ${entry.size}`);
  }
  const count = elementCount(shape);
  if (count === 0) return { dtype, shape, disk, pieces: [] };
  if (!(count <= storage.count)) {
    refuse(`expected at most ${storage.count} values, as its storage has, but it is [${shape}]`);
  }
  const span = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis]!, 1);
  if (!(offset + span <= storage.count)) {
    refuse(`expected values below ${storage.count} of its storage but received ${offset + span}`);
  }
  // More would be read than is needed, and kept in memory.
  if (span > 8 * count + 2 ** 16) refuse(`expected its ${count} values closer than in ${span}`);
  const position = entry.position + offset * size;
  return rowMajor(shape, strides)
    ? { dtype, shape, disk, pieces: [{ position, count }] }
    : { dtype, shape, disk, pieces: [{ position, count: span }], strides };
}

/** Every dictionary or list with tensors in it, by its path. */
function groupsOf(
  disk: DiskFile,
  root: Value,
  find: (key: string) => ZipEntry | undefined,
): Map<string, Group> {
  const groups = new Map<string, Group>();
  const seen = new Set<Value>([root]);
  const open: { path: string; depth: number; container: Value }[] = [
    { path: '', depth: 0, container: root },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, depth, container } = next;
    if (depth > mostDepth) disk.refuse(`expected dictionaries at most ${mostDepth} deep`);
    const group = new Map<string, SourceTensor>();
    const pairs = container instanceof Map ? container : (container as Value[]).entries();
    for (const [key, value] of pairs) {
      // The text of a list is as long as all that it holds, many times over.
      const own = typeof key === 'object' ? '(...)' : String(key);
      const inside = path === '' ? own : `${path}/${own}`;
      if (inside.length > longestPath) {
        disk.refuse(`expected names of at most ${longestPath} characters but received ${inside}`);
      }
      if (value instanceof StridedTensor) {
        if (typeof key === 'object') disk.refuse(`${path}: expected strings as names of tensors`);
        if (group.has(own)) disk.refuse(`${inside}: expected one tensor of this name`);
        group.set(own, locate(disk, inside, value, find(value.storage.key)));
      } else if ((value instanceof Map || Array.isArray(value)) && !seen.has(value)) {
        seen.add(value);
        open.push({ path: inside, depth: depth + 1, container: value });
      }
    }
    if (group.size > 0) groups.set(path, group);
  }
  return groups;
}

export async function openTorch(disk: DiskFile): Promise<Source> {
  const entries = await readZip(disk);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    disk.refuse('expected an archive of torch.save, with one data.pkl');
  }
  const root = pickles[0]!.slice(0, -'data.pkl'.length);
  const { position, size } = entries.get(pickles[0]!)!;
  if (size > mostPickleBytes) {
    disk.refuse(`data.pkl: expected at most ${mostPickleBytes} bytes, not ${size}`);
  }
  const order = entries.get(`${root}byteorder`);
  if (order !== undefined) {
    const text = Buffer.from(await disk.read(order.position, Math.min(order.size, 16))).toString();
    if (text !== 'little') disk.refuse(`byteorder: expected little but received ${text}`);
  }
  let value: Value;
  try {
    value = await readPickle(await disk.read(position, size));
  } catch (cause) {
    if (!(cause instanceof PickleError)) throw cause;
    const message = `${disk.path}: data.pkl: ${cause.message}; load it in torch and save its state_dict alone`;
    throw new MagnetsError('ERR_CHECKPOINT', message, { cause });
  }
  if (!(value instanceof Map)) disk.refuse('expected a dictionary of tensors');
  const groups = groupsOf(disk, value, (key) => entries.get(`${root}data/${key}`));
  const checksums = [...entries]
    .map(([name, entry]) => ({ name, ...entry }))
    .filter(({ crc }) => crc !== 0);
  return { path: disk.path, format: 'torch', files: [disk], checksums, groups };
}
