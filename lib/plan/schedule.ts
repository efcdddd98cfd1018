/** Schedules: how many steps each width gets, in order; and those that a checkpoint names. */

import { Reader } from '../checkpoint/reader.js';
import { integer, wrongType, wrongValue } from '../errors.js';
import { fullWidth, type ModelShape, type Width } from './shape.js';

/**
 * `'1/8x3,1/4x3,1/2x3,1x3'`, the same as pairs `[['1/8', 3], …]` or `[[1 / 8, 3], …]`, or a name: `'paper'`, equal
 * shares of every width from narrow to full; `'full'`, the baseline itself: the full width over every row at every
 * step, nothing cached; or one that the model's `schedules` have.
 */
export type ScheduleInput = string | readonly (readonly [string | number, number])[];

export interface Phase {
  readonly width: Width;
  readonly steps: number;
}

type Schedules = Pick<ModelShape, 'schedules'>;

/** What a schedule may be, for messages. */
function forms({ schedules = {} }: Schedules): string {
  const names = ['paper', 'full', ...Object.keys(schedules)].map((name) => `'${name}'`);
  return `a schedule such as '1/8x3,1/4x3,1/2x3,1x3', ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

/** The schedule that a name of the model's stands for; any other as it is. */
function resolve(schedule: ScheduleInput, { schedules = {} }: Schedules): ScheduleInput {
  const named = typeof schedule === 'string' && Object.hasOwn(schedules, schedule);
  return named ? schedules[schedule]! : schedule;
}

function fraction(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(\d+(?:\.\d+)?))?$/.exec(text);
  return match ? Number(match[1]) / Number(match[2] ?? 1) : Number.NaN;
}

/** The width of `shape` called `name`: its name, or a number equal to it (0.125 is '1/8'). */
export function findWidth(shape: Pick<ModelShape, 'widths'>, name: string | number): Width {
  const value = typeof name === 'number' ? name : fraction(name.trim());
  const found = shape.widths.find((width) => fraction(width.name) === value);
  if (found === undefined) {
    const names = shape.widths.map((width) => width.name).join(', ');
    throw wrongValue('width', `one of ${names}`, name);
  }
  return found;
}

/** Equal shares from narrow to full; steps that do not divide go to the wider ones, where quality is decided. */
function paper(shape: Pick<ModelShape, 'widths'>, steps: number): Phase[] {
  const { widths } = shape;
  const share = Math.floor(steps / widths.length);
  const wider = steps % widths.length;
  return widths
    .map((width, i) => ({ width, steps: share + (i >= widths.length - wider ? 1 : 0) }))
    .filter((phase) => phase.steps > 0);
}

/** The schedule's phases, which have `steps` steps in all. */
export function parseSchedule(
  input: ScheduleInput,
  shape: Pick<ModelShape, 'widths' | 'schedules'>,
  steps: number,
): Phase[] {
  const schedule = resolve(input, shape);
  if (schedule === 'paper') return paper(shape, steps);
  if (schedule === 'full') return [{ width: fullWidth(shape), steps }];
  if (typeof schedule !== 'string' && !Array.isArray(schedule)) {
    throw wrongType('schedule', forms(shape), schedule);
  }
  const pairs =
    typeof schedule === 'string'
      ? schedule.split(',').map((part) => {
          const match = /^\s*([^x\s]+)\s*x\s*(\d+)\s*$/.exec(part);
          if (match === null) throw wrongValue('schedule', forms(shape), schedule);
          return [match[1]!, Number(match[2])] as const;
        })
      : (schedule as readonly (readonly [string | number, number])[]);
  const phases = pairs.map(([width, count]) => ({
    width: findWidth(shape, width),
    steps: integer('steps of a width in schedule', count, 1),
  }));
  const total = phases.reduce((sum, phase) => sum + phase.steps, 0);
  if (total !== steps) throw wrongValue('schedule', `${steps} steps in all`, total);
  return phases;
}

/** `1/8x3,1/4x3,1/2x3,1x3` */
export function formatSchedule(phases: readonly Phase[]): string {
  return phases.map((phase) => `${phase.width.name}x${phase.steps}`).join(',');
}

/** Steps of a schedule that says them itself; undefined for 'paper' and 'full'. */
export function scheduleSteps(
  input: ScheduleInput | undefined,
  shape: Schedules,
): number | undefined {
  const schedule = input === undefined ? undefined : resolve(input, shape);
  if (typeof schedule === 'string') {
    const counts = [...schedule.matchAll(/x\s*(\d+)/g)].map((match) => Number(match[1]));
    return counts.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : undefined;
  }
  return Array.isArray(schedule) ? schedule.reduce((sum, [, count]) => sum + count, 0) : undefined;
}

/** `schedules.json` of a checkpoint (docs/checkpoints.md), checked: schedules of these widths by name. */
export function parseSchedules(
  file: string,
  json: unknown,
  shape: Pick<ModelShape, 'widths'>,
): Record<string, string> {
  const reader = Reader.of(file, json);
  const schedules = reader.keys().map((name) => {
    if (!/^[a-z][\w:.-]*$/.test(name) || name === 'paper' || name === 'full') {
      reader.fail(name, "a name such as 'auto:0.33', not 'paper' or 'full',");
    }
    const entry = reader.child(name);
    const schedule = entry.match('schedule', /^\d/, "a schedule such as '1/8x3,1x9'");
    try {
      parseSchedule(schedule, shape, scheduleSteps(schedule, {}) ?? 0);
    } catch (error) {
      entry.fail('schedule', `a schedule of the model's widths (${(error as Error).message})`);
    }
    return [name, schedule];
  });
  return Object.fromEntries(schedules);
}
