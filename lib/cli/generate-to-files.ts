/** What generate and predict share: their options, the run with its progress, the files that are written, the report. */

import { extname, resolve } from 'node:path';
import { tokensArePatches } from '../checkpoint/config.js';
import { MagnetsError, quote } from '../errors.js';
import { animation, checkFps } from '../media/animation.js';
import { contactSheet } from '../media/png.js';
import { checkSheet, layoutOf } from '../media/sheet.js';
import { stepStrip } from '../media/strip.js';
import type { Confidence } from '../plan/recipe.js';
import type { Generation } from '../runtime/generation.js';
import { load } from '../runtime/load.js';
import type { Model } from '../runtime/model.js';
import type { GenerationResult, GenerationStep } from '../runtime/result.js';
import type { Pixels } from '../runtime/tokenizer.js';
import { Tensor } from '../tensor.js';
import { type parse, toNumber, UsageError } from './arguments.js';
import { deviceArguments, deviceHelp, deviceOptions, devicesOf } from './device-options.js';
import { isNumbered, NumberedFiles } from './numbered-files.js';
import { formatFlops, formatRatio, printJson, progress, timeLeft } from './output.js';
import { OutputFile } from './output-file.js';
import { samplingArguments, samplingHelp, samplingOptions } from './sampling-options.js';

