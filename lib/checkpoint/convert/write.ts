/** Writes model.safetensors tensor by tensor, each read, made and rounded only when its turn comes. */

import { type FileHandle, open } from 'node:fs/promises';
import { MagnetsError } from '../../errors.js';
import { largestOf, round, unfit, type WeightFormat } from './numbers.js';
import { allocate, elementCount, type Group, readTensor } from './source.js';
import type { MadeTensor } from './translation.js';

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
const bytesOf = { f32: 4, f16: 2, bf16: 2 } as const;

/** As many values are rounded and written at once. */
const blockValues = 2 ** 18;

function header(tensors: readonly MadeTensor[], format: WeightFormat): Uint8Array {
  let offset = 0;
  const entries = tensors.map(({ name, shape }) => {
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

/** The memory of one tensor after the other: what is made, and what it is made of. */
export class Scratch {
  #buffers: Float32Array[] = [];

  /** The place of number `slot`, with room for `count` values. */
  take(slot: number, count: number): Float32Array {
    if ((this.#buffers[slot]?.length ?? 0) < count) this.#buffers[slot] = allocate(count);
    return this.#buffers[slot]!.subarray(0, count);
  }
}

export interface Model {
  /** For messages. */
  readonly path: string;
  readonly group: Group;
}

/** The values of a tensor of the source, in place `slot`. */
export async function readFinite(
  { path, group }: Model,
  name: string,
  scratch: Scratch,
  slot: number,
): Promise<Float32Array> {
  const tensor = group.get(name)!;
  const values = scratch.take(slot, elementCount(tensor.shape));
  await readTensor(tensor, values);
  const wrong = unfit('f32', values);
  if (wrong === undefined) return values;
  const message = `${path}: ${name}: expected finite values but it has ${wrong}`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

async function make(model: Model, tensor: MadeTensor, scratch: Scratch): Promise<Float32Array> {
  const values: Float32Array[] = [];
  for (const [i, { name }] of tensor.from.entries()) {
    values.push(await readFinite(model, name, scratch, 1 + i));
  }
  const made = scratch.take(0, elementCount(tensor.shape));
  tensor.make(made, ...values);
  return made;
}

function check(path: string, tensor: MadeTensor, format: WeightFormat, values: Float32Array): void {
  const wrong = unfit(format, values);
  if (wrong === undefined) return;
  const from = tensor.from.map(({ name }) => name).join(', ');
  const most = largestOf(format).toPrecision(5);
  const message = `${path}: ${from}: expected values of at most ${most}, as ${format} has, but received ${wrong}: choose another format of weights`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

/** @throws MagnetsError ERR_CHECKPOINT for a value that is not finite or that the format cannot hold. */
export async function writeModel(
  file: string,
  model: Model,
  tensors: readonly MadeTensor[],
  format: WeightFormat,
  scratch: Scratch,
  onTensor: () => void,
): Promise<void> {
  const handle = await open(file, 'wx');
  const rounded = new Uint16Array(blockValues);
  try {
    await write(handle, header(tensors, format));
    for (const tensor of tensors) {
      const values = await make(model, tensor, scratch);
      check(model.path, tensor, format, values);
      for (let first = 0; first < values.length; first += blockValues) {
        const block = values.subarray(first, first + blockValues);
        if (format !== 'f32') round(format, block, rounded);
        const { buffer, byteOffset } = format === 'f32' ? block : rounded;
        await write(handle, new Uint8Array(buffer, byteOffset, block.length * bytesOf[format]));
      }
      onTensor();
    }
  } finally {
    await handle.close();
  }
}
