/** The tensors of convolutions, norms and residual blocks, and what each is made of. */

import type { TensorEntry } from '../schema.js';
import type { BlockDetails, Dialect } from './conv-names.js';
import { copied, transposed, zeros } from './made-tensors.js';
import type { MadeTensor } from './translation.js';

/** [out, height, width, in] of a stored convolution. */
export function reorder(
  order: Dialect['order'],
  kernel: number,
  out: number,
  inputs: number,
): (target: Float32Array, values: Float32Array) => void {
  const taps = kernel * kernel;
  return (target, values) => {
    for (let o = 0; o < out; ++o) {
      for (let tap = 0; tap < taps; ++tap) {
        for (let i = 0; i < inputs; ++i) {
          const from =
            order === 'OIHW' ? (o * inputs + i) * taps + tap : (tap * inputs + i) * out + o;
          target[(o * taps + tap) * inputs + i] = values[from]!;
        }
      }
    }
  };
}

/**
 * (I + shortcut) · weight, where the rows of the weight are its `out` outputs. Four rows are added at once, for speed:
 * `out` is a multiple of the 32 groups of a norm.
 */
function fold(
  target: Float32Array,
  weight: Float32Array,
  shortcut: Float32Array,
  out: number,
): void {
  const columns = weight.length / out;
  const sums = new Float64Array(columns);
  for (let row = 0; row < out; ++row) {
    for (let column = 0; column < columns; ++column) sums[column] = weight[row * columns + column]!;
    for (let i = 0; i < out; i += 4) {
      const factors = shortcut.subarray(row * out + i, row * out + i + 4);
      const [a, b, c, d] = [factors[0]!, factors[1]!, factors[2]!, factors[3]!];
      const rows = weight.subarray(i * columns, (i + 4) * columns);
      for (let column = 0; column < columns; ++column) {
        const ab = a * rows[column]! + b * rows[column + columns]!;
        const cd = c * rows[column + 2 * columns]! + d * rows[column + 3 * columns]!;
        sums[column] = sums[column]! + ab + cd;
      }
    }
    target.set(sums, row * columns);
  }
}

/** Lists what the tensors of a tokenizer are made of, layer by layer. `to` is a layer of ours, `from` one of the source. */
export class Maker {
  readonly tensors: MadeTensor[] = [];

  constructor(
    private readonly dialect: Dialect,
    private readonly details: BlockDetails,
  ) {}

  /** What a block of ours adds where its channels change. */
  get shortcut(): 'none' | 'projection' {
    return this.details.shortcut === 'folded' ? 'none' : 'projection';
  }

  join(layer: string, part: string): string {
    return `${layer}${this.dialect.separator}${part}`;
  }

  #stored(layer: string, kernel: number, out: number, inputs: number): TensorEntry {
    const shape =
      this.dialect.order === 'OIHW' ? [out, inputs, kernel, kernel] : [kernel, kernel, inputs, out];
    return { name: this.join(layer, this.dialect.weight), shape };
  }

  #bias(to: string, from: string, out: number, stored: boolean): void {
    const name = `${to}.bias`;
    this.tensors.push(stored ? copied(name, [out], this.join(from, 'bias')) : zeros(name, [out]));
  }

  convolution(to: string, from: string, out: number, inputs: number, bias: boolean): void {
    this.tensors.push({
      name: `${to}.weight`,
      shape: [out, 3, 3, inputs],
      from: [this.#stored(from, 3, out, inputs)],
      make: reorder(this.dialect.order, 3, out, inputs),
    });
    this.#bias(to, from, out, bias);
  }

  /** A convolution of one pixel. */
  product(to: string, from: string, out: number, inputs: number): void {
    const { name, shape } = this.#stored(from, 1, out, inputs);
    const weight = `${to}.weight`;
    this.tensors.push(
      this.dialect.order === 'HWIO'
        ? transposed(weight, [out, inputs], name, shape)
        : { ...copied(weight, shape, name), shape: [out, inputs] },
    );
    this.#bias(to, from, out, true);
  }

  norm(to: string, from: string, channels: number): void {
    this.tensors.push(
      copied(`${to}.weight`, [channels], this.join(from, this.dialect.scale)),
      copied(`${to}.bias`, [channels], this.join(from, 'bias')),
    );
  }

  residual(to: string, from: string, out: number, inputs: number): void {
    const { block, order } = this.dialect;
    const { biases, shortcut } = this.details;
    const part = (name: keyof Dialect['block']) => this.join(from, block[name]);
    this.norm(`${to}.norm1`, part('norm1'), inputs);
    this.convolution(`${to}.conv1`, part('conv1'), out, inputs, biases);
    this.norm(`${to}.norm2`, part('norm2'), out);
    if (inputs === out || shortcut === 'projection') {
      this.convolution(`${to}.conv2`, part('conv2'), out, out, biases);
      if (inputs !== out) this.product(`${to}.shortcut`, part('shortcut'), out, inputs);
      return;
    }
    const taps = reorder(order, 3, out, out);
    const square = reorder(order, 1, out, out);
    this.tensors.push({
      name: `${to}.conv2.weight`,
      shape: [out, 3, 3, out],
      from: [this.#stored(part('conv2'), 3, out, out), this.#stored(part('shortcut'), 1, out, out)],
      make: (target, conv, product) => {
        const [weight, factors] = [new Float32Array(conv!.length), new Float32Array(out * out)];
        taps(weight, conv!);
        square(factors, product!);
        fold(target, weight, factors, out);
      },
    });
    this.#bias(`${to}.conv2`, '', out, false);
  }

  attention(to: string, from: string, channels: number): void {
    this.norm(`${to}.norm`, this.join(from, 'norm'), channels);
    const parts = { query: 'q', key: 'k', value: 'v', output: 'proj_out' };
    for (const [ours, theirs] of Object.entries(parts)) {
      this.product(`${to}.${ours}`, this.join(from, theirs), channels, channels);
    }
  }

  /** The decoder's last convolution, whose pixels become those of [0, 1]. */
  pixels(to: string, from: string, out: number, inputs: number): void {
    this.convolution(to, from, out, inputs, true);
    if (this.details.pixels[0] === 0) return;
    const [weight, bias] = this.tensors.splice(-2) as [MadeTensor, MadeTensor];
    this.tensors.push(
      {
        ...weight,
        make: (target, values) => {
          weight.make(target, values!);
          target.forEach((value, i) => {
            target[i] = value / 2;
          });
        },
      },
      {
        ...bias,
        make: (target, values) => {
          values!.forEach((value, i) => {
            target[i] = value / 2 + 0.5;
          });
        },
      },
    );
  }
}
