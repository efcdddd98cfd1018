/** What the commands accept: parsing, usage errors, models by name. */

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { readConfig } from '../checkpoint/checkpoint.js';
import { quote } from '../errors.js';
import { presets } from '../plan/presets.js';
import type { ModelShape } from '../plan/shape.js';
import { modelFolder } from '../runtime/load.js';

/** The command line is wrong: the message is printed and the exit code is 2. */
export class UsageError extends Error {}

type Parsed<T extends ParseArgsConfig['options']> = ReturnType<
  typeof parseArgs<{ options: T; allowPositionals: boolean; strict: true; tokens: true }>
>;

/** @throws UsageError for an unknown option, a missing value, or a positional argument that is not allowed. */
export function parse<T extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: T,
  allowPositionals = false,
): Parsed<T> {
  try {
    return parseArgs({ args, options, allowPositionals, strict: true, tokens: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The positional arguments and the values of option `name`, in the order of the command line. */
export function valuesOf(
  tokens: readonly { kind: string; name?: string; value?: string | undefined }[],
  name: string,
): string[] {
  return tokens
    .filter((token) => token.kind === 'positional' || token.name === name)
    .map((token) => token.value!);
}

/** A finite number from the command line; undefined stays undefined. @throws UsageError for another text. */
export function toNumber(name: string, text: string): number;
export function toNumber(name: string, text: string | undefined): number | undefined;
export function toNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new UsageError(`Expected a number for --${name} but received ${quote(text)}`);
  }
  return value;
}

/** The shape of a preset, of a bundled model or of a checkpoint folder. */
export async function shapeOf(model: string): Promise<ModelShape> {
  return Object.hasOwn(presets, model)
    ? presets[model as keyof typeof presets]
    : await readConfig(modelFolder(model));
}
