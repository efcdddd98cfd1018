/**
 * The errors of this package, and the checks of arguments that throw them. A wrong argument is a TypeError (wrong type)
 * or a RangeError (wrong value); everything else is a MagnetsError with a documented code.
 */

export const errorCodes = [
  'ERR_BUSY',
  'ERR_CHECKPOINT',
  'ERR_DEVICE',
  'ERR_DISPOSED',
  'ERR_INTERNAL',
  'ERR_MEDIA',
  'ERR_NUMERIC',
  'ERR_OUT_OF_MEMORY',
  'ERR_STATE',
  'ERR_THREAD',
  'ERR_UNSUPPORTED',
] as const;

/** The codes of a {@link MagnetsError}; docs/errors.md says what each means and what to do. */
export type ErrorCode = (typeof errorCodes)[number];

/** A message has at most this many characters, whatever names and values of a file it quotes. */
const longestMessage = 2000;

/** A text, such as a name in a file, as a line that a terminal shows and does not obey: `\u{1b}` for an escape. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** Marks the errors of every copy of this package in a process, in every realm. */
const brand = Symbol.for('magnets.MagnetsError');

/** Every error of this package that is not a wrong argument. `instanceof` knows those of another copy of it, too. */
export class MagnetsError extends Error {
  override readonly name = 'MagnetsError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    oneOf('code', code, errorCodes);
    if (typeof message !== 'string') throw wrongType('message', 'a string', message);
    const short =
      message.length > longestMessage ? `${message.slice(0, longestMessage)}...` : message;
    // The others quote no file, and some have several lines.
    super(code === 'ERR_CHECKPOINT' ? printable(short) : short, options);
    this.code = code;
  }

  get [brand](): true {
    return true;
  }
}

Object.defineProperty(MagnetsError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    // A class that extends this one knows its own objects alone.
    if (this !== MagnetsError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && brand in value;
  },
});

/** A value in a message takes at most this many characters. */
const longestQuote = 80;
/** A list of choices has at most this many. */
const longestList = 24;

/** `[object Map]` -> `Map`, of objects of every realm. */
function kindOf(value: object): string {
  try {
    return Object.prototype.toString.call(value).slice('[object '.length, -1);
  } catch {
    return 'Proxy'; // a revoked one
  }
}

/** Whether `value` is an object into which one can look; a revoked proxy is none, and no list either. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && kindOf(value) !== 'Proxy';
}

export const isList = ((value) => isObject(value) && Array.isArray(value)) as typeof Array.isArray;

/** The beginning of a list or an object, as much of it as a message can show. A view's toJSON would list its bytes. */
function beginningOf(value: object): object {
  const short = (one: unknown) => (ArrayBuffer.isView(one) ? kindOf(one) : one);
  if (Array.isArray(value)) return value.slice(0, longestQuote).map(short);
  const entries: [string, unknown][] = [];
  for (const key in value) {
    if (entries.length === longestQuote) break;
    if (Object.hasOwn(value, key)) entries.push([key, short(value[key as keyof object])]);
  }
  return Object.fromEntries(entries);
}

/**
 * For JSON.stringify: what it has no text for, and only the beginning of what is long. It looks into as many values as a
 * message can show: in lists within lists there may be more than anyone has time for. It throws where a value holds itself.
 */
function beginnings(): (this: unknown, key: string, value: unknown) => unknown {
  let left = longestQuote;
  /** What each beginning is of, and what holds that. */
  const origins = new Map<unknown, readonly object[]>();
  return function (_, value) {
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'string') return value.slice(0, longestQuote);
    if (typeof value !== 'object' || value === null) return value;
    const holders = origins.get(this) ?? [];
    if (holders.includes(value)) throw new TypeError('it holds itself');
    if (left-- <= 0) return null;
    const beginning = beginningOf(value);
    origins.set(beginning, [...holders, value]);
    return beginning;
  };
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, longestQuote));
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return Function.prototype.toString.call(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return kindOf(value);
  try {
    const json = JSON.stringify(value, beginnings());
    if (json !== undefined) return json;
  } catch {
    // Cyclic, or its toJSON throws: its kind says enough.
  }
  return `[object ${kindOf(value)}]`;
}

/** A text as messages show it: cut where it is long, for example a name that a file gives a tensor. */
export function cut(text: string): string {
  return text.length > longestQuote ? `${text.slice(0, longestQuote - 3)}...` : text;
}

