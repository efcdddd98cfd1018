/** What a pickle of torch may name and make: a fixed list, each entry of which is a function of this file. */

/** A string, a number, true, false, null, a list or tuple, a dictionary, or one of the classes below. */
export type Value = unknown;

/** Bytes that a tensor is a view of. */
export class Storage {
  constructor(
    /** `torch.FloatStorage` and so on. */
    readonly type: string,
    /** Names its bytes in the archive. */
    readonly key: string,
    readonly count: number,
  ) {}
}

export class StridedTensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** Something that is of no use here, such as the learning rate as a NumPy scalar. */
export class Ignored {}

export class PickleError extends Error {}

export function isCount(value: Value): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function fail(message: string): never {
  throw new PickleError(message);
}

/** As torch has them. A tensor can be named many times, and each time its shape is looked at. */
const mostDimensions = 64;

function rebuildTensor([storage, offset, shape, strides]: Value[]): StridedTensor {
  const valid =
    storage instanceof Storage &&
    isCount(offset) &&
    Array.isArray(shape) &&
    shape.length <= mostDimensions &&
    shape.every(isCount) &&
    Array.isArray(strides) &&
    strides.length === shape.length &&
    strides.every(isCount);
  if (!valid) return fail('expected a storage, an offset, a shape and strides of a tensor');
  return new StridedTensor(storage, offset, shape, strides);
}

/** What a pickle may call, by name. */
export const functions: Readonly<Record<string, (args: Value[]) => Value>> = {
  'collections.OrderedDict': (args) =>
    args.length === 0 ? new Map() : fail('expected an empty OrderedDict'),
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) =>
    tensor instanceof StridedTensor ? tensor : fail('expected a tensor as parameter'),
  // An optimizer's learning rate may be a NumPy scalar. Nobody looks at it.
  'numpy.core.multiarray.scalar': () => new Ignored(),
  'numpy._core.multiarray.scalar': () => new Ignored(),
  'numpy.dtype': () => new Ignored(),
  '_codecs.encode': () => new Ignored(),
};

export const storageName =
  /^torch\.(Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage$/;
