/** Loading: a checkpoint's files, checked, placed on a device. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from '../checkpoint/checkpoint.js';
import { checkCallback, checkSignal, readOptions, wrongType, wrongValue } from '../errors.js';
import { tokenCount } from '../plan/shape.js';
import { type DeviceOptions, deviceOptionNames, openDevice, samplesThatFill } from './device.js';
import { engineTensors, nativeGeneratorConfig, nativeTokenizerConfig } from './listing.js';
import { Model } from './model.js';
import { type NativeGenerator, packageRoot } from './native.js';
import { Tokenizer } from './tokenizer.js';

/** How far a load is: files are being read, weights are being placed on the device, all is ready. */
export interface LoadProgress {
  readonly status: 'reading' | 'placing' | 'ready';
}

export interface LoadOptions extends DeviceOptions {
  /** Stops the load; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

const optionNames = [
  ...deviceOptionNames,
  'signal',
  'onProgress',
] as const satisfies readonly (keyof LoadOptions)[];

/** The folder of a bundled model's name, or the folder that was given. */
export function modelFolder(nameOrFolder: string): string {
  if (typeof nameOrFolder !== 'string')
    throw wrongType('model', 'a name or a folder', nameOrFolder);
  if (nameOrFolder === '') throw wrongValue('model', 'a name or a folder', nameOrFolder);
  const bundled = join(packageRoot, 'models', nameOrFolder);
  const isName = /^[\w-]+$/.test(nameOrFolder) && exists(join(bundled, 'config.json'));
  return isName ? bundled : nameOrFolder;
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
 * is opened before any file is read.
 * @throws TypeError, RangeError for wrong options; MagnetsError ERR_CHECKPOINT when the folder is not a sound checkpoint,
 * ERR_UNSUPPORTED when there is no such device; the signal's reason when it aborts.
 */
export async function load(nameOrFolder: string, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress, ...deviceOptions } = readOptions<LoadOptions>(options, optionNames);
  checkSignal(signal);
  checkCallback('onProgress', onProgress);
  const folder = modelFolder(nameOrFolder);
  const opened = openDevice(deviceOptions);
  const { device, weights } = opened;
  let generator: NativeGenerator | undefined;
  let tokenizer: Tokenizer | undefined;
  try {
    signal?.throwIfAborted();
    onProgress?.({ status: 'reading' });
    const checkpoint = await readCheckpoint(folder, engineTensors, signal);
    onProgress?.({ status: 'placing' });
    const config = nativeGeneratorConfig(checkpoint.config);
    generator = await device.loadGenerator(config, checkpoint.tensors, weights);
    signal?.throwIfAborted();
    if (checkpoint.tokenizer) {
      const { config, tensors } = checkpoint.tokenizer;
      const loaded = await device.loadTokenizer(nativeTokenizerConfig(config), tensors, weights);
      tokenizer = new Tokenizer(
        config,
        loaded,
        samplesThatFill(device, tokenCount(checkpoint.config)),
      );
      signal?.throwIfAborted();
    }
    onProgress?.({ status: 'ready' });
    return new Model(opened, checkpoint.config, generator, tokenizer);
  } catch (error) {
    generator?.dispose();
    tokenizer?.dispose();
    device.dispose();
    throw error;
  }
}
