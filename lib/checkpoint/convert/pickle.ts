/**
 * Reads Python's pickle (protocol 2, as torch.save writes it) as data. No code is ever run: a pickle is a program for a
 * small stack machine, and this one knows the opcodes that build dictionaries, lists, tuples, strings and numbers. What
 * a pickle may name is listed in pickle-objects.ts; everything else is refused.
 */

import { setImmediate as immediate } from 'node:timers/promises';
import {
  fail,
  functions,
  Ignored,
  isCount,
  Storage,
  storageName,
  type Value,
} from './pickle-objects.js';

/** What a pickle has named, before it is called. */
class Global {
  constructor(readonly name: string) {}
}

const mark = Symbol('mark');

/** Opcodes that are refused, by the names that Python's pickletools gives them. */
const refusedOpcodes: Readonly<Record<string, string>> = {
  i: 'INST',
  o: 'OBJ',
  P: 'PERSID',
  '\x81': 'NEWOBJ',
  '\x82': 'EXT1',
  '\x83': 'EXT2',
  '\x84': 'EXT4',
  '\x92': 'NEWOBJ_EX',
  '\x93': 'STACK_GLOBAL',
  '\x94': 'MEMOIZE',
  '\x95': 'FRAME',
};

/** After so many, whatever waits for the event loop has its turn: a few milliseconds. */
const opcodesAtOnce = 2 ** 14;

const decoder = new TextDecoder('utf-8', { fatal: true });

