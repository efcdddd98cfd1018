/**
 * The safetensors format: u64 header length, JSON header, the tensors' bytes. A file is hostile until checked: length,
 * ranges, dtypes, shapes, overlaps and holes.
 */

import { MagnetsError } from '../errors.js';

const elementSizes = { F32: 4, F16: 2, BF16: 2 } as const;

/** A tensor of a file: its dtype there, and a view of its bytes. */
export interface FileTensor {
  readonly dtype: keyof typeof elementSizes;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export type FileTensors = Readonly<Record<string, FileTensor>>;

/** The format's own limit. */
const longestHeader = 100_000_000;

interface Entry {
  readonly dtype: keyof typeof elementSizes;
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
    shape.every(isCount) &&
    Array.isArray(offsets) &&
    offsets.length === 2 &&
    offsets.every(isCount)
  );
}

/** A view of every tensor in `bytes`, nothing copied. `file` is for messages. */
export function parseSafetensors(file: string, bytes: Uint8Array): FileTensors {
  const refuse = (message: string): never => {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: ${message}`);
  };
  if (bytes.byteLength < 8)
    refuse(`expected a header length of 8 bytes, the file has ${bytes.byteLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  const most = Math.min(longestHeader, bytes.byteLength - 8);
  if (length > BigInt(most))
    refuse(`expected a header of at most ${most} bytes but it says ${length}`);
  const start = 8 + Number(length);

  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start));
    header = JSON.parse(text);
  } catch (cause) {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected a JSON header`, { cause });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    refuse('expected a JSON object as header');
  }

  const tensors: Record<string, FileTensor> = Object.create(null);
  const ranges: { name: string; begin: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header as object)) {
    if (name === '__metadata__') continue;
    if (!isEntry(entry)) return refuse(`${name}: expected dtype, shape and data_offsets`);
    const { dtype, shape, data_offsets: offsets } = entry;
    const [begin, end] = offsets;
    if (!Object.hasOwn(elementSizes, dtype)) {
      refuse(`${name}: expected dtype F32, F16 or BF16 but received ${dtype}`);
    }
    const size = shape.reduce((product, extent) => product * extent, elementSizes[dtype]);
    if (end - begin !== size) {
      refuse(`${name}: expected ${size} bytes for ${dtype} [${shape}] but received ${end - begin}`);
    }
    if (end > bytes.byteLength - start) {
      refuse(`${name}: expected bytes below ${bytes.byteLength - start} but they end at ${end}`);
    }
    ranges.push({ name, begin, end });
    tensors[name] = { dtype, shape: [...shape], data: bytes.subarray(start + begin, start + end) };
  }

  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of ranges) {
    if (begin < reached)
      refuse(`${name}: expected bytes of its own but they overlap another tensor's`);
    if (begin > reached)
      refuse(`${name}: expected to begin at byte ${reached} but it begins at ${begin}`);
    reached = end;
  }
  if (reached !== bytes.byteLength - start) {
    refuse(`expected ${reached} bytes of tensors but the file has ${bytes.byteLength - start}`);
  }
  return tensors;
}
