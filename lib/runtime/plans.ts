/**
 * Plans that are made once: most requests ask for what others have asked for. A plan is most of what a request costs before
 * it runs, and most of the garbage that it leaves, which is collected while the processors are busy with steps.
 */

import type { GeneratorConfig } from '../checkpoint/config.js';
import {
  type BatchPlan,
  type Planner,
  type PlanOptions,
  plannedOptionNames,
  planner,
} from '../plan/plan.js';

/** What is remembered of a model, and of an answer: the oldest gives way. */
const mostRemembered = 64;

/** Plans of more samples are as long as their lists of masked positions, and are not asked for often. */
const mostSamplesRemembered = 64;

/** `make()`, or what it made for this key before. */
function remembered<T>(known: Map<string, T>, key: string, make: () => T): T {
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = make();
  known.set(key, made);
  const [oldest] = known.keys();
  if (known.size > mostRemembered) known.delete(oldest!);
  return made;
}

/** One for plain values alone: lists and everything wrong are looked at each time. */
function keyOf(values: readonly unknown[]): string | undefined {
  const plain = values.every(
    (value) =>
      value === undefined ||
      typeof value === 'string' ||
      typeof value === 'boolean' ||
      Number.isFinite(value),
  );
  return plain ? JSON.stringify(values) : undefined;
}

/** Several generations show it to their callers: none may change what another has. */
function frozen(plan: BatchPlan): BatchPlan {
  for (const step of plan.steps) {
    Object.freeze(step.maskedAfter);
    Object.freeze(step.parts);
    Object.freeze(step);
  }
  Object.freeze(plan.steps);
  return Object.freeze(plan);
}

function remembering({ planBatch, ...rest }: Planner): Planner {
  const plans = new Map<string, BatchPlan>();
  return {
    ...rest,
    planBatch(masked) {
      const make = () => frozen(planBatch(masked));
      return masked.length > mostSamplesRemembered
        ? make()
        : remembered(plans, masked.join(), make);
    },
  };
}

const planners = new WeakMap<GeneratorConfig, Map<string, Planner>>();

/**
 * The planner of a model for those of these options that a plan takes.
 * @throws TypeError, RangeError when one is not what it should be.
 */
export function plannerFor(
  model: GeneratorConfig,
  options: Omit<PlanOptions, 'model' | 'masked'>,
): Planner {
  const values = plannedOptionNames.map((name) => options[name]);
  const make = () => {
    const named = plannedOptionNames.map((name, i) => [name, values[i]]);
    return remembering(planner({ ...Object.fromEntries(named), model }));
  };
  const key = keyOf(values);
  if (key === undefined) return make();
  if (!planners.has(model)) planners.set(model, new Map());
  return remembered(planners.get(model)!, key, make);
}
