/**
 * The errors of this package, and the checks of arguments that throw them. A wrong argument is a TypeError (wrong type)
 * or a RangeError (wrong value); everything else is a MagnetsError with a documented code.
 */

export const errorCodes = [
  'ERR_CHECKPOINT',
  'ERR_DEVICE',
  'ERR_DISPOSED',
  'ERR_INTERNAL',
  'ERR_MEDIA',
  'ERR_OUT_OF_MEMORY',
  'ERR_STATE',
  'ERR_THREAD',
  'ERR_UNSUPPORTED',
] as const;

/** The codes of a {@link MagnetsError}; docs/errors.md says what each means and what to do. */
export type ErrorCode = (typeof errorCodes)[number];

/** Every error of this package that is not a wrong argument. */
export class MagnetsError extends Error {
  override readonly name = 'MagnetsError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A value in a message takes at most this many characters. */
const longestQuote = 80;

function textOf(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return value.constructor.name;
  try {
    const json = JSON.stringify(value, (_, inner) =>
      typeof inner === 'bigint' ? `${inner}n` : inner,
    );
    if (json !== undefined) return json;
  } catch {
    // Cyclic, or its toJSON throws: its kind says enough.
  }
  return Object.prototype.toString.call(value);
}

/** The value as messages show it: JSON, cut where it is long. */
export function quote(value: unknown): string {
  const text = textOf(value);
  return text.length > longestQuote ? `${text.slice(0, longestQuote - 3)}...` : text;
}

/** `Expected <what> for <name> but received <value>`: the value has the wrong type. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`Expected ${expected} for ${name} but received ${quote(value)}`);
}

/** `Expected <what> for <name> but received <value>`: the value is out of range. */
export function wrongValue(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`Expected ${expected} for ${name} but received ${quote(value)}`);
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

/** Checks that `value` is true or false. */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongType(name, 'a boolean', value);
  return value;
}

/** Checks that `value` is one of these strings. */
export function oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const expected = `one of ${choices.join(', ')}`;
  if (typeof value !== 'string') throw wrongType(name, expected, value);
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw wrongValue(name, expected, value);
  return found;
}

/** Checks that `value` is an object whose keys are all `known`, so that a misspelled option is not ignored. */
export function checkOptions(value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType('options', 'an object', value);
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(
      `Expected options among ${known.join(', ')} but received ${quote(unknown)}`,
    );
  }
}

/** Checks that `value` is an AbortSignal, where there is one. */
export function checkSignal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw wrongType('signal', 'an AbortSignal', value);
  }
}

/** Checks that `value` is a function, where there is one. */
export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function')
    throw wrongType(name, 'a function', value);
}