export const sharedOptions = {
  model: { type: 'string', default: 'fashion' },
  count: { type: 'string' },
  'batch-size': { type: 'string' },
  steps: { type: 'string' },
  schedule: { type: 'string' },
  budget: { type: 'string' },
  'no-cache': { type: 'boolean' },
  ...samplingOptions,
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

type Values = ReturnType<typeof parse<typeof sharedOptions>>['values'];

/** A seed of more than 2^53 as well, exactly. */
function toSeed(text: string | undefined): number | bigint | undefined {
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : toNumber('seed', text);
}

/** A seed as JSON has it: a number, or a string where a number is not exact. */
function seedToJson(seed: number | bigint): number | string {
  return seed <= Number.MAX_SAFE_INTEGER ? Number(seed) : String(seed);
}

/** The options of `generate` and `predict` that these arguments say. */
export function sharedArguments(values: Values) {
  return {
    count: toNumber('count', values.count),
    batchSize: toNumber('batch-size', values['batch-size']),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    budget: toNumber('budget', values.budget),
    cache: values['no-cache'] ? false : undefined,
    ...samplingArguments(values),
    confidence: values.confidence as Confidence | undefined,
    topK: toNumber('top-k', values['top-k']),
    seed: toSeed(values.seed),
  };
}

/** Small samples are enlarged, for they are looked at. */
function defaultScale(height: number): number {
  return height <= 64 ? 3 : 1;
}

/** What the two files look like. */
interface Looks {
  readonly columns?: number;
  /** Default: by the height of the samples. */
  readonly scale?: number;
  readonly fps?: number;
}

/** The options of the files, checked as far as they can be without a model. */
function looksOf({ out, strip, ...values }: Values): Looks {
  if (strip !== undefined && extname(strip).toLowerCase() !== '.png') {
    throw new UsageError(
      `Expected a file that ends in .png for --strip but received ${quote(strip)}`,
    );
  }
  if (out !== undefined && strip !== undefined && resolve(out) === resolve(strip)) {
    throw new UsageError(
      `Expected another file for --strip than --out but received ${quote(strip)}`,
    );
  }
  const looks = {
    columns: toNumber('columns', values.columns),
    scale: toNumber('scale', values.scale),
    fps: toNumber('fps', values.fps),
  };
  checkSheet(looks);
  if (looks.fps !== undefined) checkFps(looks.fps);
  return looks;
}

/** The size of the model's pictures. @throws MagnetsError ERR_UNSUPPORTED where there are none that a file can hold. */
function pictureSize({ config, tokenizerConfig }: Model) {
  const refuse = (message: string): never => {
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  };
  if (tokenizerConfig === undefined) return refuse(`${config.name} has no tokenizer beside it`);
  const { channels, sampleShape } = tokenizerConfig;
  if (channels !== 1 && channels !== 3) {
    return refuse(`expected a model of 1 or 3 channels, for PNG, but it has ${channels}`);
  }
  const [frames, height, width] = sampleShape;
  return { frames, height, width, channels } as const;
}

/** What makes the bytes of --out, by the ending of its name, and how many cells of it lie side by side. */
function encoderOf(
  out: string,
  frames: number,
  { fps, ...sheet }: Looks,
): { cellsOfSample: number; encode(pixels: Pixels): Uint8Array } {
  const ending = extname(out).toLowerCase();
  const video = frames > 1;
  if (ending === '.png') {
    return { cellsOfSample: frames, encode: (pixels) => contactSheet(pixels, sheet) };
  }
  if (video && (ending === '.apng' || ending === '.gif')) {
    const format = ending === '.gif' ? 'gif' : 'apng';
    return { cellsOfSample: 1, encode: (pixels) => animation(pixels, format, { ...sheet, fps }) };
  }
  const endings = video ? '.apng, .gif or .png, for this model makes videos,' : '.png';
  throw new UsageError(
    `Expected a file that ends in ${endings} for --out but received ${quote(out)}`,
  );
}

/** The tokens of one sample after every step, -1 where masked, as a strip. */
async function drawStrip(model: Model, steps: Int32Array[], scale: number): Promise<Uint8Array> {
  const tokens = Int32Array.from(steps.flatMap((step) => [...step]));
  // A masked position is drawn over, so any token will do there.
  const shown = tokens.map((id) => Math.max(0, id));
  const pixels = await model.detokenize(
    new Tensor('int32', shown, [steps.length, model.tokenCount]),
  );
  const masked = Uint8Array.from(tokens, (id) => (id < 0 ? 1 : 0));
  return stepStrip(pixels, masked, model.config.latentShape, { scale });
}

/** Some of the samples of a command; none given: all. */
export interface Part {
  readonly firstSample?: number;
  readonly count?: number;
  readonly seed?: number | bigint;
}

type Begin<R extends GenerationResult> = (
  model: Model,
  part: Part,
) => Generation<R> | Promise<Generation<R>>;

/** What the report says of a run. */
type Outcome = Pick<
  GenerationResult,
  | 'labels'
  | 'seed'
  | 'plan'
  | 'flops'
  | 'baselineFlops'
  | 'flopsRatio'
  | 'tokenizerFlops'
  | 'seconds'
>;

/** Collects the first sample after every step, where a strip is asked for. */
class Strip {
  readonly #steps: Int32Array[] = [];
  readonly #file: OutputFile | undefined;

  constructor(file: OutputFile | undefined) {
    this.#file = file;
  }

  add({ batch, tokens }: GenerationStep): void {
    if (this.#file === undefined || batch > 0) return;
    this.#steps.push(tokens.data.slice(0, tokens.dims[1]));
  }

  async write(model: Model, scale: number): Promise<void> {
    await this.#file?.write(await drawStrip(model, this.#steps, scale));
  }
}

/** Runs the generation that `begin` returns, writes --out and --strip, and reports. */
export async function generateToFiles<R extends GenerationResult>(
  values: Values,
  begin: Begin<R>,
  pixelsOf: (result: R) => Pixels,
): Promise<void> {
  const { out, strip } = values;
  if (out === undefined) throw new UsageError('Expected --out FILE');
  const looks = looksOf(values);
  const model = await load(values.model, { ...deviceArguments(values), device: devicesOf(values) });
  try {
    const { frames, ...size } = pictureSize(model);
    const { tokenizerConfig } = model;
    if (strip !== undefined && tokenizerConfig && !tokensArePatches(tokenizerConfig)) {
      throw new UsageError('Expected a model whose tokens lie on a grid for --strip');
    }
    const { scale = defaultScale(size.height) } = looks;
    const { cellsOfSample, encode } = encoderOf(out, frames, { ...looks, scale });
    const generation = await begin(model, {});
    const numbered = isNumbered(out);
    // Whatever can be refused is refused here, before anything is computed.
    const cells = (numbered ? 1 : generation.labels.length) * cellsOfSample;
    layoutOf(cells, size, Math.ceil(Math.sqrt(cells)), { columns: looks.columns, scale });
    const prepared = numbered
      ? await NumberedFiles.prepare('out', out)
      : await OutputFile.prepare('out', out);
    const first = new Strip(
      strip === undefined ? undefined : await OutputFile.prepare('strip', strip),
    );
    const outcome =
      prepared instanceof NumberedFiles
        ? await writeNumbered(prepared, model, generation, begin, first, (result) =>
            samplesOf(pixelsOf(result)).map(encode),
          )
        : await writeSheet(prepared, generation, first, (result) => encode(pixelsOf(result)));
    if (strip !== undefined) await first.write(model, scale);
    report(values, model, outcome, frames > 1);
  } finally {
    model.dispose();
  }
}

/** All samples in one file. */
async function writeSheet<R extends GenerationResult>(
  file: OutputFile,
  generation: Generation<R>,
  strip: Strip,
  encode: (result: R) => Uint8Array,
): Promise<Outcome> {
  const left = timeLeft();
  let flops = 0;
  let done = 0;
  const total = generation.plans.reduce((sum, { steps }) => sum + steps.length, 0);
  const result = await generation.result({
    onStep: (step) => {
      flops += step.flops;
      progress('generate', ++done, total, left(flops / generation.plannedFlops));
      strip.add(step);
    },
  });
  await file.write(encode(result));
  return result;
}

/** A file for each sample. A batch is written while the next one is computed, so memory holds but a few of them. */
async function writeNumbered<R extends GenerationResult>(
  files: NumberedFiles,
  model: Model,
  whole: Generation<R>,
  begin: Begin<R>,
  strip: Strip,
  encode: (result: R) => readonly Uint8Array[],
): Promise<Outcome> {
  const { labels, seed, plans } = whole;
  const total = labels.length;
  const size = plans[0]!.samples;
  const controller = new AbortController();
  const run = async (firstSample: number) => {
    const count = Math.min(size, total - firstSample);
    const generation = await begin(model, { firstSample, count, seed });
    const onStep = (step: GenerationStep) => {
      controller.signal.throwIfAborted();
      if (firstSample === 0) strip.add(step);
    };
    return { firstSample, result: await generation.result({ onStep }) };
  };
  const left = timeLeft();
  const started = performance.now();
  const sums = { flops: 0, baselineFlops: 0, tokenizerFlops: 0 };
  let plan: GenerationResult['plan'] = { schedule: '', steps: 0 };
  let done = 0;
  const running: ReturnType<typeof run>[] = [];
  const atOnce = 1 + model.backend.split(', ').length;
  try {
    for (let next = 0; done < total; ) {
      for (; next < total && running.length < atOnce; next += size) {
        const batch = run(next);
        batch.catch(() => {}); // one that fails early is looked at when its turn comes
        running.push(batch);
      }
      const { firstSample, result } = await running[0]!;
      running.shift();
      for (const [i, bytes] of encode(result).entries()) await files.write(firstSample + i, bytes);
      plan = result.plan;
      for (const key of ['flops', 'baselineFlops', 'tokenizerFlops'] as const) {
        sums[key] += result[key];
      }
      done += result.labels.length;
      progress('generate', done, total, left(done / total));
    }
  } finally {
    controller.abort();
    await Promise.allSettled(running);
  }
  const seconds = (performance.now() - started) / 1000;
  return { labels, seed, plan, ...sums, flopsRatio: sums.baselineFlops / sums.flops, seconds };
}

/** [count, ...] -> count times [1, ...] */
function samplesOf({ dims, data }: Pixels): Pixels[] {
  const [count, ...shape] = dims as [number, ...number[]];
  const size = data.length / count;
  return Array.from(
    { length: count },
    (_, i) => new Tensor('float32', data.subarray(i * size, (i + 1) * size), [1, ...shape]),
  );
}

function report(values: Values, model: Model, result: Outcome, video: boolean): void {
  const { out, strip } = values;
  const { schedule, steps } = result.plan;
  const { flops, baselineFlops, flopsRatio, tokenizerFlops, seconds } = result;
  const { backend } = model;
  const count = result.labels.length;
  const seed = seedToJson(result.seed);
  if (values.json) {
    const request = { model: model.config.name, backend, count, seed, steps, schedule };
    const cost = { flops, baselineFlops, flopsRatio, tokenizerFlops, seconds };
    printJson({ ...request, ...cost, out, strip });
    return;
  }
  const samples = `${count} ${video ? 'video' : 'picture'}${count === 1 ? '' : 's'}`;
  console.log(`${samples} in ${steps} steps (${schedule}), seed ${seed}, on ${backend}: ${out}`);
  console.log(
    `${formatFlops(flops)} in ${seconds.toFixed(2)} s; the full-size baseline needs ` +
      `${formatFlops(baselineFlops)}, ${formatRatio(flopsRatio)} as many`,
  );
}
