/**
 * Files of flax.serialization: msgpack, where an array is extension 1 that holds [shape, dtype, bytes]. The weights are
 * not decoded but located, so that they can be read one at a time: a library for msgpack takes the whole file into
 * memory. What is no map, no array of flax and no single value is refused.
 */

import { elementCount } from '../../tensor.js';
import type { DiskFile } from '../disk-file.js';
import { type Dtype, elementSize } from '../safetensors.js';
import type { Group, Source, SourceTensor } from './source.js';

const dtypes: Readonly<Record<string, Dtype>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

/** flax cuts larger arrays (from 2^30 bytes on) into pieces: a map with this key. */
const chunkedKey = '__msgpack_chunked_array__';

const mostDepth = 32;
const mostKeys = 2 ** 14;
const longestString = 2 ** 12;
/** Of all names on the way to a tensor, which holds them anew. */
const longestPath = 2 ** 12;
const mostDimensions = 32;

/** A single value, of no use here. */
const scalar = Symbol('scalar');

type Node = SourceTensor | Map<string, Node> | number | typeof scalar;

/** Bytes that follow the first one of a value and are its number or its length; 0 for a value that is its first byte. */
const lengthBytes: Readonly<Record<number, number>> = {
  196: 1, // bin
  197: 2,
  198: 4,
  199: 1, // ext
  200: 2,
  201: 4,
  204: 1, // unsigned integers
  205: 2,
  206: 4,
  217: 1, // strings
  218: 2,
  219: 4,
  220: 2, // arrays
  221: 4,
  222: 2, // maps
  223: 4,
};

/** Bytes of the other values of one kind: numbers that are skipped. */
const skippedBytes: Readonly<Record<number, number>> = {
  202: 4, // floats
  203: 8,
  207: 8, // integers
  208: 1,
  209: 2,
  210: 4,
  211: 8,
};

type Kind = 'map' | 'array' | 'string' | 'bin' | 'ext' | 'unsigned' | 'scalar';

const decoder = new TextDecoder('utf-8', { fatal: true });

class Walker {
  #at = 0;
  #keys = 0;

  constructor(private readonly disk: DiskFile) {}

  get at(): number {
    return this.#at;
  }

  async #take(length: number): Promise<Buffer> {
    const bytes = await this.disk.peek(this.#at, length);
    this.#at += length;
    return bytes;
  }

  async #head(): Promise<{ kind: Kind; length: number }> {
    const first = (await this.#take(1))[0]!;
    if (first < 0x80) return { kind: 'unsigned', length: first };
    if (first < 0x90) return { kind: 'map', length: first & 15 };
    if (first < 0xa0) return { kind: 'array', length: first & 15 };
    if (first < 0xc0) return { kind: 'string', length: first & 31 };
    if (first >= 0xe0 || first === 0xc0 || first === 0xc2 || first === 0xc3) {
      return { kind: 'scalar', length: 0 };
    }
    if (first >= 0xd4 && first <= 0xd8) return { kind: 'ext', length: 2 ** (first - 0xd4) };
    const skipped = skippedBytes[first];
    if (skipped !== undefined) {
      await this.#take(skipped);
      return { kind: 'scalar', length: 0 };
    }
    const bytes = lengthBytes[first];
    if (bytes === undefined) {
      const code = `0x${first.toString(16)}`;
      return this.disk.refuse(`expected msgpack but received ${code} at ${this.#at - 1}`);
    }
    const length = (await this.#take(bytes)).readUIntBE(0, bytes);
    if (first <= 198) return { kind: 'bin', length };
    if (first <= 201) return { kind: 'ext', length };
    if (first <= 206) return { kind: 'unsigned', length };
    if (first <= 219) return { kind: 'string', length };
    return { kind: first <= 221 ? 'array' : 'map', length };
  }

  async #string(length: number): Promise<string> {
    if (length > longestString) {
      this.disk.refuse(`expected a string of at most ${longestString} bytes, not ${length}`);
    }
    const bytes = await this.#take(length);
    try {
      return decoder.decode(bytes);
    } catch {
      return this.disk.refuse(`expected UTF-8 before ${this.#at}`);
    }
  }

