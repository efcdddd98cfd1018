/** `schedules.json` of a checkpoint (docs/checkpoints.md), checked: schedules of the model's widths by name. */

import { MagnetsError } from '../errors.js';
import { generalSchedules, parseSchedule, scheduleSteps } from '../plan/schedule.js';
import type { ModelShape } from '../plan/shape.js';
import { Reader } from './reader.js';

/** Names that mean something else: the general schedules, and the one that a message sends to `'baseline'`. */
const reserved: readonly string[] = [...generalSchedules, 'full'];

/** A message lists them, and each is looked at. */
const mostSchedules = 256;

export function parseSchedules(
  file: string,
  json: unknown,
  shape: Pick<ModelShape, 'widths'>,
): Record<string, string> {
  const reader = Reader.of(file, json);
  const names = reader.keys();
  if (names.length > mostSchedules) {
    const message = `${file}: expected at most ${mostSchedules} schedules but received ${names.length}`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  }
  const schedules = names.map((name) => {
    if (!/^[a-z][\w:.-]*$/.test(name) || reserved.includes(name)) {
      reader.fail(name, "a name such as 'auto:0.33', not 'paper', 'baseline' or 'full',");
    }
    const entry = reader.child(name);
    const schedule = entry.match('schedule', /^\d/, "a schedule such as '1/8x3,1x9'");
    try {
      const { widths } = shape; // without other schedules: a name cannot stand for a name
      parseSchedule(schedule, { widths }, scheduleSteps(schedule, { widths }) ?? 0);
    } catch (error) {
      entry.fail('schedule', `a schedule of the model's widths (${(error as Error).message})`);
    }
    return [name, schedule];
  });
  return Object.fromEntries(schedules);
}
