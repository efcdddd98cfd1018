/** Tensors of ours that are made in simple ways: copied, transposed, cut out of a larger one, or zero. */

import type { MadeTensor } from './translation.js';

/** A tensor as it is. */
export function copied(name: string, shape: readonly number[], from: string): MadeTensor {
  return {
    name,
    shape,
    from: [{ name: from, shape }],
    make: (target, values) => target.set(values!),
  };
}

/** The weight, of this shape, and the bias of a linear layer or a norm, as they are. */
export function copiedLayer(to: string, shape: readonly number[], from: string): MadeTensor[] {
  return [
    copied(`${to}.weight`, shape, `${from}.weight`),
    copied(`${to}.bias`, [shape[0]!], `${from}.bias`),
  ];
}

/** [rows, columns] out of a tensor of the shape `stored` that holds [columns, rows]. */
export function transposed(
  name: string,
  [rows, columns]: readonly [number, number],
  from: string,
  stored: readonly number[] = [columns, rows],
): MadeTensor {
  const make = (target: Float32Array, values: Float32Array) => {
    for (let row = 0; row < rows; ++row) {
      for (let column = 0; column < columns; ++column) {
        target[row * columns + column] = values[column * rows + row]!;
      }
    }
  };
  return { name, shape: [rows, columns], from: [{ name: from, shape: stored }], make };
}

/** A third of the rows of a tensor. */
function third(name: string, shape: readonly number[], from: string, part: number): MadeTensor {
  const [rows, ...columns] = shape;
  return {
    name,
    shape,
    from: [{ name: from, shape: [3 * rows!, ...columns] }],
    make: (target, values) =>
      target.set(values!.subarray(part * target.length, (part + 1) * target.length)),
  };
}

/** The three projections of an attention of size d, whose rows lie in one layer (PyTorch, MultiheadAttention). */
export function projections(to: string, d: number, from: string): MadeTensor[] {
  return ['query', 'key', 'value'].flatMap((name, part) => [
    third(`${to}.${name}.weight`, [d, d], `${from}.in_proj_weight`, part),
    third(`${to}.${name}.bias`, [d], `${from}.in_proj_bias`, part),
  ]);
}

/** Zeros, where the source has no such tensor. */
export function zeros(name: string, shape: readonly number[]): MadeTensor {
  return { name, shape, from: [], make: (target) => target.fill(0) };
}
