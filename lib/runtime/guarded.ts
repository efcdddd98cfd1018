/** Native objects whose errors are MagnetsErrors. */

import { errorCodes, MagnetsError } from '../errors.js';

/** A native error with our class and its code; one without a code of ours is a fault of this package. */
function fromNative(error: unknown): MagnetsError {
  if (error instanceof MagnetsError) return error;
  const { code, message } = error as { code?: unknown; message?: string };
  const known = errorCodes.find((one) => one === code) ?? 'ERR_INTERNAL';
  return new MagnetsError(known, message ?? String(error), { cause: error });
}

/** A promise of any realm: the addon makes those of the one that loaded it. */
function isPromise(result: unknown): result is Promise<unknown> {
  const { then } = (result ?? {}) as { then?: unknown };
  return typeof then === 'function';
}

/** Calls native code: what it throws or rejects with becomes a MagnetsError, and the objects that it makes are guarded. */
function call(run: () => unknown): unknown {
  try {
    const result = run();
    if (!isPromise(result)) return guardObject(result);
    return result.then(guardObject, (error) => {
      throw fromNative(error);
    });
  } catch (error) {
    throw fromNative(error);
  }
}

/** Devices, generators, tokenizers and sessions have methods to guard; all other results are plain values. */
function guardObject(result: unknown): unknown {
  const hasMethods = typeof result === 'object' && result !== null && 'dispose' in result;
  return hasMethods ? guarded(result) : result;
}

/** Stands for a native object: every property that is read and every method that is called goes through {@link call}. */
export function guarded<T extends object>(object: T): T {
  // The target is empty because a proxy may not stand in for the module's own properties, which are not configurable.
  return new Proxy({} as T, {
    get: (_, key) =>
      call(() => {
        const value = Reflect.get(object, key, object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => call(() => value.apply(object, args));
      }),
  });
}
