/** How many positions stay masked after each step. */

import { integer, oneOf, within } from '../errors.js';

/** More steps than anyone needs; a bound for memory. */
export const mostSteps = 1000;

/** A share at progress r, which is checked. */
const share = (of: (r: number) => number) => (r: number) => of(within('progress', r, 0, 1));

/** Share of positions that is masked at progress r in [0, 1] (MaskGIT, mask_schedule; arccos: Halton-MaskGIT). */
export const maskingSchedules = {
  cosine: share((r) => Math.cos((Math.PI / 2) * r)),
  linear: share((r) => 1 - r),
  square: share((r) => 1 - r ** 2),
  cubic: share((r) => 1 - r ** 3),
  arccos: share((r) => Math.acos(r) / (Math.PI / 2)),
} as const;

export type MaskingSchedule = keyof typeof maskingSchedules;

export const maskingScheduleNames = Object.keys(maskingSchedules) as MaskingSchedule[];

/** MaskGIT rounds the masked positions down, Halton-MaskGIT the known ones, and so the masked ones up. */
export type MaskRounding = 'down' | 'up';

/**
 * Positions still masked after each of `steps` steps, the last 0, where `masked` are at the start (MaskGIT,
 * parallel_decode; rounded up: Halton-MaskGIT, halton_sampler). At least one is revealed and one kept in every step but
 * the last, as far as there are that many.
 */
export function maskCounts(
  masked: number,
  steps: number,
  schedule: MaskingSchedule,
  rounding: MaskRounding = 'down',
): number[] {
  integer('masked', masked, 0);
  integer('steps', steps, 0, mostSteps);
  oneOf('schedule', schedule, maskingScheduleNames);
  oneOf('rounding', rounding, ['down', 'up']);
  let left = masked;
  return Array.from({ length: steps }, (_, step) => {
    const ratio = Math.min(1, Math.max(1e-6, maskingSchedules[schedule]((step + 1) / steps)));
    // Not ceil(masked · ratio): the rounding of 1 - ratio is the peer's too.
    const rounded =
      rounding === 'down' ? Math.floor(masked * ratio) : masked - Math.floor(masked * (1 - ratio));
    const wanted = Math.max(1, Math.min(left - 1, rounded));
    left = step === steps - 1 ? 0 : Math.min(left, wanted);
    return left;
  });
}
