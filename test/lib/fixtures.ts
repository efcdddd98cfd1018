/** The checkpoints of training/fixtures.py and what PyTorch answered for them. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { headerLength, parseHeader } from '../../lib/checkpoint/safetensors.js';
import { Tensor } from '../../lib/tensor.js';

export const fixtureNames = ['post', 'pre', 'video', 'modulated', 'untied'] as const;
export type FixtureName = (typeof fixtureNames)[number];

export const fixtureFolder = (name: FixtureName) =>
  fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** A copy of a fixture, and a way to change a JSON file in it; gone when the test ends. */
export function copyOf(name: FixtureName, t: { teardown(run: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  cpSync(fixtureFolder(name), folder, { recursive: true });
  const write = (file: string, json: unknown) =>
    writeFileSync(join(folder, file), JSON.stringify(json));
  const change = (file: string, keys: object) =>
    write(file, { ...JSON.parse(readFileSync(join(folder, file), 'utf8')), ...keys });
  return { folder, write, change };
}

/** The tensors of a checkpoint's file, checked as `load` checks them. */
export function parseSafetensors(file: string, bytes: Uint8Array) {
  const start = 8 + headerLength(file, bytes, bytes.byteLength);
  const data = bytes.subarray(start);
  const dtypes = ['F32', 'F16', 'BF16', 'I8'] as const;
  const tensors = parseHeader(file, bytes.subarray(8, start), data.byteLength, dtypes);
  return Object.fromEntries(
    tensors.map(({ name, begin, end, ...tensor }) => [
      name,
      { ...tensor, data: data.subarray(begin, end) },
    ]),
  );
}

/** What the public code of other projects answered (test/fixtures/public). */
export const publicFixture = (path: string) =>
  fileURLToPath(new URL(`../fixtures/public/${path}`, import.meta.url));

export const expectations = (name: FixtureName) =>
  answersIn(`${fixtureFolder(name)}/expected.safetensors`);

/** Trusts the file: the hostile reader is lib/safetensors.ts, and this one also knows I32. */
export function answersIn(file: string) {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  const slice = (key: string) => {
    const [begin, end] = header[key]!.data_offsets;
    return bytes.buffer.slice(bytes.byteOffset + start + begin, bytes.byteOffset + start + end);
  };
  return {
    float: (key: string) =>
      new Tensor('float32', new Float32Array(slice(key) as ArrayBuffer), header[key]!.shape),
    int: (key: string) =>
      new Tensor('int32', new Int32Array(slice(key) as ArrayBuffer), header[key]!.shape),
  };
}

export const widthNames = ['1/8', '1/4', '1/2', '1'];

/** max |a - b| / max |b| */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; ++i) {
    error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return actual.length === expected.length ? error / scale : Number.POSITIVE_INFINITY;
}
