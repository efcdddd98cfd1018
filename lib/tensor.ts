/** A typed, dense, row-major array with dimensions, in the habits of onnxruntime. */

import { MagnetsError, wrongType, wrongValue } from './errors.js';

export interface TensorData {
  float32: Float32Array;
  int32: Int32Array;
  uint8: Uint8Array;
}

export type TensorType = keyof TensorData;

const constructors = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

export class Tensor<T extends TensorType = TensorType> {
  readonly type: T;
  readonly dims: readonly number[];
  /** Elements. */
  readonly size: number;
  #data: TensorData[T] | undefined;

  /** @throws TypeError, RangeError when data and dims do not fit. */
  constructor(type: T, data: TensorData[T], dims: readonly number[]) {
    if (!Object.hasOwn(constructors, type)) {
      throw wrongValue('type', Object.keys(constructors).join(', '), type);
    }
    if (!(data instanceof constructors[type])) {
      throw wrongType('data', `a ${constructors[type].name}`, data);
    }
    if (!dims.every((extent) => Number.isInteger(extent) && extent >= 0)) {
      throw wrongValue('dims', 'non-negative integers', dims);
    }
    this.type = type;
    this.dims = [...dims];
    this.size = dims.reduce((product, extent) => product * extent, 1);
    this.#data = data;
    if (data.length !== this.size) {
      throw wrongValue('data', `${this.size} elements for [${dims}]`, data.length);
    }
  }

  /** Where the data is: `'cpu'`, or `'none'` once disposed. */
  get location(): 'cpu' | 'none' {
    return this.#data === undefined ? 'none' : 'cpu';
  }

  /** The data itself, not a copy. */
  get data(): TensorData[T] {
    if (this.#data === undefined) {
      throw new MagnetsError('ERR_DISPOSED', 'this tensor has been disposed');
    }
    return this.#data;
  }

  /** The data wherever it is; with `release` the tensor is disposed of afterwards. */
  async getData(release = false): Promise<TensorData[T]> {
    const { data } = this;
    if (release) this.dispose();
    return data;
  }

  dispose(): void {
    this.#data = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
