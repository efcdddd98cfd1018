/** Numbers that overflowed are an error and not a picture. */

import { MagnetsError } from '../errors.js';
import type { BatchPlan } from '../plan/plan.js';
import type { NativeState } from './native.js';

/**
 * Refuses what a batch has drawn from logits that were not finite.
 * @throws MagnetsError ERR_NUMERIC that names the first such sample, its step and the width.
 */
export function checkFaults(
  model: string,
  { steps }: BatchPlan,
  samples: readonly number[],
  { faults }: Pick<NativeState, 'faults'>,
): void {
  const wrong = faults.findIndex((step) => step >= 0);
  if (wrong < 0) return;
  const step = steps.find((one) => one.step === faults[wrong])!;
  const message =
    `${model}: expected finite logits but some of sample ${samples[wrong]} are not, at step ${step.step} of ` +
    `${steps.length} at width ${step.width.name} and guidance ${step.guidance}: numbers overflow`;
  throw new MagnetsError('ERR_NUMERIC', message);
}
