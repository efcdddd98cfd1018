/** Conversion of public models: the arguments, checked, and the engine's list of tensors. */

import { convertCheckpoint, type Part } from '../checkpoint/convert/convert.js';
import { type WeightFormat, weightFormats } from '../checkpoint/convert/numbers.js';
import { absolute } from '../checkpoint/disk-file.js';
import {
  checkCallback,
  checkSignal,
  coded,
  integer,
  oneOf,
  readOptions,
  wrongType,
  wrongValue,
} from '../errors.js';
import { engineTensors } from './listing.js';
import { packageVersion } from './package.js';

export interface ConvertOptions {
  /** The folder to write, which must not exist yet. */
  readonly to: string;
  /** The tokenizer's file or folder; without one the checkpoint makes tokens but no pixels. */
  readonly tokenizer?: string;
  /** The format of the weights in the folder, rounded to the nearest. Default: `'f32'`. */
  readonly weights?: WeightFormat;
  /** Attention heads of a Halton-MaskGIT, MaskBit or TiTok that has another hidden size than the released ones. */
  readonly heads?: number;
  /** Stops the conversion; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after each of `total` steps. */
  readonly onProgress?: (progress: ConvertProgress) => void;
}

export interface ConvertProgress {
  readonly done: number;
  readonly total: number;
}

/** What was converted: the generator, then the tokenizer. */
export type ConvertedPart = Part;

const optionNames = [
  'to',
  'tokenizer',
  'weights',
  'heads',
  'signal',
  'onProgress',
] as const satisfies readonly (keyof ConvertOptions)[];

/** As Hugging Face splits. */
const mostFileBytes = 5e9;

function checkPath(name: string, value: unknown): string {
  if (typeof value !== 'string') throw wrongType(name, 'a path', value);
  if (value === '') throw wrongValue(name, 'a path', value);
  return absolute(value);
}

/**
 * Converts a public model (docs/public-weights.md), a file or a folder with one, into a checkpoint folder that `load`
 * takes. The folder appears when it is complete. A tokenizer alone becomes a tokenizer's folder.
 * @throws TypeError, RangeError for wrong options; MagnetsError ERR_CHECKPOINT when a file is damaged or none of a model
 * that is known; the signal's reason when it aborts.
 */
export async function convert(path: string, given: ConvertOptions): Promise<ConvertedPart[]> {
  const options = readOptions<ConvertOptions>(given, optionNames);
  const { signal, onProgress } = options;
  checkSignal(signal);
  checkCallback('onProgress', onProgress);
  const tokenizer =
    options.tokenizer === undefined ? undefined : checkPath('tokenizer', options.tokenizer);
  const heads = options.heads === undefined ? undefined : integer('heads', options.heads, 1, 1024);
  const from = checkPath('path', path);
  const settings = {
    to: checkPath('to', options.to),
    tokenizer,
    weights: oneOf('weights', options.weights ?? 'f32', weightFormats),
    heads,
    version: packageVersion(),
    mostFileBytes,
    signal,
    onProgress: (done: number, total: number) => onProgress?.({ done, total }),
  };
  return coded(() => convertCheckpoint(from, settings, engineTensors));
}
