/** Converts a public model into a checkpoint folder (docs/public-weights.md). */

import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { MagnetsError, wrongValue } from '../../errors.js';
import { parseGeneratorConfig, parseTokenizerConfig } from '../config.js';
import { checkTensors, type TensorEntry, type TensorListing } from '../schema.js';
import { modelCard } from './card.js';
import type { WeightFormat } from './numbers.js';
import { openSource } from './open.js';
import { others, peers } from './peers/index.js';
import { closeSource, elementCount, readTensor, type Source } from './source.js';
import {
  checkTranslation,
  type Hints,
  type Origin,
  type Recognized,
  recognize,
  type Translation,
  Weights,
} from './translation.js';
import { writeModel } from './write.js';

export interface ConversionSettings {
  readonly to: string;
  readonly tokenizer?: string;
  readonly weights: WeightFormat;
  readonly heads?: number;
  readonly version: string;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/** A generator or a tokenizer that was converted. */
export interface Part {
  readonly part: 'generator' | 'tokenizer';
  readonly origin: Origin;
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  readonly tensors: number;
  readonly values: number;
  readonly notes: readonly string[];
  /** What of the source is left out, and why. */
  readonly dropped: readonly string[];
}

/** A source that is open, and what its model becomes. */
interface Opened extends Recognized {
  readonly source: Source;
  translate(hints: Hints): Translation;
}

async function openModel(path: string): Promise<Opened> {
  const source = await openSource(path);
  try {
    const found = recognize(source, peers, others);
    const weights = new Weights(source.path, found.group);
    return { ...found, source, translate: (hints) => found.peer.translate(weights, hints) };
  } catch (error) {
    await closeSource(source);
    throw error;
  }
}

/** Both translations know the other: which ids are codes, and how many tokens a picture has. */
function translateBoth(model: Opened, tokenizer: Opened | undefined, heads: number | undefined) {
  const alone = tokenizer?.translate({});
  if (alone !== undefined && alone.part !== 'tokenizer') {
    throw new MagnetsError(
      'ERR_CHECKPOINT',
      `${tokenizer!.source.path}: expected a tokenizer but it is ${alone.origin.name}`,
    );
  }
  const codebookSize = alone?.config.codebook_size as number | undefined;
  const first = model.translate({ codebookSize, heads });
  if (tokenizer === undefined) return [{ ...model, translation: first }];
  if (first.part === 'tokenizer') {
    throw new MagnetsError(
      'ERR_CHECKPOINT',
      `${model.source.path}: expected a generator beside a tokenizer but it is ${first.origin.name}`,
    );
  }
  if (first.config.codebook_size !== codebookSize) {
    throw new MagnetsError(
      'ERR_CHECKPOINT',
      `${tokenizer.source.path}: expected ${first.config.codebook_size} codes, as ${first.origin.name} has, but it has ${codebookSize}`,
    );
  }
  const [, height, width] = first.config.latent_shape as [number, number, number];
  const translation = tokenizer.translate({ grid: [height, width] });
  return [
    { ...model, translation: first },
    { ...tokenizer, translation },
  ];
}

/** Checks that the source has what is needed and that the engine can run what comes out. */
function checkModel(
  source: Source,
  { group }: Recognized,
  translation: Translation,
  listing: TensorListing,
): void {
  checkTranslation(source.path, group, translation);
  const { part, config, tensors } = translation;
  const expected: readonly TensorEntry[] =
    part === 'generator'
      ? listing.generator(parseGeneratorConfig(source.path, basename(source.path), config))
      : listing.tokenizer(parseTokenizerConfig(source.path, config));
  const made = Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]));
  checkTensors(source.path, made, expected);
}

async function checkSame(
  source: Source,
  { group }: Recognized,
  { same }: Translation,
): Promise<void> {
  for (const [first, second] of same) {
    const [a, b] = [await readTensor(group.get(first)!), await readTensor(group.get(second)!)];
    if (!Buffer.from(a.buffer).equals(Buffer.from(b.buffer))) {
      const message = `${source.path}: ${second}: expected the same values as ${first}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
  }
}

/** What of a file nothing is made of. */
function droppedOf(source: Source, { path }: Recognized, translation: Translation): string[] {
  const counts = new Map<string, number>();
  for (const [other, group] of source.groups) {
    if (other === path) continue;
    const top = other.split('/')[0] ?? other;
    counts.set(top, (counts.get(top) ?? 0) + group.size);
  }
  return [
    ...translation.dropped.map(({ name, why }) => `${name}: ${why}`),
    ...translation.same.map(([first, second]) => `${second}: the same as ${first}`),
    ...[...counts].map(([name, count]) => `${name}: ${count} tensors that are not the model's`),
  ];
}

async function hash(file: string, signal: AbortSignal | undefined): Promise<string> {
  const digest = createHash('sha256');
  const stream = createReadStream(file, { highWaterMark: 2 ** 20, signal });
  for await (const bytes of stream) digest.update(bytes);
  return digest.digest('hex');
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Writes the folder `settings.to`, which appears only when it is complete.
 * @throws RangeError when it exists; MagnetsError ERR_CHECKPOINT when a file is not sound, not known or not what
 * `listing` says; the signal's reason.
 */
export async function convertCheckpoint(
  path: string,
  settings: ConversionSettings,
  listing: TensorListing,
): Promise<Part[]> {
  const { to, weights, signal } = settings;
  if (await exists(to)) throw wrongValue('to', 'a folder that does not exist yet', to);
  const opened: Opened[] = [];
  const partial = `${resolve(to)}.${randomUUID()}.partial`;
  try {
    opened.push(await openModel(path));
    if (settings.tokenizer !== undefined) opened.push(await openModel(settings.tokenizer));
    const models = translateBoth(opened[0]!, opened[1], settings.heads);
    for (const model of models) checkModel(model.source, model, model.translation, listing);

    const steps = models.flatMap(({ translation, source }) => [
      ...translation.tensors,
      ...source.files,
    ]);
    let done = 0;
    const onStep = () => {
      signal?.throwIfAborted();
      settings.onProgress?.(++done, steps.length);
    };
    await mkdir(partial, { recursive: true });
    const parts: Part[] = [];
    for (const model of models) {
      const { source, group, translation } = model;
      const { part, origin, config, tensors, notes } = translation;
      const folder = parts.length === 0 ? partial : join(partial, 'tokenizer');
      await mkdir(folder, { recursive: true });
      await checkSame(source, model, translation);
      const from = { path: source.path, group };
      await writeModel(join(folder, 'model.safetensors'), from, tensors, weights, onStep);
      await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
      const files: { name: string; sha256: string }[] = [];
      for (const file of source.files) {
        files.push({ name: basename(file.path), sha256: await hash(file.path, signal) });
        onStep();
      }
      parts.push({
        part,
        origin,
        files,
        tensors: tensors.length,
        values: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
        notes,
        dropped: droppedOf(source, model, translation),
      });
    }
    await writeFile(join(partial, 'README.md'), modelCard(parts, weights, settings.version));
    await rename(partial, to);
    return parts;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    signal?.throwIfAborted();
    throw error;
  } finally {
    for (const { source } of opened) await closeSource(source);
  }
}
