/** The options that generate and predict share. */

import type { Confidence } from '../plan/recipe.js';
import { type parse, toNumber } from './arguments.js';
import { deviceHelp, deviceOptions } from './device-options.js';
import { planArguments, planOptions, samplingHelp } from './sampling-options.js';

export const sharedOptions = {
  model: { type: 'string', default: 'fashion' },
  count: { type: 'string' },
  'first-sample': { type: 'string' },
  'batch-size': { type: 'string' },
  ...planOptions,
  confidence: { type: 'string' },
  'top-k': { type: 'string' },
  seed: { type: 'string' },
  ...deviceOptions,
  out: { type: 'string' },
  columns: { type: 'string' },
  scale: { type: 'string' },
  fps: { type: 'string' },
  strip: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

export const sharedHelp = `\
  --first-sample N  the number of the first sample; default 0; sample N is the same whatever comes before it
  --batch-size N    samples computed at once; default: what fills the device; a sample does not depend on it
  --steps N, --schedule S, --budget SHARE, --no-cache
                    as for plan; default: the model's steps, schedule paper
${samplingHelp}
  --confidence KIND log-probability, probability or logit of the drawn token; default: the model's
  --top-k K         draw among the K most likely tokens, 0 among all; default: the model's
  --seed N          the same seed gives the same samples; default: drawn anew and printed
${deviceHelp}
  --out FILE        the samples side by side: .png for pictures; .apng, .gif or, for all frames, .png for videos. With a
                    number in its name, such as pictures/%06d.png, a file for each sample, written as they are made
  --columns N       samples in a row, or frames in a row of a .png of videos; default: about square, or one video
  --scale N         every pixel of both files becomes N x N pixels; default 3 for samples of at most 64 pixels in height, else 1
  --fps N           frames per second of .apng and .gif; default 8
  --strip FILE      write the first sample after every step too, .png
  --json            print JSON`;

export type SharedValues = ReturnType<typeof parse<typeof sharedOptions>>['values'];

/** A seed of more than 2^53 as well, exactly. */
function toSeed(text: string | undefined): number | bigint | undefined {
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : toNumber('seed', text);
}

/** The options of `generate` and `predict` that these arguments say. */
export function sharedArguments(values: SharedValues) {
  return {
    count: toNumber('count', values.count),
    firstSample: toNumber('first-sample', values['first-sample']),
    batchSize: toNumber('batch-size', values['batch-size']),
    ...planArguments(values),
    confidence: values.confidence as Confidence | undefined,
    topK: toNumber('top-k', values['top-k']),
    seed: toSeed(values.seed),
  };
}
