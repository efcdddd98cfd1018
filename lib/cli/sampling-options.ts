/** The options of steps and of how tokens are drawn and revealed, for every command that plans steps. */

import type { MaskingSchedule } from '../plan/masking.js';
import type {
  GuidanceOptions,
  GuidanceSchedule,
  Order,
  Range,
  Refresh,
  SamplingOptions,
} from '../plan/recipe.js';
import { toNumber } from './arguments.js';

export const samplingOptions = {
  masking: { type: 'string' },
  refresh: { type: 'string' },
  order: { type: 'string' },
  temperature: { type: 'string' },
  'inverse-temperature': { type: 'string' },
  'choice-temperature': { type: 'string' },
} as const;

export const samplingHelp = `\
  --masking NAME    cosine, linear, square, cubic or arccos: how the masked positions shrink; default: the model's, or cosine
  --refresh R       steps that compute every row, besides step 0 and those of a new width: 'switch' (none), every N-th, or a
                    list such as 0,3,8; default: the model's, or switch
  --order NAME      what is revealed first: confidence, halton or halton-rolled; default: the model's, or confidence
  --temperature T, --inverse-temperature T, --choice-temperature T
                    what the logits are divided by, what they are multiplied by, and the scale of the noise on the
                    confidence: one number (that of the noise falls to 0) or FIRST,...,LAST of the steps; default: the model's`;

/** The steps as well. */
export const planOptions = {
  steps: { type: 'string' },
  schedule: { type: 'string' },
  budget: { type: 'string' },
  'no-cache': { type: 'boolean' },
  ...samplingOptions,
} as const;

export const guidanceOptions = {
  guidance: { type: 'string' },
  'guidance-schedule': { type: 'string' },
  'guidance-power': { type: 'string' },
} as const;

export const guidanceHelp = `\
  --guidance W      w of classifier-free guidance, (1 + w) conditional - w unconditional; above 0 both branches are
                    computed; default: the model's, or 0
  --guidance-schedule NAME, --guidance-power P
                    constant, linear (w t/T) or cosine (w (1 - cos(pi (t/T)^P)) / 2); default: the model's, or constant`;

type Values<T> = {
  readonly [name in keyof T]?: (T[name] extends { type: 'boolean' } ? boolean : string) | undefined;
};

/** '1,0.5' -> [1, 0.5] */
function toNumbers(name: string, text: string): number[] {
  return text.split(',').map((part) => toNumber(name, part));
}

function toRange(name: string, text: string | undefined): Range | undefined {
  if (text === undefined) return undefined;
  const points = toNumbers(name, text);
  return points.length === 1 ? points[0] : points;
}

function toRefresh(text: string | undefined): Refresh | undefined {
  if (text === undefined || text === 'switch') return text;
  return text.includes(',') ? toNumbers('refresh', text) : toNumber('refresh', text);
}

/** How tokens are drawn and revealed, as these arguments say. */
export function samplingArguments(values: Values<typeof samplingOptions>): SamplingOptions {
  return {
    maskingSchedule: values.masking as MaskingSchedule | undefined,
    refresh: toRefresh(values.refresh),
    order: values.order as Order | undefined,
    temperature: toRange('temperature', values.temperature),
    inverseTemperature: toRange('inverse-temperature', values['inverse-temperature']),
    choiceTemperature: toRange('choice-temperature', values['choice-temperature']),
  };
}

/** The options of a plan that these arguments say. */
export function planArguments(values: Values<typeof planOptions>) {
  return {
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    budget: toNumber('budget', values.budget),
    cache: values['no-cache'] ? false : undefined,
    ...samplingArguments(values),
  };
}

/** The options of guidance that these arguments say. */
export function guidanceArguments(values: Values<typeof guidanceOptions>): GuidanceOptions {
  return {
    guidance: toNumber('guidance', values.guidance),
    guidanceSchedule: values['guidance-schedule'] as GuidanceSchedule | undefined,
    guidancePower: toNumber('guidance-power', values['guidance-power']),
  };
}
