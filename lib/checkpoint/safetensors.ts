/**
 * The safetensors format: u64 header length, JSON header, the tensors' bytes. A file is hostile until checked: length,
 * ranges, dtypes, shapes, overlaps and holes.
 */

import { cut, MagnetsError } from '../errors.js';
import { elementCount } from '../tensor.js';
import { contentsInPlaceOfSafetensors } from './contents.js';
import type { DiskFile } from './disk-file.js';
import { parseJson } from './json.js';

/** Bytes of an element of each dtype that the format has and anything here can meet. */
const elementSizes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof elementSizes;

/** The dtypes of weights that the engine takes. */
const weightDtypes = ['F32', 'F16', 'BF16', 'I8'] as const;

export function elementSize(dtype: Dtype): number {
  return elementSizes[dtype];
}

/** A tensor of a file: its dtype there, and where its bytes are. */
export interface FileTensor {
  readonly dtype: (typeof weightDtypes)[number];
  readonly shape: readonly number[];
  readonly path: string;
  /** Of its first byte in the file. */
  readonly position: number;
}

export type FileTensors = Readonly<Record<string, FileTensor>>;

/** A tensor of a header: where its bytes are, counted from the header's end. */
export interface HeaderTensor<D extends Dtype = Dtype> {
  readonly name: string;
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The format allows 100 MB, which take seconds to parse; that of a model of eight thousand tensors has 1. */
export const longestHeader = 2 ** 20;
/** A tensor's entry in a header has fewer bytes than this, besides its name, and all the metadata together. */
const longestEntry = 512;
const longestMetadata = 2 ** 20;
const mostDimensions = 8;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isEntry(entry: unknown): entry is Entry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { dtype, shape, data_offsets: offsets } = entry as Partial<Record<keyof Entry, unknown>>;
  return (
    typeof dtype === 'string' &&
    Array.isArray(shape) &&
    shape.length <= mostDimensions &&
    shape.every(isCount) &&
    Array.isArray(offsets) &&
    offsets.length === 2 &&
    offsets.every(isCount)
  );
}

function refuse(file: string, message: string): never {
  throw new MagnetsError('ERR_CHECKPOINT', `${file}: ${message}`);
}

function refuseTensor(file: string, name: string, message: string): never {
  refuse(file, `${cut(name)}: ${message}`);
}

/** The bytes of the header, of a file that begins with `start` and has `size` bytes in all. */
export function headerLength(
  file: string,
  start: Uint8Array,
  size: number,
  longest = longestHeader,
): number {
  if (start.byteLength < 8)
    refuse(file, `expected a header length of 8 bytes, the file has ${start.byteLength}`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  const most = Math.min(longest, size - 8);
  if (length > BigInt(most)) {
    const found = contentsInPlaceOfSafetensors(start);
    if (found !== undefined) refuse(file, `expected safetensors but it is ${found}`);
    refuse(file, `expected a header of at most ${most} bytes but it says ${length}`);
  }
  return Number(length);
}

/** Every tensor of a header, in the order of their bytes, of which there are `dataBytes`. */
export function parseHeader<D extends Dtype>(
  file: string,
  bytes: Uint8Array,
  dataBytes: number,
  dtypes: readonly D[],
): HeaderTensor<D>[] {
  const header = parseJson(file, 'a JSON header', bytes);
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    refuse(file, 'expected a JSON object as header');
  }

  const tensors: HeaderTensor<D>[] = [];
  for (const [name, entry] of Object.entries(header as object)) {
    if (name === '__metadata__') continue;
    const refuse = (message: string): never => refuseTensor(file, name, message);
    if (!isEntry(entry)) return refuse('expected dtype, shape and data_offsets');
    const { shape, data_offsets: offsets } = entry;
    const [begin, end] = offsets;
    const dtype = dtypes.find((known) => known === entry.dtype);
    if (dtype === undefined) {
      const expected = `${dtypes.slice(0, -1).join(', ')} or ${dtypes.at(-1)}`;
      return refuse(`expected dtype ${expected} but received ${cut(entry.dtype)}`);
    }
    const size = elementCount(shape) * elementSizes[dtype];
    if (end - begin !== size) {
      refuse(`expected ${size} bytes for ${dtype} [${shape}] but received ${end - begin}`);
    }
    if (end > dataBytes) {
      refuse(`expected bytes below ${dataBytes} but they end at ${end}`);
    }
    tensors.push({ name, dtype, shape: [...shape], begin, end });
  }

  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of tensors) {
    if (begin < reached)
      refuseTensor(file, name, `expected bytes of its own but they overlap another tensor's`);
    if (begin > reached)
      refuseTensor(file, name, `expected to begin at byte ${reached} but it begins at ${begin}`);
    reached = end;
  }
  if (reached !== dataBytes) {
    refuse(file, `expected ${reached} bytes of tensors but the file has ${dataBytes}`);
  }
  return tensors;
}

/**
 * Where the tensors of a file are that is to hold some of these names and shapes: how large it and its header may be
 * follows from them, so that nothing larger is read.
 */
export async function readSafetensors(
  disk: DiskFile,
  expected: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Promise<FileTensors> {
  let [longest, values] = [longestMetadata, 0];
  for (const { name, shape } of expected) {
    longest += name.length + longestEntry;
    values += elementCount(shape);
  }
  const beginning = await disk.read(0, Math.min(disk.size, 512));
  const length = headerLength(disk.path, beginning, disk.size, longest);
  const most = 8 + longest + values * elementSizes.F32;
  if (disk.size > most) disk.refuse(`expected at most ${most} bytes but it has ${disk.size}`);
  const start = 8 + length;
  const header = await disk.read(8, length);
  const tensors: Record<string, FileTensor> = Object.create(null);
  for (const tensor of parseHeader(disk.path, header, disk.size - start, weightDtypes)) {
    const { name, dtype, shape, begin } = tensor;
    tensors[name] = { dtype, shape, path: disk.path, position: start + begin };
  }
  return tensors;
}
