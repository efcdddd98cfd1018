/** A run of generate or predict: with its progress, the files that are written, and the report. */

import { tokensArePatches } from '../checkpoint/config.js';
import { quote } from '../errors.js';
import { layoutOf } from '../media/sheet.js';
import type { Generation } from '../runtime/generation.js';
import { load } from '../runtime/load.js';
import type { Model } from '../runtime/model.js';
import type { GenerationResult, GenerationStep } from '../runtime/result.js';
import type { Pixels } from '../runtime/tokenizer.js';
import { Tensor } from '../tensor.js';
import { UsageError } from './arguments.js';
import { deviceArguments, devicesOf } from './device-options.js';
import { abortWhenInterrupted, Interrupted } from './interrupts.js';
import { defaultScale, encoderOf, looksOf, pictureSize, Strip } from './looks.js';
import { isNumbered, NumberedFiles } from './numbered-files.js';
import { formatFlops, formatRatio, printJson, progress, timeLeft } from './output.js';
import { OutputFile } from './output-file.js';
import type { SharedValues } from './shared-options.js';

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
type Reported = Pick<
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

const firstSampleOf = (values: SharedValues) => Number(values['first-sample'] ?? 0);

/** Runs the generation that `begin` returns, writes --out and --strip, and reports. */
export async function generateToFiles<R extends GenerationResult>(
  values: SharedValues,
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
    const { cellsOfSample, bounds, encode } = encoderOf(out, frames, { ...looks, scale });
    const generation = await begin(model, {});
    const numbered = isNumbered(out);
    // Whatever can be refused is refused here, before anything is computed.
    const cells = (numbered ? 1 : generation.labels.length) * cellsOfSample;
    const sheet = { columns: looks.columns, scale };
    layoutOf(cells, size, Math.ceil(Math.sqrt(cells)), sheet, bounds);
    const stripFile = strip === undefined ? undefined : await OutputFile.prepare('strip', strip);
    const samples = { first: firstSampleOf(values), count: generation.labels.length };
    const prepared = numbered
      ? await NumberedFiles.prepare('out', out, samples, stripFile)
      : await OutputFile.prepare('out', out);
    if (prepared instanceof OutputFile && prepared.path === stripFile?.path) {
      throw new UsageError(`Expected another file for --strip than --out, ${quote(prepared.path)}`);
    }
    const first = new Strip(stripFile);
    const outcome =
      prepared instanceof NumberedFiles
        ? await writeNumbered(prepared, model, generation, begin, first, values, (result) =>
            samplesOf(pixelsOf(result)).map(encode),
          )
        : await writeSheet(prepared, generation, first, (result) => encode(pixelsOf(result)));
    await first.write(model, scale);
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
): Promise<Reported> {
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

/**
 * What `run` makes of each batch of `size` of `total` samples, in order: it gets the number of the first and how many there
 * are. So many run at once, and while the caller has one the next are computed. At the end of the loop `stop` is aborted,
 * and what still runs has ended.
 */
async function* inBatches<R>(
  total: number,
  size: number,
  atOnce: number,
  stop: AbortController,
  run: (first: number, count: number) => Promise<R>,
): AsyncGenerator<{ readonly first: number; readonly result: R }> {
  const running: Promise<R>[] = [];
  try {
    for (let first = 0, next = 0; first < total; first += size) {
      for (; next < total && running.length < atOnce; next += size) {
        const batch = run(next, Math.min(size, total - next));
        batch.catch(() => {}); // one that fails early is looked at when its turn comes
        running.push(batch);
      }
      const result = await running[0]!;
      running.shift();
      yield { first, result };
    }
  } finally {
    stop.abort();
    await Promise.allSettled(running);
  }
}

/**
 * A file for each sample. A batch is written while the next one is computed, so memory holds but a few of them. Who presses
 * Ctrl-C, or whose disk is full, is told how to go on from there.
 */
async function writeNumbered<R extends GenerationResult>(
  files: NumberedFiles,
  model: Model,
  whole: Generation<R>,
  begin: Begin<R>,
  strip: Strip,
  values: SharedValues,
  encode: (result: R) => readonly Uint8Array[],
): Promise<Reported> {
  const { labels, seed, plans } = whole;
  const total = labels.length;
  const start = firstSampleOf(values);
  const stop = new AbortController();
  const run = async (first: number, count: number) => {
    const generation = await begin(model, { firstSample: start + first, count, seed });
    const onStep = (step: GenerationStep) => {
      stop.signal.throwIfAborted();
      if (first === 0) strip.add(step);
    };
    return generation.result({ onStep });
  };
  const ignore = abortWhenInterrupted(stop);
  const left = timeLeft();
  const started = performance.now();
  const sums = { flops: 0, baselineFlops: 0, tokenizerFlops: 0 };
  let plan: GenerationResult['plan'] = { schedule: '', steps: 0 };
  let done = 0;
  const atOnce = 1 + model.backend.split(', ').length;
  try {
    for await (const { first, result } of inBatches(total, plans[0]!.samples, atOnce, stop, run)) {
      for (const [i, bytes] of encode(result).entries())
        await files.write(start + first + i, bytes);
      plan = result.plan;
      for (const key of ['flops', 'baselineFlops', 'tokenizerFlops'] as const) {
        sums[key] += result[key];
      }
      done += result.labels.length;
      progress('generate', done, total, left(done / total));
      if (done < total) stop.signal.throwIfAborted();
    }
  } catch (cause) {
    if (done === 0) throw cause;
    const rest = `--seed ${seed} --first-sample ${start + done} --count ${total - done}`;
    const message = `${(cause as Error).message}; ${done} of ${total} are written, the others by ${rest}`;
    if (cause instanceof Interrupted) throw new Interrupted(message, cause.signal);
    throw new Error(message, { cause });
  } finally {
    ignore();
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

/** A seed as JSON has it: a number, or a string where a number is not exact. */
function seedToJson(seed: number | bigint): number | string {
  return seed <= Number.MAX_SAFE_INTEGER ? Number(seed) : String(seed);
}

function report(values: SharedValues, model: Model, result: Reported, video: boolean): void {
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
