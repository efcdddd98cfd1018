/** Schedules: how many steps each width gets, in order. */

import { integer, wrongType, wrongValue } from './errors.js';
import { fullWidth, type ModelShape, type Width } from './shape.js';

/**
 * `'1/8x3,1/4x3,1/2x3,1x3'`, the same as pairs `[['1/8', 3], …]` or `[[1 / 8, 3], …]`, or a name: `'paper'`, equal
 * shares of every width from narrow to full; `'full'`, the baseline itself: the full width over every row at every
 * step, nothing cached.
 */
export type ScheduleInput = string | readonly (readonly [string | number, number])[];

export interface Phase {
  readonly width: Width;
  readonly steps: number;
}

const forms = "a schedule such as '1/8x3,1/4x3,1/2x3,1x3', 'paper' or 'full'";

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
  schedule: ScheduleInput,
  shape: Pick<ModelShape, 'widths'>,
  steps: number,
): Phase[] {
  if (schedule === 'paper') return paper(shape, steps);
  if (schedule === 'full') return [{ width: fullWidth(shape), steps }];
  if (typeof schedule !== 'string' && !Array.isArray(schedule)) {
    throw wrongType('schedule', forms, schedule);
  }
  const pairs =
    typeof schedule === 'string'
      ? schedule.split(',').map((part) => {
          const match = /^\s*([^x\s]+)\s*x\s*(\d+)\s*$/.exec(part);
          if (match === null) throw wrongValue('schedule', forms, schedule);
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

/** Steps of a schedule that says them itself; undefined for a name. */
export function scheduleSteps(schedule: ScheduleInput | undefined): number | undefined {
  if (typeof schedule === 'string') {
    const counts = [...schedule.matchAll(/x\s*(\d+)/g)].map((match) => Number(match[1]));
    return counts.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : undefined;
  }
  return Array.isArray(schedule) ? schedule.reduce((sum, [, count]) => sum + count, 0) : undefined;
}
