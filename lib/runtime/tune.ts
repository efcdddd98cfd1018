/** Times the tiles of a model's matrix products on a CUDA device. */

import { MagnetsError } from '../errors.js';
import type { ScheduleInput } from '../plan/schedule.js';
import type { ModelShape } from '../plan/shape.js';
import { configOf, generateOnce } from './bench.js';
import { type DeviceOptions, openDevice } from './device.js';
import type { GenerationContext } from './generation.js';
import { nativeGeneratorConfig } from './listing.js';
import { type NativeCudaDevice, native } from './native.js';
import { packageVersion } from './package.js';
import { cudaVersion, fastestTiles, type TileRow } from './tiles.js';

export interface TuneOptions extends Pick<DeviceOptions, 'device' | 'compute'> {
  readonly model: ModelShape;
  /** Numbers of samples: each has products of its own. */
  readonly batches: readonly number[];
  readonly steps?: number;
  readonly schedule: ScheduleInput;
  /** Above 0 both branches are computed, which doubles the rows. */
  readonly guidance: number;
  /** Called after every generation and after the measurement. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface TuneResult {
  /** What it was measured on, as the driver names it. */
  readonly on: NativeCudaDevice;
  readonly device: { readonly name: string; readonly backend: string; readonly cuda: string };
  readonly version: string;
  readonly compute: string;
  readonly rows: readonly TileRow[];
}

/**
 * Generates once by the schedule and once by the baseline, with random weights, to see which products there are, and times
 * these in every tile that gives the same numbers.
 * @throws MagnetsError ERR_UNSUPPORTED without a CUDA device; else as `bench`.
 */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const { batches, guidance, steps, schedule, model, onProgress } = options;
  const { device, weights, compute } = openDevice({ device: 'cuda', ...options }, 'formula');
  try {
    const [kind, index] = device.backend.split(':');
    if (kind !== 'cuda') {
      const message = `Expected a CUDA device, which is all that is tuned, but received ${device.backend}`;
      throw new MagnetsError('ERR_UNSUPPORTED', message);
    }
    const config = configOf(model);
    const generator = await device.loadGenerator(
      nativeGeneratorConfig(config),
      { seed: 1 },
      weights,
    );
    const total = 2 * batches.length + 1;
    let done = 0;
    try {
      const context: GenerationContext = { config, generator, tokenizer: undefined };
      for (const batch of batches) {
        for (const own of ['baseline', schedule]) {
          await generateOnce(context, { steps, guidance }, batch, own);
          onProgress?.(++done, total);
        }
      }
    } finally {
      generator.dispose(); // its memory is needed
    }
    const rows = fastestTiles(await device.timeTiles());
    onProgress?.(++done, total);
    const on = native().info().cudaDevices[Number(index)]!;
    const { name, driver } = on;
    return {
      on,
      device: { name, backend: device.backend, cuda: cudaVersion(driver) },
      version: packageVersion(),
      compute,
      rows,
    };
  } finally {
    device.dispose();
  }
}
