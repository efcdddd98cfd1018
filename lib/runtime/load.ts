/** Loading: a checkpoint's files, checked, placed on a device. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  checkCheckpointUnchanged,
  readCheckpoint,
} from '../checkpoint/checkpoint.js';
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
  type OpenDevices,
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

/** What a load has put on devices, one after the other. */
interface Placed {
  readonly generators: NativeGenerator[];
  readonly tokenizers: NativeTokenizer[];
}

async function readAndPlace(
  folder: string,
  { devices, weights }: OpenDevices,
  placed: Placed,
  signal: AbortSignal | undefined,
  onProgress: LoadOptions['onProgress'],
): Promise<Checkpoint> {
  signal?.throwIfAborted();
  onProgress?.({ status: 'reading' });
  const checkpoint = await readCheckpoint(folder, engineTensors, signal);
  const { config, tensors, tokenizer } = checkpoint;
  checkWeights(devices.length * valuesOf(checkpoint), bytesOfValue[weights], memoryLimits(devices));
  onProgress?.({ status: 'placing' });
  for (const device of devices) {
    const generator = await device.loadGenerator(nativeGeneratorConfig(config), tensors, weights);
    placed.generators.push(freeingWhenIdle(generator));
    signal?.throwIfAborted();
    if (tokenizer === undefined) continue;
    const own = nativeTokenizerConfig(tokenizer.config);
    const codec = await device.loadTokenizer(own, tokenizer.tensors, weights);
    placed.tokenizers.push(tokenizerFreeingWhenIdle(codec));
    signal?.throwIfAborted();
  }
  await checkCheckpointUnchanged(checkpoint);
  signal?.throwIfAborted();
  onProgress?.({ status: 'ready' });
  return checkpoint;
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
  const { devices } = opened;
  const placed: Placed = { generators: [], tokenizers: [] };
  const stop = () => {
    for (const device of devices) device.stop();
  };
  signal?.addEventListener?.('abort', stop, { once: true });
  try {
    const checkpoint = await loads.run(
      () => readAndPlace(folder, opened, placed, signal, onProgress),
      signal,
    );
    const { config, tokenizer: codec } = checkpoint;
    const generator = spreadGenerator(placed.generators);
    const codecs = spreadTokenizer(placed.tokenizers);
    const fill = samplesThatFill(devices[0], tokenCount(config));
    const tokenizer = codec && new Tokenizer(codec.config, codecs, fill, devices.length);
    return new Model(opened, config, generator, tokenizer, sharing);
  } catch (error) {
    for (const one of [...placed.generators, ...placed.tokenizers, ...devices]) one.dispose();
    signal?.throwIfAborted(); // instead of what stopping the devices made of it
    throw outOfMemory(error) ?? error;
  } finally {
    signal?.removeEventListener?.('abort', stop);
  }
}
