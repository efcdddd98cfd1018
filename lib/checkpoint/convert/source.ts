/** A file of somebody else's tensors: a list of what is in it, and one tensor at a time from the disk. */

import { MagnetsError } from '../../errors.js';
import type { DiskFile } from '../disk-file.js';
import { type Dtype, elementSize } from '../safetensors.js';
import type { Checksum } from './digest.js';
import { decode, isFloat } from './numbers.js';

/** A tensor in a file. */
export interface SourceTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly disk: DiskFile;
  /** Where its elements are, one piece after the other; readers have checked that the file has them. */
  readonly pieces: readonly { readonly position: number; readonly count: number }[];
  /**
   * Elements from one index to the next of each dimension, where that is not row-major. The pieces then hold all that is
   * spanned.
   */
  readonly strides?: readonly number[];
}

/** Tensors by name that belong together, such as the weights of a model or their moving average. */
export type Group = ReadonlyMap<string, SourceTensor>;

export interface Source {
  /** What the user named, for messages. */
  readonly path: string;
  readonly format: 'torch' | 'flax' | 'safetensors';
  readonly files: readonly DiskFile[];
  /** Of a source of one file, where its format has them. */
  readonly checksums?: readonly Checksum[];
  readonly groups: ReadonlyMap<string, Group>;
}

export async function closeSource(source: Source): Promise<void> {
  for (const file of source.files) await file.close();
}

/** @throws MagnetsError ERR_OUT_OF_MEMORY */
export function allocate(count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    const message = `expected memory for ${count} values of a tensor`;
    throw new MagnetsError('ERR_OUT_OF_MEMORY', message, { cause });
  }
}

/** At most this many bytes are read before they are converted. */
const readBytes = 2 ** 20;

/** Elements of a piece of the file into `target`. */
async function readFloats(
  { disk, dtype }: SourceTensor,
  position: number,
  target: Float32Array,
): Promise<void> {
  if (!isFloat(dtype)) return disk.refuse(`expected floating-point numbers but received ${dtype}`);
  if (dtype === 'F32') {
    const { buffer, byteOffset, byteLength } = target;
    return disk.readInto(new Uint8Array(buffer, byteOffset, byteLength), position);
  }
  const size = elementSize(dtype);
  const block = readBytes / size;
  const bytes = new Uint8Array(Math.min(readBytes, target.length * size));
  for (let first = 0; first < target.length; first += block) {
    const part = target.subarray(first, first + block);
    const read = bytes.subarray(0, part.length * size);
    await disk.readInto(read, position + first * size);
    decode(dtype, read, part);
  }
}

/** The elements at `strides` of `values`, row-major. */
function gather(
  values: Float32Array,
  shape: readonly number[],
  strides: readonly number[],
  result: Float32Array,
): void {
  const last = shape.length - 1;
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < result.length; to += shape[last]!) {
    for (let i = 0; i < shape[last]!; ++i) result[to + i] = values[from + i * strides[last]!]!;
    for (let axis = last - 1; axis >= 0; --axis) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
}

/** The values of a tensor, row-major, into `target`, which has as many. */
export async function readTensor(tensor: SourceTensor, target: Float32Array): Promise<void> {
  const { pieces, shape, strides } = tensor;
  const spanned = pieces.reduce((sum, { count }) => sum + count, 0);
  const values = strides === undefined ? target : allocate(spanned);
  let filled = 0;
  for (const { position, count } of pieces) {
    await readFloats(tensor, position, values.subarray(filled, filled + count));
    filled += count;
  }
  if (strides !== undefined) gather(values, shape, strides, target);
}
