/** Converts a public model into a checkpoint folder (docs/public-weights.md). */

import { randomUUID } from 'node:crypto';
import { lstat, mkdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MagnetsError, wrongValue } from '../../errors.js';
import { elementCount } from '../../tensor.js';
import { makeFolders, unwritable } from '../disk-file.js';
import type { Origin } from '../origin.js';
import type { ListedTensor, TensorListing } from '../schema.js';
import { modelCard } from './card.js';
import { digestOf } from './digest.js';
import { type Beside, closeModels, openModels, type PublicModel } from './models.js';
import type { WeightFormat } from './numbers.js';
import { readTensor } from './source.js';
import type { Peer } from './translation.js';
import { bytesOfTensors, type FormatOf, Scratch, writeModel } from './write.js';

export interface ConversionSettings extends Beside {
  readonly to: string;
  readonly weights: WeightFormat;
  readonly version: string;
  /** Weights of more bytes go into several files. */
  readonly mostFileBytes: number;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/** A generator or a tokenizer that was converted. */
export interface Part {
  readonly part: Peer['part'];
  readonly origin: Origin;
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  readonly tensors: number;
  readonly values: number;
  readonly notes: readonly string[];
  /** What of the source is left out, and why. */
  readonly dropped: readonly string[];
}

/** Tensors that do not bear bytes stay f32. */
function formatOf(weights: WeightFormat, listed: readonly ListedTensor[]): FormatOf {
  if (weights !== 'int8') return () => weights;
  const coarse = new Set(listed.filter(({ grain }) => grain === 'any').map(({ name }) => name));
  return ({ name }) => (coarse.has(name) ? 'int8' : 'f32');
}

/** A tensor is made of the first of each pair alone, so there is room for both. */
async function checkSame(
  { weights, group, translation }: PublicModel,
  scratch: Scratch,
): Promise<void> {
  for (const pair of translation.same) {
    const [first, second] = pair.map((name) => group.get(name)!);
    const [a, b] = [scratch.take(0, first!.shape), scratch.take(1, second!.shape)];
    await readTensor(first!, a);
    await readTensor(second!, b);
    if (a.some((value, i) => value !== b[i])) {
      weights.refuse(`${pair[1]}: expected the same values as ${pair[0]}`);
    }
  }
}

/** Writes config.json and the weights. */
async function write(
  model: PublicModel,
  folder: string,
  formatOf: FormatOf,
  { signal, mostFileBytes }: ConversionSettings,
  scratch: Scratch,
  onStep: () => void,
): Promise<Part> {
  const { source, peer, translation } = model;
  const { origin, config, tensors, notes } = translation;
  await mkdir(folder);
  const files: { name: string; sha256: string }[] = [];
  for (const disk of source.files) {
    const sha256 = await digestOf(disk, source.checksums ?? [], signal);
    files.push({ name: basename(disk.path), sha256 });
    onStep();
  }
  await checkSame(model, scratch);
  const from = { path: source.path, group: model.group };
  await writeModel(folder, from, tensors, formatOf, scratch, mostFileBytes, onStep);
  for (const disk of source.files) await disk.checkUnchanged();
  const json = JSON.stringify({ ...config, origin }, null, 2);
  await writeFile(join(folder, 'config.json'), `${json}\n`);
  return {
    part: peer.part,
    origin,
    files,
    tensors: tensors.length,
    values: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    notes,
    dropped: model.dropped,
  };
}

function inWords(weights: WeightFormat): string {
  return weights === 'int8' ? 'int8 where the products of the blocks are, else f32' : weights;
}

/** @throws MagnetsError ERR_CHECKPOINT where there can be nothing of this path. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(path, cause);
    return false;
  }
}

/** Refuses what the disk has no room for, where the file system tells how much it has. */
async function checkRoom(to: string, bytes: number): Promise<void> {
  const { blocks, bavail, bsize } = await statfs(dirname(to));
  const free = bavail * bsize;
  if (blocks === 0 || bytes <= free) return;
  const message = `${to}: expected room for ${bytes} bytes but the disk has ${free}`;
  throw new MagnetsError('ERR_CHECKPOINT', message);
}

/** Whether it is the system's, which says nothing but why a file could not be written: those of reading have our words. */
function isOfSystem(error: unknown): boolean {
  return typeof (error as Partial<NodeJS.ErrnoException> | undefined)?.syscall === 'string';
}

/**
 * Writes the folder `settings.to`, which appears only when it is complete.
 * @throws RangeError when it exists; MagnetsError ERR_CHECKPOINT when it cannot be written, or a file is not sound, not known or not what
 * `listing` says; the signal's reason.
 */
export async function convertCheckpoint(
  path: string,
  settings: ConversionSettings,
  listing: TensorListing,
): Promise<Part[]> {
  const { to, weights, signal } = settings;
  if (await exists(to)) throw wrongValue('to', 'a folder that does not exist yet', to);
  signal?.throwIfAborted();
  const partial = join(dirname(to), `.${randomUUID()}.partial`);
  const models = await openModels(path, settings, listing);
  try {
    const formats = models.map(({ listed }) => formatOf(weights, listed));
    const total = models.reduce(
      (sum, { source, translation }) => sum + translation.tensors.length + source.files.length,
      0,
    );
    let done = 0;
    const onStep = () => {
      signal?.throwIfAborted();
      settings.onProgress?.(++done, total);
    };
    await makeFolders(dirname(to));
    const bytes = models.reduce(
      (sum, { translation }, i) => sum + bytesOfTensors(translation.tensors, formats[i]!),
      0,
    );
    await checkRoom(to, bytes);
    const scratch = new Scratch(models.flatMap(({ translation }) => translation.tensors));
    const parts: Part[] = [];
    for (const [i, model] of models.entries()) {
      const folder = i === 0 ? partial : join(partial, 'tokenizer');
      parts.push(await write(model, folder, formats[i]!, settings, scratch, onStep));
    }
    const card = modelCard(parts, inWords(weights), settings.version);
    await writeFile(join(partial, 'README.md'), card);
    await rename(partial, to);
    return parts;
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {}); // why it failed is said, not this
    signal?.throwIfAborted();
    throw isOfSystem(error) ? unwritable(to, error) : error;
  } finally {
    await closeModels(models);
  }
}
