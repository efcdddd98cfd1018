/** Schedules: how many steps each width gets, in order. */

import {
  cut,
  elements,
  integer,
  isList,
  isObject,
  listed,
  wrongType,
  wrongValue,
} from '../errors.js';
import { mostSteps } from './masking.js';
import { checkShape, checkWidth, fullWidth, type ModelShape, type Width } from './shape.js';

/**
 * One of
 * - `'1/8x3,1/4x3,1/2x3,1x3'`: three steps of each of four widths, or the same as pairs, `[['1/8', 3], …]` or
 *   `[[1 / 8, 3], …]`;
 * - `'paper'`: equal shares of the steps for every width, from narrow to full;
 * - `'baseline'`: the full width over every row at every step, nothing cached;
 * - a name that the model's `schedules` have.
 */
export type ScheduleInput =
  | 'paper'
  | 'baseline'
  | (string & {})
  | readonly (readonly [width: string | number, steps: number])[];

/** Consecutive steps of one width. */
export interface Phase {
  readonly width: Width;
  readonly steps: number;
}

type Scheduled = Pick<ModelShape, 'widths' | 'schedules'>;

/** Names that fit any model and any number of steps. */
export const generalSchedules = ['paper', 'baseline'] as const;

/** What a schedule may be, for messages. */
function forms({ schedules = {} }: Scheduled): string {
  const names = [...generalSchedules, ...Object.keys(schedules)].map((name) => `'${name}'`);
  return `a schedule such as '1/8x3,1/4x3,1/2x3,1x3', ${listed(names.slice(0, -1))} or ${cut(names.at(-1)!)}`;
}

/** The number that a width's name is; NaN where it is none. */
export function fraction(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(\d+(?:\.\d+)?))?$/.exec(text);
  return match ? Number(match[1]) / Number(match[2] ?? 1) : Number.NaN;
}

/** The width of `shape` called `name`: its name, or a number equal to it (0.125 is '1/8'). */
export function findWidth(shape: Pick<ModelShape, 'widths'>, name: string | number): Width {
  checkShape(shape, 'widths');
  const expected = `one of ${listed(shape.widths.map((width) => width.name))}`;
  if (typeof name !== 'string' && typeof name !== 'number') {
    throw wrongType('width', expected, name);
  }
  const value = typeof name === 'number' ? name : fraction(name.trim());
  const found = shape.widths.find((width) => fraction(width.name) === value);
  if (found === undefined) throw wrongValue('width', expected, name);
  return found;
}

function isPair(pair: unknown): pair is readonly [string | number, number] {
  return isList(pair) && pair.length === 2;
}

/** The phases that a schedule spells out, or the name of one that fits any number of steps. */
function readSchedule(
  input: ScheduleInput,
  shape: Scheduled,
): Phase[] | (typeof generalSchedules)[number] {
  const general = generalSchedules.find((name) => name === input);
  if (general !== undefined) return general;
  if (input === 'full') {
    throw wrongValue('schedule', "'baseline', which is the name of the full-size baseline,", input);
  }
  const { schedules = {} } = shape;
  const named = typeof input === 'string' && Object.hasOwn(schedules, input);
  const schedule = named ? schedules[input]! : input;
  let pairs: unknown[]; // each has a step at least
  if (typeof schedule === 'string') {
    const parts = elements('schedule', schedule.split(',', mostSteps + 1), mostSteps);
    pairs = parts.map((part) => {
      const match = /^\s*([^x\s]+)\s*x\s*(\d+)\s*$/.exec(part);
      if (match === null) throw wrongValue('schedule', forms(shape), schedule);
      return [match[1]!, Number(match[2])];
    });
  } else {
    if (!isList(schedule)) throw wrongType('schedule', forms(shape), schedule);
    pairs = elements('schedule', schedule, mostSteps);
  }
  if (pairs.length === 0) throw wrongValue('schedule', forms(shape), schedule);
  return pairs.map((pair) => {
    if (!isPair(pair)) throw wrongType('schedule', forms(shape), schedule);
    const [width, steps] = pair;
    return {
      width: findWidth(shape, width),
      steps: integer('steps of a width in schedule', steps, 1, mostSteps),
    };
  });
}

/** Equal shares from narrow to full; steps that do not divide go to the wider ones, where quality is decided. */
function paper(shape: Scheduled, steps: number): Phase[] {
  const { widths } = shape;
  const share = Math.floor(steps / widths.length);
  const wider = steps % widths.length;
  return widths
    .map((width, i) => ({ width, steps: share + (i >= widths.length - wider ? 1 : 0) }))
    .filter((phase) => phase.steps > 0);
}

function countSteps(phases: readonly Phase[]): number {
  return phases.reduce((sum, phase) => sum + phase.steps, 0);
}

/**
 * The phases of a schedule, which have `steps` steps in all.
 * @throws TypeError, RangeError when it is no schedule of this model or has another number of steps.
 */
export function parseSchedule(input: ScheduleInput, shape: Scheduled, steps: number): Phase[] {
  checkShape(shape, 'widths', 'schedules');
  integer('steps', steps, 0, mostSteps);
  const schedule = readSchedule(input, shape);
  if (schedule === 'paper') return paper(shape, steps);
  if (schedule === 'baseline') return [{ width: fullWidth(shape), steps }];
  const total = countSteps(schedule);
  if (total !== steps) throw wrongValue('schedule', `${steps} steps in all`, total);
  return schedule;
}

/** How many steps a schedule has; undefined for `'paper'` and `'baseline'`, which fit any number. */
export function scheduleSteps(
  input: ScheduleInput | undefined,
  shape: Scheduled,
): number | undefined {
  checkShape(shape, 'widths', 'schedules');
  const schedule = input === undefined ? 'paper' : readSchedule(input, shape);
  return typeof schedule === 'string' ? undefined : countSteps(schedule);
}

/** The widths of consecutive steps as phases. */
export function phasesOf(widths: readonly Width[]): Phase[] {
  const phases: { width: Width; steps: number }[] = [];
  for (const width of widths) {
    const last = phases.at(-1);
    if (last?.width === width) ++last.steps;
    else phases.push({ width, steps: 1 });
  }
  return phases;
}

/** `1/8x3,1/4x3,1/2x3,1x3` */
export function formatSchedule(phases: readonly Phase[]): string {
  const expected = 'a list of phases { width, steps }';
  if (!isList(phases)) throw wrongType('phases', expected, phases);
  for (const phase of elements<unknown>('phases', phases, mostSteps)) {
    if (!isObject(phase)) throw wrongType('phases', expected, phases);
    const { width, steps } = phase as Partial<Phase>;
    checkWidth('width', width);
    if (width?.name === undefined) throw wrongType('width.name', 'a string', width?.name);
    integer('steps', steps, 1, mostSteps);
  }
  return phases.map((phase) => `${phase.width.name}x${phase.steps}`).join(',');
}
