/** FLOPs and time of schedules, compared with the full-size baseline: random weights, all taking turns. */

import { defaultArchitecture, type GeneratorConfig } from '../checkpoint/config.js';
import { MagnetsError, wrongValue } from '../errors.js';
import type { FlopsByPart } from '../plan/flops.js';
import { plainRecipe, type SamplingOptions } from '../plan/recipe.js';
import type { ScheduleInput } from '../plan/schedule.js';
import type { ModelShape } from '../plan/shape.js';
import { classCount } from '../plan/vocabulary.js';
import { type DeviceOptions, openDevice } from './device.js';
import { Generation, type GenerationContext } from './generation.js';
import type { Label } from './ids.js';
import { nativeGeneratorConfig } from './listing.js';
import { type DeviceFacts, deviceFacts } from './machine.js';
import { emptyProfile, kindsOfWork, type Profile, profiledGenerator } from './profile.js';
import { generateRequest } from './request.js';
import { GenerationResult } from './result.js';
import { type Timing, timing } from './timing.js';

export interface BenchOptions extends DeviceOptions {
  readonly model: ModelShape;
  /** Numbers of samples; each is measured by itself. */
  readonly batches: readonly number[];
  /** Steps. Default: as many as the schedule spells out, else 12. */
  readonly steps?: number;
  /** Each is measured beside the same baseline; their numbers of steps must agree. */
  readonly schedules: readonly ScheduleInput[];
  /** w of classifier-free guidance; above 0 both branches are computed. */
  readonly guidance: number;
  /** How tokens are drawn and revealed; `refresh` is the schedule's alone, for the baseline has no cache. */
  readonly sampling?: SamplingOptions;
  /** Timed runs of each schedule and of the baseline. */
  readonly repeats: number;
  /** Measure where the time goes, on a CPU. */
  readonly profile?: boolean;
  /** Called after every run, also of those that are not timed. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A row of the result file (bench/README.md). */
export interface BenchRow extends Timing {
  /** `'baseline'`, or the schedule as it was given. */
  readonly name: string;
  readonly model: string;
  readonly batch: number;
  readonly steps: number;
  /** The steps of each width, such as `'1/8x3,1x9'`. */
  readonly schedule: string;
  readonly guidance: number;
  readonly weights: string;
  readonly compute: string;
  /** FLOPs of one run, summed over what was launched and equal to the formula. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  /** The baseline's FLOPs divided by these. */
  readonly flopsRatio: number;
  /** The baseline's median time divided by this one. */
  readonly timeRatio: number;
  /** Where it was asked for: mean seconds of a run by kind of work. Their sum is the mean of `samples`. */
  readonly profile?: Profile;
}

export interface BenchResult {
  /** With the rate in FLOP/s that the device reaches at its best (NativeDevice.measurePeak). */
  readonly device: DeviceFacts & { readonly peakFlopsPerSecond: number };
  /** The most memory that the process had, in bytes. */
  readonly peakMemoryBytes: number;
  /** Of each batch the baseline, then the schedules. */
  readonly rows: readonly BenchRow[];
}

/** A config for random weights of this shape: a checkpoint's own, or with the block of MaskGIT. */
export function configOf(shape: ModelShape | GeneratorConfig): GeneratorConfig {
  return {
    ...defaultArchitecture,
    normPlace: 'post',
    activation: 'gelu_tanh',
    normEps: 1e-6,
    classes: classCount(shape),
    classLabels: [],
    ...shape,
    subTokens: shape.subTokens ?? 1,
    tied: shape.tied ?? true,
    sampling: shape.sampling ?? plainRecipe,
  };
}

/** One that every model has. */
const anyLabel = ({ nullClass }: GeneratorConfig): Label => (nullClass ? null : 0);

interface Run {
  readonly result: GenerationResult;
  readonly seconds: number;
  /** Only where it was asked for. */
  readonly profile: Profile | undefined;
}

/** The mean of each kind over the runs; undefined where they have no profiles. */
function meanProfile(runs: readonly Run[]): Profile | undefined {
  const mean = emptyProfile();
  for (const { profile } of runs) {
    if (profile === undefined) return undefined;
    for (const kind of kindsOfWork) mean[kind] += profile[kind] / runs.length;
  }
  return mean;
}

/**
 * One generation of `batch` samples from a seed, timed.
 * @throws MagnetsError ERR_INTERNAL when the FLOPs launched differ from the formula's.
 */
export async function generateOnce(
  context: GenerationContext,
  options: Pick<BenchOptions, 'steps' | 'guidance' | 'sampling' | 'profile'>,
  batch: number,
  schedule: ScheduleInput,
): Promise<Run> {
  const { steps, guidance, sampling } = options;
  const own = schedule === 'baseline' ? { ...sampling, refresh: undefined } : sampling;
  const request = generateRequest(
    context.config,
    {
      ...own,
      labels: [anyLabel(context.config)],
      count: batch,
      batchSize: batch,
      steps,
      schedule,
      guidance,
      seed: 1,
    },
    batch,
  );
  const profile = options.profile ? emptyProfile() : undefined;
  const generator =
    profile === undefined ? context.generator : profiledGenerator(context.generator, profile);
  const generation = new Generation(
    { ...context, generator },
    request,
    (outcome) => new GenerationResult(outcome),
  );
  const started = performance.now();
  const result = await generation.result();
  const seconds = (performance.now() - started) / 1000;
  if (profile !== undefined) {
    profile.javaScript = seconds - kindsOfWork.reduce((sum, kind) => sum + profile[kind], 0);
  }
  if (result.flops !== generation.plannedFlops) {
    const message = `${result.flops} FLOPs were launched but the formula gives ${generation.plannedFlops}`;
    throw new MagnetsError('ERR_INTERNAL', message);
  }
  return { result, seconds, profile };
}

/** How many steps the schedules have: of one that says its own number the baseline takes as many. */
function stepsInCommon(options: BenchOptions, config: GeneratorConfig): number | undefined {
  const { steps, guidance, sampling, schedules } = options;
  const stepsOf = (schedule: ScheduleInput) => {
    const common = { labels: [anyLabel(config)], steps, guidance };
    const request = generateRequest(config, { ...sampling, ...common, schedule }, 1);
    return request.batches[0]!.plan.steps.length;
  };
  const [count, ...others] = new Set(schedules.map(stepsOf));
  if (others.length > 0) {
    throw wrongValue('schedules', 'schedules of as many steps each', schedules);
  }
  return count;
}

/** The baseline, then the schedules, by the names of their rows. */
function namedSchedules(schedules: readonly ScheduleInput[]): Map<string, ScheduleInput> {
  const nameOf = (schedule: ScheduleInput) =>
    typeof schedule === 'string' ? schedule : JSON.stringify(schedule);
  return new Map([
    ['baseline', 'baseline'],
    ...schedules.map((schedule) => [nameOf(schedule), schedule] as const),
  ]);
}

/** The timed runs of each schedule, which take turns after a run of each that is not counted. */
async function runInTurn(
  context: GenerationContext,
  options: BenchOptions,
  batch: number,
  schedules: ReadonlyMap<string, ScheduleInput>,
  onRun: () => void,
): Promise<ReadonlyMap<string, readonly Run[]>> {
  const runs = new Map<string, Run[]>([...schedules.keys()].map((name) => [name, []]));
  for (let i = -1; i < options.repeats; ++i) {
    for (const [name, schedule] of schedules) {
      const run = await generateOnce(context, options, batch, schedule);
      if (i >= 0) runs.get(name)!.push(run);
      onRun();
    }
  }
  return runs;
}

/** What the rows of a batch share. */
type Setting = Pick<BenchRow, 'model' | 'batch' | 'guidance' | 'weights' | 'compute'>;

/** A row of each schedule, compared with the baseline among them. */
function rowsOf(runs: ReadonlyMap<string, readonly Run[]>, setting: Setting): BenchRow[] {
  const timed = [...runs].map(([name, own]) => {
    return { name, own, time: timing(own.map(({ seconds }) => seconds)) };
  });
  const baseline = timed.find(({ name }) => name === 'baseline')!;
  return timed.map(({ name, own, time }) => {
    const { plan, flops, parts, flopsRatio } = own[0]!.result;
    const { model, batch, ...rest } = setting;
    return {
      name,
      model,
      batch,
      steps: plan.steps,
      schedule: plan.schedule,
      ...rest,
      flops,
      parts,
      flopsRatio,
      timeRatio: baseline.time.median / time.median,
      ...time,
      profile: meanProfile(own),
    };
  });
}

/**
 * Measures schedules and the baseline in turn, after a run of each that is not counted: it touches the weights of every
 * width, sizes the buffers and, on a CUDA device, records the graphs.
 * @throws TypeError, RangeError for wrong options; MagnetsError ERR_OUT_OF_MEMORY for a model or a batch that does not fit,
 * ERR_UNSUPPORTED without such a device or for the profile of a GPU, ERR_INTERNAL when the FLOPs launched differ from the
 * formula's.
 */
export async function bench(given: BenchOptions): Promise<BenchResult> {
  const config = configOf(given.model);
  const options = { ...given, steps: stepsInCommon(given, config) };
  const { batches, guidance, repeats, onProgress } = options;
  const schedules = namedSchedules(options.schedules);
  const { device, weights, compute } = openDevice(options);
  try {
    const facts = deviceFacts(device);
    const native = nativeGeneratorConfig(config);
    const generator = await device.loadGenerator(native, { seed: 1 }, weights);
    try {
      const context: GenerationContext = { config, generator, tokenizer: undefined };
      const total = batches.length * schedules.size * (1 + repeats);
      let done = 0;
      const onRun = () => onProgress?.(++done, total);
      const rows: BenchRow[] = [];
      for (const batch of batches) {
        const runs = await runInTurn(context, options, batch, schedules, onRun);
        rows.push(...rowsOf(runs, { model: config.name, batch, guidance, weights, compute }));
      }
      const peakFlopsPerSecond = await device.measurePeak();
      const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
      return { device: { ...facts, peakFlopsPerSecond }, peakMemoryBytes, rows };
    } finally {
      generator.dispose();
    }
  } finally {
    device.dispose();
  }
}
