/** The number formats of files: f64, f16 and bf16 to f32, and back, rounded to the nearest (even where two are as near). */

import { type Dtype, elementSize } from '../safetensors.js';

const floatDtypes = ['F64', 'F32', 'F16', 'BF16'] as const;
export type FloatDtype = (typeof floatDtypes)[number];

export function isFloat(dtype: Dtype): dtype is FloatDtype {
  return floatDtypes.some((float) => float === dtype);
}

/** The formats that weights are written in; `int8` those that bear it, others as f32. */
export const weightFormats = ['f32', 'f16', 'bf16', 'int8'] as const;
export type WeightFormat = (typeof weightFormats)[number];

const number = new Float32Array(1);
const bitsOf = new Uint32Array(number.buffer);

function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halves: Float32Array | undefined;

/** What each of the 2^16 numbers of f16 is. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => fromHalf(half));
  return halves;
}

/** `bytes`, which begin at a multiple of 8 in their buffer, as numbers into `target`. */
export function decode(dtype: FloatDtype, bytes: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset } = bytes;
  const count = bytes.byteLength / elementSize(dtype);
  if (dtype === 'F32') {
    target.set(new Float32Array(buffer, byteOffset, count));
  } else if (dtype === 'F64') {
    target.set(new Float64Array(buffer, byteOffset, count));
  } else if (dtype === 'F16') {
    const source = new Uint16Array(buffer, byteOffset, count);
    const table = halfTable();
    for (let i = 0; i < count; ++i) target[i] = table[source[i]!]!;
  } else {
    const source = new Uint16Array(buffer, byteOffset, count);
    const bits = new Uint32Array(target.buffer, target.byteOffset, count);
    for (let i = 0; i < count; ++i) bits[i] = source[i]! << 16;
  }
}

/** The bits of the f16 that is nearest to the f32 with these bits; infinity where it is too large. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x38800000) {
    // The exponent's bias is 15 instead of 127; a carry out of the fraction goes into the exponent, as it should.
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded >>> 13) - (112 << 10));
  }
  // Subnormal: beside 0.5 the last bit of an f32 is 2^-24, as that of a subnormal f16 is.
  bitsOf[0] = magnitude;
  number[0] = number[0]! + 0.5;
  return sign | (bitsOf[0] - 0x3f000000);
}

/** The bits of the bf16 that is nearest to the f32 with these bits; infinity where it is too large. */
function toBf16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 64; // stays not a number
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The numbers of 16 bits that are nearest to `values`, into `target`. */
export function round(format: 'f16' | 'bf16', values: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const convert = format === 'f16' ? toHalf : toBf16;
  for (let i = 0; i < bits.length; ++i) target[i] = convert(bits[i]!);
}

/** What is smaller is near enough to zero. */
const least = 2 ** -100;

/**
 * `values` as whole multiples of a scale, into `target`; the largest is 127. To the bit what the engine makes of weights
 * that it keeps so (native/cpu/packed_int8.cpp).
 */
export function quantize(values: Float32Array, target: Int8Array): number {
  let largest = least;
  for (let i = 0; i < values.length; ++i) largest = Math.max(largest, Math.abs(values[i]!));
  const scale = Math.fround(largest / 127);
  for (let i = 0; i < values.length; ++i) {
    // Beside 1.5 * 2^23 an f32 has no fraction: this rounds to the nearest, to even where two are as near.
    target[i] = Math.fround(Math.fround(values[i]! / scale) + 1.5 * 2 ** 23) - 1.5 * 2 ** 23;
  }
  return scale;
}

const f32Limits = { largest: (2 - 2 ** -23) * 2 ** 127, infinite: Number.POSITIVE_INFINITY };

/** The largest number of each format, and the least that is rounded to infinity. */
const limits = {
  f32: f32Limits,
  int8: f32Limits,
  bf16: { largest: (2 - 2 ** -7) * 2 ** 127, infinite: (2 - 2 ** -8) * 2 ** 127 },
  f16: { largest: (2 - 2 ** -10) * 2 ** 15, infinite: (2 - 2 ** -11) * 2 ** 15 },
} as const;

export function largestOf(format: WeightFormat): number {
  return limits[format].largest;
}

/** A value that the format cannot hold: too large, or not a number; undefined where there is none. */
export function unfit(format: WeightFormat, values: Float32Array): number | undefined {
  const { infinite } = limits[format];
  for (let i = 0; i < values.length; ++i) {
    if (!(Math.abs(values[i]!) < infinite)) return values[i];
  }
  return undefined;
}
