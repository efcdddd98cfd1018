/** Errors of this package. Wrong arguments are TypeError or RangeError; everything else carries a stable `code`. */

const codes = [
  'ERR_ARGUMENT',
  'ERR_CHECKPOINT',
  'ERR_DEVICE',
  'ERR_DISPOSED',
  'ERR_INTERNAL',
  'ERR_MEDIA',
  'ERR_OUT_OF_MEMORY',
  'ERR_UNSUPPORTED',
] as const;

export type ErrorCode = (typeof codes)[number];

export class MagnetsError extends Error {
  override readonly name = 'MagnetsError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null) {
    return ArrayBuffer.isView(value) ? value.constructor.name : JSON.stringify(value);
  }
  return String(value);
}

/** `Expected <what> for <name> but received <value>`: the value has the wrong type. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`Expected ${expected} for ${name} but received ${show(value)}`);
}

/** `Expected <what> for <name> but received <value>`: the value is out of range. */
export function wrongValue(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`Expected ${expected} for ${name} but received ${show(value)}`);
}

/** Checks that `value` is an integer in [least, most]. */
export function integer(name: string, value: unknown, least: number, most = 2 ** 31 - 1): number {
  const expected =
    most === 2 ** 31 - 1 ? `an integer of at least ${least}` : `an integer in ${least} .. ${most}`;
  if (typeof value !== 'number') throw wrongType(name, expected, value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw wrongValue(name, expected, value);
  }
  return value;
}

/** Checks that `value` is a finite number of at least `least`. */
export function number(name: string, value: unknown, least: number): number {
  const expected = `a number of at least ${least}`;
  if (typeof value !== 'number') throw wrongType(name, expected, value);
  if (!Number.isFinite(value) || value < least) throw wrongValue(name, expected, value);
  return value;
}

/** Gives an error of the native module our class and keeps its code; leaves every other as it is. */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof MagnetsError || !('code' in error))
    return error;
  const code = codes.find((known) => known === error.code);
  return code ? new MagnetsError(code, error.message, { cause: error }) : error;
}