/** Choices as messages show them: separated by commas, the first ones of many. */
export function listed(choices: readonly string[]): string {
  const shown = choices.slice(0, longestList).map(cut);
  return [...shown, ...(choices.length > longestList ? ['...'] : [])].join(', ');
}

/** The value as messages show it: JSON, cut where it is long. */
export function quote(value: unknown): string {
  return cut(textOf(value));
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

/** Numbers go to native code in 32 bits, where larger ones times a logit are infinite. */
export const mostNumber = 1e30;

/** Checks that `value` is a number of at least `least` that is not too large to compute with. */
export function number(name: string, value: unknown, least: number): number {
  const expected = `a number of at least ${least}`;
  if (typeof value !== 'number') throw wrongType(name, expected, value);
  if (!Number.isFinite(value) || value < least) throw wrongValue(name, expected, value);
  if (value > mostNumber) throw wrongValue(name, `a number of at most ${mostNumber}`, value);
  return value;
}

/** Checks that `value` is a number in [least, most]. */
export function within(name: string, value: unknown, least: number, most: number): number {
  const expected = `a number in ${least} .. ${most}`;
  if (typeof value !== 'number') throw wrongType(name, expected, value);
  if (!(value >= least && value <= most)) throw wrongValue(name, expected, value);
  return value;
}

/**
 * The elements of a list as they are now, its holes undefined, where there are at most `most`. They are read by their
 * numbers, for an iterator or a method that a subclass brings along may say something else.
 */
export function elements<T>(name: string, value: readonly T[], most: number): T[] {
  const length = integer(`${name}.length`, value.length, 0, most);
  return Array.from({ length }, (_, i) => value[i]!);
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

/**
 * The options of these names as they are now, so that each is read once. @throws TypeError when `value` is no object, has
 * an option of another name (a misspelled one is not ignored), or has null for one that is not among the `required`:
 * null stands for no default. The caller checks the `required` ones.
 */
export function readOptions<T extends object>(
  value: unknown,
  known: readonly (keyof T & string)[],
  required: readonly string[] = [],
): T {
  if (!isObject(value) || kindOf(value) !== 'Object') {
    throw wrongType('options', 'an object', value);
  }
  const unknown = Object.keys(value).find((key) => !known.some((name) => name === key));
  if (unknown !== undefined) {
    throw new TypeError(
      `Expected options among ${known.join(', ')} but received ${quote(unknown)}`,
    );
  }
  const options = Object.fromEntries(known.map((name) => [name, (value as T)[name]])) as T;
  const none = known.find((name) => options[name] === null && !required.includes(name));
  if (none !== undefined) throw wrongType(none, 'a value, or undefined for the default,', null);
  return options;
}

/** What JavaScript and Node say where there is no memory for an array, or none can be so long. */
const noMemory = /^(Array buffer allocation failed|Invalid typed array length: \d+)$/;
const noMemoryCodes = ['ERR_MEMORY_ALLOCATION_FAILED', 'Z_MEM_ERROR'];

/** ERR_OUT_OF_MEMORY where `error` says that there was no memory for an array, which JavaScript calls a RangeError. */
export function outOfMemory(error: unknown): MagnetsError | undefined {
  if (error instanceof MagnetsError) return error.code === 'ERR_OUT_OF_MEMORY' ? error : undefined;
  const { message, code }: { message?: unknown; code?: unknown } = isObject(error) ? error : {};
  const said = typeof message === 'string' && noMemory.test(message);
  if (!said && !noMemoryCodes.some((one) => one === code)) return undefined;
  return new MagnetsError('ERR_OUT_OF_MEMORY', `no memory: ${message}`, { cause: error });
}

/** What `run` returns or resolves to. @throws what it throws, but {@link outOfMemory} where there is no memory. */
export function coded<T>(run: () => T): T {
  const refuse = (error: unknown): never => {
    throw outOfMemory(error) ?? error;
  };
  try {
    const result = run();
    return result instanceof Promise ? (result.catch(refuse) as T) : result;
  } catch (error) {
    return refuse(error);
  }
}

/** Checks that `value` is an AbortSignal, of any realm, where there is one. */
export function checkSignal(value: unknown): void {
  if (value === undefined) return;
  const { aborted, throwIfAborted }: Partial<AbortSignal> = isObject(value) ? value : {};
  if (typeof aborted !== 'boolean' || typeof throwIfAborted !== 'function') {
    throw wrongType('signal', 'an AbortSignal', value);
  }
}

/** Checks that `value` is a function, where there is one. */
export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function')
    throw wrongType(name, 'a function', value);
}
