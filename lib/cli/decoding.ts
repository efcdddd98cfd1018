/** What generate and predict share: their options, the run with its progress, the files and the report. */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { animation, contactSheet, stepStrip } from '../media/image.js';
import type { MaskingSchedule } from '../plan/masking.js';
import type { Generation } from '../runtime/generation.js';
import { load } from '../runtime/load.js';
import type { Model } from '../runtime/model.js';
import type { Pixels } from '../runtime/tokenizer.js';
import { Tensor } from '../tensor.js';
import { formatFlops, type parse, printJson, progress, toNumber, UsageError } from './arguments.js';

export const decodingOptions = {
  model: { type: 'string', default: 'fashion' },
  count: { type: 'string' },
  steps: { type: 'string' },
  schedule: { type: 'string' },
  budget: { type: 'string' },
  masking: { type: 'string' },
  'no-cache': { type: 'boolean' },
  temperature: { type: 'string' },
  'choice-temperature': { type: 'string' },
  'top-k': { type: 'string' },
  seed: { type: 'string' },
  device: { type: 'string', default: 'auto' },
  threads: { type: 'string' },
  weights: { type: 'string', default: 'auto' },
  compute: { type: 'string', default: 'auto' },
  out: { type: 'string' },
  columns: { type: 'string' },
  scale: { type: 'string' },
  fps: { type: 'string' },
  strip: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

export const decodingHelp = `\
  --steps N, --schedule S, --budget SHARE, --masking NAME, --no-cache    as for plan
  --temperature T, --choice-temperature T, --top-k K                     (the model's defaults)
  --seed N          (0)
  --device NAME, --threads N, --weights NAME, --compute NAME             as for bench
  --out FILE        pictures side by side: .png; videos side by side: .apng or .gif, or all their frames: .png
  --columns N       samples in a row (as square as the count allows); in a .png of videos frames (a video's)
  --scale N         each pixel becomes N x N (3)
  --fps N           frames a second of .apng and .gif (8)
  --strip FILE      the first sample after every step, .png
  --json            print JSON`;

type Values = ReturnType<typeof parse<typeof decodingOptions>>['values'];

/** The options of generate and predict that these arguments say. */
export function decodingArguments(values: Values) {
  return {
    count: toNumber('count', values.count),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    budget: toNumber('budget', values.budget),
    maskingSchedule: values.masking as MaskingSchedule | undefined,
    cache: values['no-cache'] ? false : undefined,
    temperature: toNumber('temperature', values.temperature),
    choiceTemperature: toNumber('choice-temperature', values['choice-temperature']),
    topK: toNumber('top-k', values['top-k']),
    seed: toNumber('seed', values.seed),
  };
}

/** Makes the bytes of --out, by the ending of its name. */
function encoderOf(values: Values, video: boolean): (pixels: Pixels) => Uint8Array {
  const options = {
    columns: toNumber('columns', values.columns),
    scale: toNumber('scale', values.scale),
    fps: toNumber('fps', values.fps),
  };
  const ending = extname(values.out ?? '').toLowerCase();
  if (ending === '.png') return (pixels) => contactSheet(pixels, options);
  if (video && (ending === '.apng' || ending === '.gif')) {
    const format = ending === '.gif' ? 'gif' : 'apng';
    return (pixels) => animation(pixels, format, options);
  }
  const endings = video ? '.apng, .gif or .png, for this model makes videos,' : '.png';
  throw new UsageError(
    `Expected a file that ends in ${endings} for --out but received ${JSON.stringify(values.out)}`,
  );
}

/** Decodes tokens of which some are still masked; those become token 0, to be drawn over. */
async function decodePartly(model: Model, steps: Int32Array[]) {
  const tokens = Int32Array.from(steps.flatMap((step) => [...step]));
  const pixels = await model.detokenize(
    new Tensor(
      'int32',
      tokens.map((id) => Math.max(0, id)),
      [steps.length, model.tokenCount],
    ),
  );
  return { pixels, masked: Uint8Array.from(tokens, (id) => (id < 0 ? 1 : 0)) };
}

async function write(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

/** Runs what `begin` returns and writes what `pick` takes of the pixels. */
export async function decodeToFiles(
  values: Values,
  begin: (model: Model) => Generation | Promise<Generation>,
  pick = (pixels: Pixels, _model: Model): Pixels => pixels,
): Promise<void> {
  const { out, strip } = values;
  if (out === undefined) throw new UsageError('Expected --out FILE');
  const model = await load(values.model, {
    device: values.device as 'auto',
    threads: toNumber('threads', values.threads),
    weights: values.weights as 'auto',
    compute: values.compute as 'auto',
  });
  try {
    const video = (model.tokenizerConfig?.sampleShape[0] ?? 1) > 1;
    const encode = encoderOf(values, video);
    const generation = await begin(model);
    const started = performance.now();
    let flops = 0;
    const first: Int32Array[] = [];
    for await (const step of generation) {
      progress('decode', step.step + 1, step.steps);
      flops += step.flops;
      first.push(step.tokens.data.slice(0, model.tokenCount));
    }
    const seconds = (performance.now() - started) / 1000;
    await write(out, encode(pick((await generation.result()).pixels, model)));
    if (strip !== undefined) {
      const { pixels, masked } = await decodePartly(model, first);
      await write(strip, stepStrip(pixels, masked, model.config.latentShape));
    }

    const { baselineFlops } = generation;
    const { schedule, steps } = (await generation.result()).plan;
    const ratio = baselineFlops / flops;
    const count = generation.labels.length;
    if (values.json) {
      return printJson({
        model: model.config.name,
        count,
        steps,
        schedule,
        flops,
        baselineFlops,
        ratio,
        seconds,
        out,
        strip,
      });
    }
    const things = `${count} ${video ? 'video' : 'picture'}${count === 1 ? '' : 's'}`;
    console.log(`${things} in ${steps} steps (${schedule}) on ${model.backend}: ${out}`);
    console.log(
      `${formatFlops(flops)} in ${seconds.toFixed(2)} s; the full-size baseline needs ${formatFlops(baselineFlops)}, ${ratio.toFixed(2)}x as many`,
    );
  } finally {
    model.dispose();
  }
}
