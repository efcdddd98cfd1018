/** Reads typed keys of one JSON object of a checkpoint; every refusal names the file, the key and what was expected. */

import { cut, MagnetsError, mostNumber, quote } from '../errors.js';

type Json = Record<string, unknown>;
export type Shape3 = [number, number, number];

export class Reader {
  constructor(
    private readonly file: string,
    private readonly json: Json,
    private readonly prefix = '',
  ) {}

  fail(key: string, expected: string): never {
    const value = Object.hasOwn(this.json, key) ? quote(this.json[key]) : 'nothing';
    const message = `${this.file}: expected ${expected} for ${this.prefix}${cut(key)} but received ${value}`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }

  keys(): string[] {
    return Object.keys(this.json);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.json, key);
  }

  /** Unchecked: for keys that may be of several types. */
  value(key: string): unknown {
    return this.json[key];
  }

  integer(key: string, least = 1, most = 2 ** 20): number {
    const value = this.json[key];
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) {
      return value;
    }
    return this.fail(key, `an integer in ${least} .. ${most}`);
  }

  number(key: string, least = 0): number {
    const value = this.json[key];
    if (typeof value !== 'number' || !(value >= least)) {
      return this.fail(key, `a number of at least ${least}`);
    }
    return value <= mostNumber ? value : this.fail(key, `a number of at most ${mostNumber}`);
  }

  boolean(key: string): boolean {
    const value = this.json[key];
    return typeof value === 'boolean' ? value : this.fail(key, 'true or false');
  }

  oneOf<T extends string>(key: string, ...values: T[]): T {
    const found = values.find((value) => value === this.json[key]);
    return found ?? this.fail(key, values.map((value) => JSON.stringify(value)).join(' or '));
  }

  match(key: string, pattern: RegExp, expected: string): string {
    const value = this.json[key];
    return typeof value === 'string' && pattern.test(value) ? value : this.fail(key, expected);
  }

  shape(key: string): Shape3 {
    const value = this.json[key];
    const valid =
      Array.isArray(value) &&
      value.length === 3 &&
      value.every((extent) => Number.isInteger(extent) && extent > 0 && extent <= 4096);
    return valid ? (value as Shape3) : this.fail(key, 'three positive integers');
  }

  list(key: string): unknown[] {
    const value = this.json[key];
    return Array.isArray(value) ? value : this.fail(key, 'a list');
  }

  child(key: string): Reader {
    return Reader.of(this.file, this.json[key], `${this.prefix}${key}.`);
  }

  static of(file: string, json: unknown, prefix = ''): Reader {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      const what = prefix === '' ? 'a JSON object' : `an object for ${prefix.slice(0, -1)}`;
      const message = `${file}: expected ${what} but received ${quote(json)}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
    return new Reader(file, json as Json, prefix);
  }
}
