/** Loading: a checkpoint's files, checked, placed on a device. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, readCheckpoint } from '../checkpoint/checkpoint.js';
import { absolute } from '../checkpoint/disk-file.js';
import {
  checkCallback,
  checkSignal,
  outOfMemory,
  readOptions,
  wrongType,
  wrongValue,
} from '../errors.js';
import { tokenCount } from '../plan/shape.js';
import { elementCount } from '../tensor.js';
import { type BatchingOptions, readBatching } from './batching.js';
import {
  type Device,
  type DeviceOptions,
  deviceOptionNames,
  openDevices,
  samplesThatFill,
} from './device.js';
import { freeingWhenIdle, tokenizerFreeingWhenIdle } from './idle.js';
import { engineTensors, nativeGeneratorConfig, nativeTokenizerConfig } from './listing.js';
import { loads } from './loads.js';
import { checkWeights, memoryLimits } from './memory.js';
import { Model } from './model.js';
import type { NativeGenerator, NativeTokenizer } from './native.js';
import { packageRoot } from './package.js';
import { spreadGenerator, spreadTokenizer } from './spread.js';
import { Tokenizer } from './tokenizer.js';

/** How far a load is: files are being checked, weights are being read to the device, all is ready. */
export interface LoadProgress {
  readonly status: 'reading' | 'placing' | 'ready';
}

export interface LoadOptions extends Omit<DeviceOptions, 'device'> {
  /**
   * `'cpu'`, `'cuda'` (which is `'cuda:0'`) or `'cuda:N'`. `'auto'` (default) is the first CUDA device, or the CPU where
   * there is none (`info()` says why) or where `weights` is `'f32'` or `'int8'` or `compute` is `'f32'`. A list of 1 .. 64
   * devices of one kind, such as `['cuda:0', 'cuda:1']`: each holds the weights, and batches go to the one that has the
   * least to do.
   */
  readonly device?: Device | readonly Device[];
  /**
   * How requests share batches. Default true: with the defaults of every option. False: every generation has batches of
   * its own, which begin at once however many there are.
   */
  readonly batching?: BatchingOptions | boolean;
  /** Stops the load; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

const optionNames = [
  ...deviceOptionNames,
  'batching',
  'signal',
  'onProgress',
] as const satisfies readonly (keyof LoadOptions)[];

/** Of a weight, at least: what a format keeps beside its values is left out. */
const bytesOfValue = { f32: 4, bf16: 2, f16: 2, int8: 1 } as const;

/** How many numbers there are in the files. */
function valuesOf({ tensors, tokenizer }: Checkpoint): number {
  return [...Object.values(tensors), ...Object.values(tokenizer?.tensors ?? {})].reduce(
    (sum, { shape }) => sum + elementCount(shape),
    0,
  );
}

/** The whole path of a bundled model's name, or of the folder that was given. */
export function modelFolder(nameOrFolder: string): string {
  if (typeof nameOrFolder !== 'string')
    throw wrongType('model', 'a name or a folder', nameOrFolder);
  if (nameOrFolder === '') throw wrongValue('model', 'a name or a folder', nameOrFolder);
  const bundled = join(packageRoot, 'models', nameOrFolder);
  const isName = /^[\w-]+$/.test(nameOrFolder) && exists(join(bundled, 'config.json'));
  return isName ? bundled : absolute(nameOrFolder);
}

/** Also where this process may not look: whoever reads the file then says so. */
function exists(path: string): boolean {
  try {
    return existsSync(path);
  } catch {
    return true;
  }
}

/**
 * Loads a bundled model (`'fashion'`) or a checkpoint folder (docs/checkpoints.md). Arguments are checked and the device
 * is opened before any file is read. As many loads run at once as there are threads, or four; others wait for their turn.
 * @throws TypeError, RangeError for wrong options; MagnetsError ERR_CHECKPOINT when the folder is not a sound checkpoint,
 * ERR_UNSUPPORTED when there is no such device; the signal's reason when it aborts.
 */
export async function load(nameOrFolder: string, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress, ...own } = readOptions<LoadOptions>(options, optionNames);
  const { batching, ...deviceOptions } = own;
  checkSignal(signal);
  checkCallback('onProgress', onProgress);
  const sharing = readBatching(batching);
  const folder = modelFolder(nameOrFolder);
  const opened = openDevices(deviceOptions);
  const { devices, weights } = opened;
  const generators: NativeGenerator[] = [];
  const tokenizers: NativeTokenizer[] = [];
  const stop = () => {
    for (const device of devices) device.stop();
  };
  signal?.addEventListener?.('abort', stop, { once: true });
  try {
    return await loads.run(async () => {
      signal?.throwIfAborted();
      onProgress?.({ status: 'reading' });
      const checkpoint = await readCheckpoint(folder, engineTensors, signal);
      const values = devices.length * valuesOf(checkpoint);
      checkWeights(values, bytesOfValue[weights], memoryLimits(devices));
      onProgress?.({ status: 'placing' });
      const config = nativeGeneratorConfig(checkpoint.config);
      for (const device of devices) {
        const generator = await device.loadGenerator(config, checkpoint.tensors, weights);
        generators.push(freeingWhenIdle(generator));
        signal?.throwIfAborted();
        if (checkpoint.tokenizer === undefined) continue;
        const { config: own, tensors } = checkpoint.tokenizer;
        const loading = device.loadTokenizer(nativeTokenizerConfig(own), tensors, weights);
        tokenizers.push(tokenizerFreeingWhenIdle(await loading));
        signal?.throwIfAborted();
      }
      const fill = samplesThatFill(devices[0], tokenCount(checkpoint.config));
      const tokenizer =
        checkpoint.tokenizer &&
        new Tokenizer(
          checkpoint.tokenizer.config,
          spreadTokenizer(tokenizers),
          fill,
          devices.length,
        );
      onProgress?.({ status: 'ready' });
      const generator = spreadGenerator(generators);
      return new Model(opened, checkpoint.config, generator, tokenizer, sharing);
    }, signal);
  } catch (error) {
    for (const loaded of [...generators, ...tokenizers, ...devices]) loaded.dispose();
    signal?.throwIfAborted(); // instead of what stopping the devices made of it
    throw outOfMemory(error) ?? error;
  } finally {
    signal?.removeEventListener?.('abort', stop);
  }
}
