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

/** @throws MagnetsError ERR_CHECKPOINT for a value that is not finite or that the format cannot hold. */
export async function writeModel(
  file: string,
  { path, group }: { readonly path: string; readonly group: Group },
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
      const values = await make(group, tensor, scratch);
      check(path, tensor, format, values);
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
