/** FLOPs and time of a schedule beside the full-size baseline, in one run: random weights, the two interleaved. */

import type { GeneratorConfig } from '../checkpoint/config.js';
import { MagnetsError } from '../errors.js';
import type { FlopsByPart } from '../plan/flops.js';
import { plan } from '../plan/plan.js';
import type { ScheduleInput } from '../plan/schedule.js';
import type { ModelShape } from '../plan/shape.js';
import { classCount } from '../plan/vocabulary.js';
import { type DeviceOptions, openDevice } from './device.js';
import { Generation, GenerationResult } from './generation.js';
import { nativeGeneratorConfig } from './listing.js';
import type { NativeGenerator } from './native.js';
import { generateRequest } from './request.js';

export interface BenchOptions extends DeviceOptions {
  readonly model: ModelShape;
  readonly batch: number;
  /** Default: the schedule's own, else 12. */
  readonly steps?: number;
  readonly schedule: ScheduleInput;
  /** w of classifier-free guidance; above 0 both halves run. */
  readonly guidance: number;
  /** Timed runs of each. */
  readonly repeats: number;
  readonly onProgress?: (done: number, of: number) => void;
}

/** Wall time in seconds. */
export interface Timing {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: readonly number[];
}

export interface BenchResult {
  readonly model: string;
  readonly batch: number;
  readonly steps: number;
  readonly schedule: string;
  readonly guidance: number;
  readonly threads: number;
  readonly backend: string;
  readonly weights: string;
  readonly compute: string;
  /** Counted while it ran, and equal to the formula. */
  readonly flops: number;
  readonly parts: FlopsByPart;
  readonly baselineFlops: number;
  readonly baselineParts: FlopsByPart;
  readonly flopsRatio: number;
  readonly seconds: Timing;
  readonly baselineSeconds: Timing;
  /** Of the medians. */
  readonly timeRatio: number;
  /** GFLOP/s of the schedule, of the baseline, and what the device reaches at its best (see NativeDevice). */
  readonly gflops: number;
  readonly baselineGflops: number;
  readonly peakGflops: number;
  /** Peak resident memory of the process. */
  readonly rssBytes: number;
}

function timing(samples: number[]): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, samples };
}

/** A config for random weights of this shape, with the block of MaskGIT. */
function configOf(shape: ModelShape): GeneratorConfig {
  return {
    ...shape,
    normPlace: 'post',
    activation: 'gelu_tanh',
    normEps: 1e-6,
    classes: classCount(shape),
    classLabels: [],
    sampling: { steps: 12, guidance: 0, temperature: 1, choiceTemperature: 4.5, topK: 0 },
  };
}

interface Run {
  readonly schedule: string;
  readonly flops: number;
  readonly parts: FlopsByPart;
  readonly seconds: number;
}

async function run(
  config: GeneratorConfig,
  generator: NativeGenerator,
  options: BenchOptions,
  steps: number,
  schedule: ScheduleInput,
): Promise<Run> {
  const request = generateRequest(
    config,
    { labels: [0], count: options.batch, steps, schedule, guidance: options.guidance },
    options.batch,
  );
  const engine = { config, generator, tokenizer: undefined };
  const generation = new Generation(engine, request, (outcome) => new GenerationResult(outcome));
  const started = performance.now();
  const { flops, parts } = await generation.result();
  const seconds = (performance.now() - started) / 1000;
  if (flops !== generation.plannedFlops) {
    const message = `counted ${flops} FLOPs but the formula gives ${generation.plannedFlops}`;
    throw new MagnetsError('ERR_INTERNAL', message);
  }
  return { schedule: generation.plans[0]!.schedule, flops, parts, seconds };
}

/** @throws MagnetsError ERR_INTERNAL when counted FLOPs differ from the formula's. */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  const config = configOf(options.model);
  const steps = plan({
    model: options.model,
    steps: options.steps,
    schedule: options.schedule,
  }).steps.length;
  const { device, weights, compute } = openDevice(options);
  const { backend, threads } = device;
  const generator = await device.loadGenerator(nativeGeneratorConfig(config), { seed: 1 }, weights);
  try {
    const of = 1 + 2 * options.repeats;
    let done = 0;
    const next = async (schedule: ScheduleInput) => {
      const result = await run(config, generator, options, steps, schedule);
      options.onProgress?.(++done, of);
      return result;
    };
    await next(options.schedule); // warm-up: touches every width's weights and sizes the buffers
    const baseline: Run[] = [];
    const scheduled: Run[] = [];
    for (let i = 0; i < options.repeats; ++i) {
      baseline.push(await next('baseline'));
      scheduled.push(await next(options.schedule));
    }
    const peak = await device.measurePeak();
    const { flops, parts, schedule } = scheduled[0]!;
    const { flops: baselineFlops, parts: baselineParts } = baseline[0]!;
    const seconds = timing(scheduled.map((one) => one.seconds));
    const baselineSeconds = timing(baseline.map((one) => one.seconds));
    return {
      model: config.name,
      batch: options.batch,
      steps,
      schedule,
      guidance: options.guidance,
      threads,
      backend,
      weights,
      compute,
      flops,
      parts,
      baselineFlops,
      baselineParts,
      flopsRatio: baselineFlops / flops,
      seconds,
      baselineSeconds,
      timeRatio: baselineSeconds.median / seconds.median,
      gflops: flops / seconds.median / 1e9,
      baselineGflops: baselineFlops / baselineSeconds.median / 1e9,
      peakGflops: peak / 1e9,
      rssBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    generator.dispose();
    device.dispose();
  }
}
