/** `sampling` of a `config.json` (docs/checkpoints.md), checked: a model's own recipe. */

import { mostNumber } from '../errors.js';
import { maskingScheduleNames, mostSteps } from '../plan/masking.js';
import {
  confidences,
  guidanceScheduleNames,
  leastPositive,
  orders,
  plainRecipe,
  type Range,
  type Recipe,
  type Refresh,
} from '../plan/recipe.js';
import type { Reader } from './reader.js';

/** A number, or [first, …, last]. */
function readRange(reader: Reader, key: string, least: number): Range {
  if (!Array.isArray(reader.value(key))) return reader.number(key, least);
  const valid = (point: unknown) =>
    typeof point === 'number' && point >= least && point <= mostNumber;
  const points = reader.list(key);
  return points.length >= 2 && points.length <= mostSteps && points.every(valid)
    ? (points as number[])
    : reader.fail(key, `a number of at least ${least} or [first, …, last]`);
}

function readRefresh(reader: Reader, key: string): Refresh {
  if (reader.value(key) === 'switch') return 'switch';
  if (!Array.isArray(reader.value(key))) return reader.integer(key, 1, mostSteps);
  const valid = (step: unknown) =>
    typeof step === 'number' && Number.isInteger(step) && step >= 0 && step < mostSteps;
  const steps = reader.list(key);
  return steps.every(valid)
    ? (steps as number[])
    : reader.fail(key, "'switch', a number of steps or a list of steps");
}

/** How each key of `sampling` is read, by its name in a recipe. */
const readersOfSampling: {
  readonly [name in keyof Recipe]-?: (reader: Reader, key: string) => Recipe[name];
} = {
  steps: (reader, key) => reader.integer(key, 1, mostSteps),
  guidance: (reader, key) => reader.number(key),
  guidanceSchedule: (reader, key) => reader.oneOf(key, ...guidanceScheduleNames),
  guidancePower: (reader, key) => reader.number(key, leastPositive),
  maskingSchedule: (reader, key) => reader.oneOf(key, ...maskingScheduleNames),
  refresh: readRefresh,
  order: (reader, key) => reader.oneOf(key, ...orders),
  temperature: (reader, key) => readRange(reader, key, 0),
  inverseTemperature: (reader, key) => readRange(reader, key, leastPositive),
  choiceTemperature: (reader, key) => readRange(reader, key, 0),
  confidence: (reader, key) => reader.oneOf(key, ...confidences),
  topK: (reader, key) => reader.integer(key, 0),
};

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What `sampling` says, and MaskGIT's where it says nothing; for a grid of `frames` frames. */
export function readSampling(parent: Reader, frames: number, nullClass: boolean): Recipe {
  if (!parent.has('sampling')) return plainRecipe;
  const reader = parent.child('sampling');
  const names = Object.keys(readersOfSampling) as (keyof Recipe)[];
  const keys = names.map(snakeCase);
  // A misspelt key would quietly leave the default in its place.
  const unknown = reader.keys().find((key) => !keys.includes(key));
  if (unknown !== undefined) reader.fail(unknown, `none but ${keys.join(', ')}`);
  const said = Object.fromEntries(
    names
      .filter((name) => reader.has(snakeCase(name)))
      .map((name) => [name, readersOfSampling[name](reader, snakeCase(name))]),
  ) as Partial<Recipe>;
  if (said.inverseTemperature !== undefined && said.temperature !== undefined) {
    reader.fail('inverse_temperature', 'no temperature beside it');
  }
  if (!nullClass && (said.guidance ?? 0) > 0) reader.fail('guidance', '0 without a null class');
  if (said.order !== undefined && said.order !== 'confidence' && frames !== 1) {
    reader.fail('order', `'confidence' on a grid of ${frames} frames`);
  }
  const temperature = said.inverseTemperature === undefined ? plainRecipe.temperature : undefined;
  return { ...plainRecipe, temperature, ...said };
}
