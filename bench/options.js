// The command line of a benchmark: all of it is checked before anything is measured. What is wrong is said without a
// stack, and the exit code is 2.

import { parse, UsageError } from '../dist/cli/arguments.js';
import { checkResultName } from '../dist/cli/result-file.js';

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(message);
  process.exit(2);
}

/**
 * The arguments of this process. `out` is the name of a result file.
 * @template {NonNullable<import('node:util').ParseArgsConfig['options']>} T
 * @param {T} options @param {boolean} [allowPositionals]
 */
export function readOptions(options, allowPositionals = false) {
  try {
    const { values, positionals } = parse(process.argv.slice(2), options, allowPositionals);
    const { out } = /** @type {{ out?: string }} */ (values);
    if (out !== undefined) checkResultName(out);
    return { values, positionals };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const names = Object.keys(options).map((name) => `--${name}`);
    return refuse(`${error.message}\nThe options are ${names.join(', ')}`);
  }
}

/** The positive integers of a list, such as 1,2,8. @param {string} name of the option @param {string} text */
export function integers(name, text) {
  return text.split(',').map((one) => {
    const value = Number(one);
    if (Number.isSafeInteger(value) && value > 0) return value;
    return refuse(`Expected positive integers for --${name} but received ${text}`);
  });
}

/** @param {string} name of the option @param {string} text */
export function integer(name, text) {
  const [value, ...others] = integers(name, text);
  if (value === undefined || others.length > 0) {
    refuse(`Expected a positive integer for --${name} but received ${text}`);
  }
  return value;
}

/** A number of at least 0. @param {string} name of the option @param {string} text */
export function number(name, text) {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  return refuse(`Expected a number of at least 0 for --${name} but received ${text}`);
}

/**
 * Those of `known` in a list.
 * @template {string} T
 * @param {string} name of the option @param {string} text @param {readonly T[]} known
 */
export function choices(name, text, known) {
  return text.split(',').map((one) => {
    const choice = known.find((each) => each === one);
    return choice ?? refuse(`Expected ${known.join(', ')} for --${name} but received ${one}`);
  });
}
