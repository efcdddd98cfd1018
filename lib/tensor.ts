/** A typed, dense, row-major array with dimensions, in the habits of onnxruntime. */

import { types } from 'node:util';
import {
  elements,
  isList,
  isObject,
  MagnetsError,
  oneOf,
  wrongType,
  wrongValue,
} from './errors.js';

export interface TensorData {
  float32: Float32Array;
  int32: Int32Array;
  uint8: Uint8Array;
}

export type TensorType = keyof TensorData;

/** The elements of a tensor with these dims. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, extent) => product * extent, 1);
}

/** A tensor has at most this many dimensions. */
const mostDims = 64;

const constructors = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
const tensorTypes = Object.keys(constructors) as TensorType[];

/** The name of a typed array of any realm, where `instanceof` knows only those of its own; undefined of all else. */
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);
const { get: typedArrayName } = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)!;
/** How many elements there are and where, whatever a subclass or a property of the array's own says. */
const { get: typedArrayLength } = Object.getOwnPropertyDescriptor(typedArray, 'length')!;
const { get: typedArrayBuffer } = Object.getOwnPropertyDescriptor(typedArray, 'buffer')!;
const { get: typedArrayOffset } = Object.getOwnPropertyDescriptor(typedArray, 'byteOffset')!;

/** Whether `value` is the typed array that a tensor of this type has, whichever realm made it. */
export function isDataOf<T extends TensorType>(type: T, value: unknown): value is TensorData[T] {
  return typedArrayName!.call(value) === constructors[type].name;
}

/**
 * The same elements as a plain array of this realm, so that its methods are JavaScript's own and find what there is. It is
 * no copy, unless other threads may write to the memory: what has been checked stays as it is.
 */
export function plainData<T extends TensorType>(type: T, data: TensorData[T]): TensorData[T] {
  const length: number = typedArrayLength!.call(data);
  if (length === 0) return new constructors[type](0) as TensorData[T]; // also where the buffer was detached
  const buffer: ArrayBuffer = typedArrayBuffer!.call(data);
  const plain = new constructors[type](buffer, typedArrayOffset!.call(data), length);
  return (types.isSharedArrayBuffer(buffer) ? plain.slice() : plain) as TensorData[T];
}

export class Tensor<T extends TensorType = TensorType> {
  readonly type: T;
  readonly dims: readonly number[];
  /** Elements. */
  readonly size: number;
  /** The data itself, not a copy. A property of the tensor's own, so that structuredClone takes it along. */
  readonly data: TensorData[T];
  #disposed = false;

  /** @throws TypeError, RangeError when data and dims do not fit. */
  constructor(type: T, data: TensorData[T], dims: readonly number[]) {
    oneOf('type', type, tensorTypes);
    if (!isDataOf(type, data)) throw wrongType('data', `a ${constructors[type].name}`, data);
    if (!isList(dims)) throw wrongType('dims', 'a list of non-negative integers', dims);
    const extents: readonly number[] = elements('dims', dims, mostDims);
    if (!extents.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
      throw wrongValue('dims', 'non-negative integers', extents);
    }
    this.type = type;
    this.dims = Object.freeze(extents);
    this.size = elementCount(extents);
    this.data = data;
    const length: number = typedArrayLength!.call(data);
    if (length !== this.size || data.length !== length) {
      throw wrongValue('data', `${this.size} elements for [${extents}]`, length);
    }
  }

  /** Where the data is: `'cpu'`, or `'none'` once disposed. */
  get location(): 'cpu' | 'none' {
    return this.#disposed ? 'none' : 'cpu';
  }

  /** The data wherever it is; with `release` the tensor is disposed of afterwards. */
  async getData(release = false): Promise<TensorData[T]> {
    if (typeof release !== 'boolean') throw wrongType('release', 'a boolean', release);
    const { data } = this;
    if (release) this.dispose();
    return data;
  }

  /** Lets go of the data: to read it afterwards is ERR_DISPOSED. */
  dispose(): void {
    this.#disposed = true;
    const get = () => {
      throw new MagnetsError('ERR_DISPOSED', 'this tensor has been disposed');
    };
    Object.defineProperty(this, 'data', { get, enumerable: true, configurable: true });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * The tensor that a caller gave as `name`: whatever has the type, data and dims of one, whether this or another copy of
 * the package made it, in this or another realm, or structuredClone. Each is read once; the data is {@link plainData}.
 * @throws TypeError, RangeError when it is no such tensor.
 */
export function readTensor<T extends TensorType>(
  name: string,
  expected: string,
  type: T,
  value: unknown,
): Tensor<T> {
  const given: Partial<Tensor> = isObject(value) ? value : {};
  if (given.type !== type) throw wrongType(name, expected, value);
  const { data, dims } = given;
  if (!isDataOf(type, data) || !isList(dims)) throw wrongType(name, expected, value);
  const tensor = new Tensor(type, data, dims);
  return new Tensor(type, plainData(type, data), tensor.dims);
}
