/** Writes model.safetensors, or shards and their index, tensor by tensor: each is read, made and rounded when its turn comes. */

import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MagnetsError } from '../../errors.js';
import { elementCount } from '../../tensor.js';
import { scaleOf, type TensorEntry } from '../schema.js';
import { indexEnding } from '../shards.js';
import { largestOf, quantize, round, unfit, type WeightFormat } from './numbers.js';
import { allocate, type Group, readTensor } from './source.js';
import type { MadeTensor } from './translation.js';

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16', int8: 'I8' } as const;
const bytesOf = { f32: 4, f16: 2, bf16: 2, int8: 1 } as const;

/** The format that each tensor is written in. */
export type FormatOf = (tensor: TensorEntry) => WeightFormat;

/** As many values are rounded and written at once. */
const blockValues = 2 ** 18;

/** What is written of a tensor: its values, and with bytes their scales. */
function written(tensor: MadeTensor, formatOf: FormatOf) {
  const format = formatOf(tensor);
  const values = { name: tensor.name, shape: tensor.shape, format };
  return format === 'int8' ? [values, { ...scaleOf(tensor), format: 'f32' as const }] : [values];
}

function bytesOfTensor(tensor: MadeTensor, formatOf: FormatOf): number {
  return written(tensor, formatOf).reduce(
    (sum, { shape, format }) => sum + elementCount(shape) * bytesOf[format],
    0,
  );
}

/** What is written of tensors, but for the headers. */
export function bytesOfTensors(tensors: readonly MadeTensor[], formatOf: FormatOf): number {
  return tensors.reduce((sum, tensor) => sum + bytesOfTensor(tensor, formatOf), 0);
}

function header(tensors: readonly MadeTensor[], formatOf: FormatOf): Uint8Array {
  let offset = 0;
  const entries = tensors
    .flatMap((tensor) => written(tensor, formatOf))
    .map(({ name, shape, format }) => {
      const begin = offset;
      offset += elementCount(shape) * bytesOf[format];
      return [name, { dtype: dtypes[format], shape, data_offsets: [begin, offset] }];
    });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(text.byteLength / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  text.copy(bytes, 8);
  return bytes;
}

async function write(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await handle.write(bytes, done)).bytesWritten;
  }
}

/** The memory of one tensor after the other: in place 0 what is made, in the others what it is made of. */
export class Scratch {
  readonly #places: readonly Float32Array[];

  /** Room for the largest of `tensors` and of what each is made of. */
  constructor(tensors: readonly Pick<MadeTensor, 'shape' | 'from'>[]) {
    const sizes: number[] = [];
    for (const { shape, from } of tensors) {
      [shape, ...from.map((entry) => entry.shape)].forEach((shape, place) => {
        sizes[place] = Math.max(sizes[place] ?? 0, elementCount(shape));
      });
    }
    this.#places = sizes.map(allocate);
  }

  take(place: number, shape: readonly number[]): Float32Array {
    return this.#places[place]!.subarray(0, elementCount(shape));
  }
}

async function make(group: Group, tensor: MadeTensor, scratch: Scratch): Promise<Float32Array> {
  const values: Float32Array[] = [];
  for (const [i, { name, shape }] of tensor.from.entries()) {
    values.push(scratch.take(1 + i, shape));
    await readTensor(group.get(name)!, values[i]!);
  }
  const made = scratch.take(0, tensor.shape);
  tensor.make(made, ...values);
  return made;
}

/** Every value of the source is part of a value that is made, so that these are all there is to check. */
function check(path: string, tensor: MadeTensor, format: WeightFormat, values: Float32Array): void {
  const wrong = unfit(format, values);
  if (wrong === undefined) return;
  const from = tensor.from.map(({ name }) => name).join(', ');
  const expected = Number.isFinite(wrong)
    ? `values of at most ${largestOf(format).toPrecision(5)}, as ${format} has,`
    : 'finite values';
  const message = `${path}: ${from}: expected ${expected} but received ${wrong}`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Every row as bytes, then the scales of all. */
async function writeRows(handle: FileHandle, values: Float32Array, rows: number): Promise<void> {
  const columns = values.length / rows;
  const rowsAtOnce = Math.max(1, Math.floor(blockValues / columns));
  const block = new Int8Array(Math.min(rows, rowsAtOnce) * columns);
  const scales = new Float32Array(rows);
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first);
    for (let i = 0; i < count; ++i) {
      const row = values.subarray((first + i) * columns, (first + i + 1) * columns);
      scales[first + i] = quantize(row, block.subarray(i * columns, (i + 1) * columns));
    }
    await write(handle, bytes(block.subarray(0, count * columns)));
  }
  await write(handle, bytes(scales));
}

async function writeValues(
  handle: FileHandle,
  values: Float32Array,
  format: Exclude<WeightFormat, 'int8'>,
  rounded: Uint16Array,
): Promise<void> {
  for (let first = 0; first < values.length; first += blockValues) {
    const block = values.subarray(first, first + blockValues);
    if (format !== 'f32') round(format, block, rounded);
    await write(handle, bytes(format === 'f32' ? block : rounded.subarray(0, block.length)));
  }
}

/** Tensors in files of at most `most` bytes, but a larger one alone in its file. */
function split(tensors: readonly MadeTensor[], formatOf: FormatOf, most: number): MadeTensor[][] {
  const files: MadeTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const own = bytesOfTensor(tensor, formatOf);
    if (bytes > 0 && bytes + own > most) {
      files.push([]);
      bytes = 0;
    }
    files.at(-1)!.push(tensor);
    bytes += own;
  }
  return files;
}

function indexOf(files: readonly MadeTensor[][], names: readonly string[], formatOf: FormatOf) {
  const total = bytesOfTensors(files.flat(), formatOf);
  const places = files.flatMap((tensors, i) =>
    tensors
      .flatMap((tensor) => written(tensor, formatOf))
      .map(({ name }) => [name, names[i]] as const),
  );
  return { metadata: { total_size: total }, weight_map: Object.fromEntries(places) };
}

/**
 * Writes model.safetensors or, where it would have more than `mostBytes`, files and an index of the names that Hugging
 * Face gives them.
 * @throws MagnetsError ERR_CHECKPOINT for a value that is not finite or that the format cannot hold.
 */
export async function writeModel(
  folder: string,
  { path, group }: { readonly path: string; readonly group: Group },
  tensors: readonly MadeTensor[],
  formatOf: FormatOf,
  scratch: Scratch,
  mostBytes: number,
  onTensor: () => void,
): Promise<void> {
  const files = split(tensors, formatOf, mostBytes);
  const number = (i: number) => String(i).padStart(5, '0');
  const names =
    files.length === 1
      ? ['model.safetensors']
      : files.map((_, i) => `model-${number(i + 1)}-of-${number(files.length)}.safetensors`);
  const rounded = new Uint16Array(blockValues);
  for (const [i, own] of files.entries()) {
    const handle = await open(join(folder, names[i]!), 'wx');
    try {
      await write(handle, header(own, formatOf));
      for (const tensor of own) {
        const format = formatOf(tensor);
        const values = await make(group, tensor, scratch);
        check(path, tensor, format, values);
        if (format === 'int8') await writeRows(handle, values, tensor.shape[0]!);
        else await writeValues(handle, values, format, rounded);
        onTensor();
      }
    } finally {
      await handle.close();
    }
  }
  if (files.length === 1) return;
  const index = JSON.stringify(indexOf(files, names, formatOf), null, 2);
  await writeFile(join(folder, `model${indexEnding}`), `${index}\n`);
}