class Machine {
  readonly #bytes: Buffer;
  #at = 0;
  readonly #stack: Value[] = [];
  readonly #memo = new Map<number, Value>();

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.byteLength) fail('expected more bytes: is it cut off?');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #text(bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes);
    } catch {
      return fail('expected UTF-8');
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) fail('expected the end of a line: is it cut off?');
    const text = this.#text(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }

  #pop(): Value {
    if (this.#stack.length === 0 || this.#stack.at(-1) === mark) fail('expected a value before it');
    return this.#stack.pop();
  }

  #popMany(count: number): Value[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  /** The values above the last mark. */
  #popMarked(): Value[] {
    const start = this.#stack.lastIndexOf(mark);
    if (start < 0) fail('expected a mark before it');
    const values = this.#stack.splice(start);
    return values.slice(1);
  }

  #top<T>(kind: string, is: (value: Value) => value is T): T {
    const value = this.#stack.at(-1);
    return is(value) ? value : fail(`expected ${kind} before it`);
  }

  #append(values: Value[]): void {
    const list: Value[] = this.#top('a list', Array.isArray);
    for (const value of values) list.push(value);
  }

  #fill(pairs: Value[]): void {
    const dictionary = this.#top('a dictionary', (value) => value instanceof Map);
    if (pairs.length % 2 !== 0) fail('expected pairs of keys and values');
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i];
      if (dictionary.has(key)) {
        fail(`expected one value for ${typeof key === 'string' ? key : 'each key'}`);
      }
      dictionary.set(key, pairs[i + 1]);
    }
  }

  #recall(index: number): Value {
    if (!this.#memo.has(index)) fail(`expected a value of number ${index} before it`);
    return this.#memo.get(index);
  }

  #remember(index: number): void {
    if (this.#stack.length === 0 || this.#stack.at(-1) === mark) fail('expected a value before it');
    this.#memo.set(index, this.#stack.at(-1));
  }

  #global(): Global {
    const name = `${this.#line()}.${this.#line()}`;
    if (!Object.hasOwn(functions, name) && !storageName.test(name)) {
      fail(`expected tensors alone but it wants ${name}`);
    }
    return new Global(name);
  }

  #call(): Value {
    const args = this.#pop();
    const callee = this.#pop();
    if (!(callee instanceof Global && Array.isArray(args))) return fail('expected a call');
    const known = Object.hasOwn(functions, callee.name) ? functions[callee.name] : undefined;
    return known === undefined ? fail(`expected no call of ${callee.name}`) : known(args);
  }

  /** ('storage', type, key, device, count), by which torch names bytes outside of the pickle. */
  #storage(): Storage {
    const id = this.#pop();
    if (!Array.isArray(id) || id.length !== 5) return fail('expected the five parts of a storage');
    const [kind, type, key, , count] = id as Value[];
    const valid =
      kind === 'storage' &&
      type instanceof Global &&
      storageName.test(type.name) &&
      typeof key === 'string' &&
      isCount(count);
    return valid ? new Storage(type.name, key, count) : fail('expected a storage');
  }

  /** Attributes: those of a dictionary (a state_dict's `_metadata`) and of what is ignored are dropped. */
  #build(): void {
    this.#pop();
    const target = this.#stack.at(-1);
    if (!(target instanceof Map || target instanceof Ignored)) {
      fail('expected no object with a state of its own');
    }
  }

  /** An integer of any length, two's complement; as a number where that is exact. */
  #long(bytes: Buffer): Value {
    let value = 0n;
    for (let i = bytes.byteLength - 1; i >= 0; --i) value = (value << 8n) | BigInt(bytes[i]!);
    const signed = BigInt.asIntN(8 * bytes.byteLength, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : new Ignored();
  }

  async run(): Promise<Value> {
    const stack = this.#stack;
    for (let count = 1; ; ++count) {
      if (count % opcodesAtOnce === 0) await immediate();
      const opcode = String.fromCharCode(this.#take(1)[0]!);
      switch (opcode) {
        case '\x80': {
          const protocol = this.#take(1)[0]!;
          if (protocol !== 2) fail(`expected protocol 2 but received ${protocol}`);
          break;
        }
        case '.': {
          const result = this.#pop();
          return stack.length === 0 ? result : fail('expected one value');
        }
        case '(':
          stack.push(mark);
          break;
        case 'N':
          stack.push(null);
          break;
        case '\x88':
          stack.push(true);
          break;
        case '\x89':
          stack.push(false);
          break;
        case 'J':
          stack.push(this.#take(4).readInt32LE());
          break;
        case 'K':
          stack.push(this.#take(1)[0]);
          break;
        case 'M':
          stack.push(this.#take(2).readUInt16LE());
          break;
        case '\x8a':
          stack.push(this.#long(this.#take(this.#take(1)[0]!)));
          break;
        case 'G':
          stack.push(this.#take(8).readDoubleBE());
          break;
        case 'X':
          stack.push(this.#text(this.#take(this.#take(4).readUInt32LE())));
          break;
        case '}':
          stack.push(new Map());
          break;
        case ']':
        case ')':
          stack.push([]);
          break;
        case 't':
          stack.push(this.#popMarked());
          break;
        case '\x85':
          stack.push(this.#popMany(1));
          break;
        case '\x86':
          stack.push(this.#popMany(2));
          break;
        case '\x87':
          stack.push(this.#popMany(3));
          break;
        case 'a':
          this.#append(this.#popMany(1));
          break;
        case 'e':
          this.#append(this.#popMarked());
          break;
        case 's':
          this.#fill(this.#popMany(2));
          break;
        case 'u':
          this.#fill(this.#popMarked());
          break;
        case 'q':
          this.#remember(this.#take(1)[0]!);
          break;
        case 'r':
          this.#remember(this.#take(4).readUInt32LE());
          break;
        case 'h':
          stack.push(this.#recall(this.#take(1)[0]!));
          break;
        case 'j':
          stack.push(this.#recall(this.#take(4).readUInt32LE()));
          break;
        case 'c':
          stack.push(this.#global());
          break;
        case 'R':
          stack.push(this.#call());
          break;
        case 'Q':
          stack.push(this.#storage());
          break;
        case 'b':
          this.#build();
          break;
        default: {
          const code = `0x${opcode.charCodeAt(0).toString(16).padStart(2, '0')}`;
          fail(`expected tensors alone but it has the opcode ${refusedOpcodes[opcode] ?? code}`);
        }
      }
    }
  }
}

/** Rejects with a PickleError for anything but data. */
export function readPickle(bytes: Uint8Array): Promise<Value> {
  return new Machine(bytes).run();
}