  async #expect(kind: Kind, path: string, what: string): Promise<number> {
    const head = await this.#head();
    if (head.kind !== kind) {
      this.disk.refuse(`${path}: expected ${what} but received msgpack's ${head.kind}`);
    }
    return head.length;
  }

  /** [shape, dtype, bytes], up to `end`. */
  async #array(path: string, end: number): Promise<SourceTensor> {
    const refuse = (message: string): never => this.disk.refuse(`${path}: ${message}`);
    const parts = await this.#expect('array', path, 'shape, dtype and bytes');
    if (parts !== 3) refuse(`expected shape, dtype and bytes but received ${parts} parts`);
    const dimensions = await this.#expect('array', path, 'a shape');
    if (dimensions > mostDimensions) refuse(`expected at most ${mostDimensions} dimensions`);
    const shape: number[] = [];
    for (let i = 0; i < dimensions; ++i) {
      shape.push(await this.#expect('unsigned', path, 'a shape of integers'));
    }
    const type = await this.#string(await this.#expect('string', path, 'a dtype'));
    const dtype = Object.hasOwn(dtypes, type) ? dtypes[type] : undefined;
    if (dtype === undefined) return refuse(`expected numbers but received ${type}`);
    const bytes = await this.#expect('bin', path, 'bytes');
    const count = elementCount(shape);
    if (bytes !== count * elementSize(dtype)) {
      refuse(`expected ${count * elementSize(dtype)} bytes for ${type} [${shape}], not ${bytes}`);
    }
    const position = this.#at;
    if (position + bytes !== end)
      refuse(`expected its bytes up to ${end}, not ${position + bytes}`);
    this.#at = end;
    return { dtype, shape, disk: this.disk, pieces: [{ position, count }] };
  }

  /** An array in pieces: { '__msgpack_chunked_array__': true, shape: { '0': … }, chunks: { '0': … } }. */
  #chunked(path: string, map: Map<string, Node>): SourceTensor {
    const refuse = (message: string): never => this.disk.refuse(`${path}: ${message}`);
    const list = (key: string): Node[] => {
      const values = map.get(key);
      if (!(values instanceof Map)) return refuse(`expected ${key} of an array in chunks`);
      return Array.from({ length: values.size }, (_, i) => {
        return values.get(String(i)) ?? refuse(`expected ${i} in ${key} of an array in chunks`);
      });
    };
    const shape = list('shape').map((extent) =>
      typeof extent === 'number' ? extent : refuse('expected integers as shape'),
    );
    const chunks = list('chunks').map((chunk) =>
      typeof chunk === 'object' && 'pieces' in chunk ? chunk : refuse('expected arrays as chunks'),
    );
    const dtype = chunks[0]?.dtype;
    if (dtype === undefined || chunks.some((chunk) => chunk.dtype !== dtype)) {
      return refuse('expected chunks of one dtype');
    }
    const pieces = chunks.flatMap((chunk) => chunk.pieces);
    const count = pieces.reduce((sum, piece) => sum + piece.count, 0);
    if (count !== elementCount(shape)) refuse(`expected [${shape}] in chunks, not ${count} values`);
    return { dtype, shape, disk: this.disk, pieces };
  }

  async value(path: string, depth = 0): Promise<Node> {
    const { kind, length } = await this.#head();
    if (kind === 'unsigned') return length;
    if (kind === 'scalar') return scalar;
    if (kind === 'string') {
      await this.#string(length);
      return scalar;
    }
    if (kind === 'ext') {
      const type = (await this.#take(1)).readInt8();
      // Extension 3 is a single NumPy value, in the same form.
      if (type !== 1 && type !== 3) {
        this.disk.refuse(`${path}: expected an array (extension 1) but received extension ${type}`);
      }
      return this.#array(path, this.#at + length);
    }
    if (kind !== 'map') {
      return this.disk.refuse(
        `${path}: expected a map, an array of flax or a number, not msgpack's ${kind}`,
      );
    }
    if (depth === mostDepth) this.disk.refuse(`${path}: expected maps at most ${mostDepth} deep`);
    const map = new Map<string, Node>();
    for (let i = 0; i < length; ++i) {
      this.#keys += 1;
      if (this.#keys > mostKeys) this.disk.refuse(`expected at most ${mostKeys} names`);
      const key = await this.#string(await this.#expect('string', path, 'a name'));
      const inside = path === '' ? key : `${path}/${key}`;
      if (inside.length > longestPath) {
        this.disk.refuse(`expected names of at most ${longestPath} characters, not ${inside}`);
      }
      if (map.has(key) || key.includes('/')) {
        this.disk.refuse(`${inside}: expected one value of this name, without a slash`);
      }
      map.set(key, await this.value(inside, depth + 1));
    }
    return map.has(chunkedKey) ? this.#chunked(path, map) : map;
  }
}

/** The tensors below a map, by their path in it. */
function flatten(map: Map<string, Node>, prefix: string, group: Map<string, SourceTensor>): void {
  for (const [key, node] of map) {
    if (node instanceof Map) flatten(node, `${prefix}${key}/`, group);
    else if (typeof node === 'object') group.set(prefix + key, node);
  }
}

/** Whether a file may be msgpack of a map with names. */
export function isFlax(start: Uint8Array): boolean {
  const first = start[0]!;
  const name = start[{ 222: 3, 223: 5 }[first] ?? 1]!;
  const map = (first > 0x80 && first < 0x90) || first === 222 || first === 223;
  return map && ((name > 0xa0 && name < 0xc0) || name === 217);
}

export async function openFlax(disk: DiskFile): Promise<Source> {
  const walker = new Walker(disk);
  const root = await walker.value('');
  if (walker.at !== disk.size) disk.refuse(`expected its end at ${walker.at}, not ${disk.size}`);
  if (!(root instanceof Map)) return disk.refuse('expected a map');
  const groups = new Map<string, Group>();
  for (const [key, node] of root) {
    const group = new Map<string, SourceTensor>();
    if (node instanceof Map) flatten(node, '', group);
    else if (typeof node === 'object') group.set('', node);
    if (group.size > 0) groups.set(key, group);
  }
  return { path: disk.path, format: 'flax', files: [disk], groups };
}
