/** Writes model.safetensors tensor by tensor, each read, made and rounded only when its turn comes. */

import { type FileHandle, open } from 'node:fs/promises';
import { MagnetsError } from '../../errors.js';
import { encode, largestOf, unfit, type WeightFormat } from './numbers.js';
import { elementCount, type Group, readTensor } from './source.js';
import type { MadeTensor } from './translation.js';

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
const bytesOf = { f32: 4, f16: 2, bf16: 2 } as const;

/** As many values are rounded at once. */
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
    const length = Math.min(bytes.byteLength - done, 2 ** 30);
    done += (await handle.write(bytes, done, length)).bytesWritten;
  }
}

/** The values of a tensor, out of those of the source. */
async function make(path: string, group: Group, tensor: MadeTensor): Promise<Float32Array> {
  const values: Float32Array[] = [];
  for (const { name } of tensor.from) {
    const source = await readTensor(group.get(name)!);
    const wrong = unfit('f32', source);
    if (wrong !== undefined) {
      const message = `${path}: ${name}: expected finite values but it has ${wrong}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
    values.push(source);
  }
  return tensor.make(...values);
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
  source: { readonly path: string; readonly group: Group },
  tensors: readonly MadeTensor[],
  format: WeightFormat,
  onTensor: () => void,
): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await write(handle, header(tensors, format));
    for (const tensor of tensors) {
      const values = await make(source.path, source.group, tensor);
      check(source.path, tensor, format, values);
      const block = format === 'f32' ? values.length : blockValues;
      for (let first = 0; first < values.length; first += block) {
        await write(handle, encode(format, values.subarray(first, first + block)));
      }
      onTensor();
    }
  } finally {
    await handle.close();
  }
}
