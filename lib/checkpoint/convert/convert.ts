/** Converts a public model into a checkpoint folder (docs/public-weights.md). */

import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { wrongValue } from '../../errors.js';
import { elementCount } from '../../tensor.js';
import { parseGeneratorConfig, parseTokenizerConfig } from '../config.js';
import type { DiskFile } from '../disk-file.js';
import { checkTensors, type ListedTensor, type TensorListing } from '../schema.js';
import { modelCard } from './card.js';
import type { WeightFormat } from './numbers.js';
import { openSource } from './open.js';
import { others, peers } from './peers/index.js';
import { closeSource, readTensor, type Source } from './source.js';
import {
  checkTranslation,
  type Hints,
  type Origin,
  type Peer,
  type Recognized,
  recognize,
  type Translation,
  Weights,
} from './translation.js';
import { type FormatOf, Scratch, writeModel } from './write.js';

export interface ConversionSettings {
  readonly to: string;
  readonly tokenizer?: string;
  readonly weights: WeightFormat;
  readonly heads?: number;
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

/** A source that is open, and the model in it. */
interface Opened extends Recognized {
  readonly source: Source;
  readonly weights: Weights;
}

interface Translated extends Opened {
  readonly translation: Translation;
}

async function openModel(path: string): Promise<Opened> {
  const source = await openSource(path);
  try {
    const found = recognize(source, peers, others);
    return { ...found, source, weights: new Weights(source.path, found.group) };
  } catch (error) {
    await closeSource(source);
    throw error;
  }
}

function checkPart(opened: Opened, part: Peer['part']): void {
  const found = opened.peer.part;
  if (found !== part) opened.weights.refuse(`expected a ${part} but it is a ${found}`);
}

function translate(opened: Opened, hints: Hints): Translated {
  return { ...opened, translation: opened.peer.translate(opened.weights, hints) };
}

/** Each tells the other something: which ids are codes, and how many tokens a picture has. */
function translatePair(first: Opened, second: Opened, heads: number | undefined): Translated[] {
  checkPart(first, 'generator');
  checkPart(second, 'tokenizer');
  const { codebook_size: codes } = translate(second, {}).translation.config;
  const generator = translate(first, { codebookSize: codes as number, heads });
  const { codebook_size: expected, latent_shape: shape } = generator.translation.config;
  if (codes !== expected) {
    second.weights.refuse(`expected ${expected} codes, as the generator has, but it has ${codes}`);
  }
  const [, height, width] = shape as [number, number, number];
  const tokenizer = translate(second, { grid: [height, width] });
  const [wanted, received] = [generator.translation.tokens, tokenizer.translation.tokens];
  if (wanted !== received) {
    second.weights.refuse(
      `expected a tokenizer for tokens of ${wanted}, which the released generators make, but it is for those of ${received}: if yours was trained on them, convert the tokenizer by itself`,
    );
  }
  return [generator, tokenizer];
}

/** Checks that the source has what is needed and that the engine can run what comes out: these tensors. */
function checkModel(
  { source, group, peer, translation }: Translated,
  listing: TensorListing,
): readonly ListedTensor[] {
  const { path } = source;
  checkTranslation(path, group, translation);
  const { config, tensors } = translation;
  const expected =
    peer.part === 'generator'
      ? listing.generator(parseGeneratorConfig(path, basename(path), config))
      : listing.tokenizer(parseTokenizerConfig(path, config));
  const made = Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]));
  checkTensors(path, made, expected);
  return expected;
}

/** Tensors that do not bear bytes stay f32. */
function formatOf(weights: WeightFormat, listed: readonly ListedTensor[]): FormatOf {
  if (weights !== 'int8') return () => weights;
  const coarse = new Set(listed.filter(({ grain }) => grain === 'any').map(({ name }) => name));
  return ({ name }) => (coarse.has(name) ? 'int8' : 'f32');
}

/** A tensor is made of the first of each pair alone, so there is room for both. */
async function checkSame(
  { weights, group, translation }: Translated,
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

/** What of a file nothing is made of. */
function droppedOf({ source, path, translation }: Translated): string[] {
  const counts = new Map<string, number>();
  for (const [other, group] of source.groups) {
    if (other === path) continue;
    const top = other.split('/')[0]!;
    counts.set(top, (counts.get(top) ?? 0) + group.size);
  }
  return [
    ...translation.dropped.map(({ name, why }) => `${name}: ${why}`),
    ...translation.same.map(([first, second]) => `${second}: the same as ${first}`),
    ...[...counts].map(([name, count]) => `${name}: ${count} tensors that are not the model's`),
  ];
}

async function hash(file: DiskFile, signal: AbortSignal | undefined): Promise<string> {
  const digest = createHash('sha256');
  const block = new Uint8Array(2 ** 20);
  for (let at = 0; at < file.size; at += block.byteLength) {
    signal?.throwIfAborted();
    const bytes = block.subarray(0, file.size - at);
    await file.readInto(bytes, at);
    digest.update(bytes);
  }
  return digest.digest('hex');
}

/** Writes config.json and the weights. */
async function write(
  model: Translated,
  folder: string,
  formatOf: FormatOf,
  { signal, mostFileBytes }: ConversionSettings,
  scratch: Scratch,
  onStep: () => void,
): Promise<Part> {
  const { source, peer, translation } = model;
  const { origin, config, tensors, notes } = translation;
  await mkdir(folder, { recursive: true });
  await checkSame(model, scratch);
  const from = { path: source.path, group: model.group };
  await writeModel(folder, from, tensors, formatOf, scratch, mostFileBytes, onStep);
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  const files: { name: string; sha256: string }[] = [];
  for (const disk of source.files) {
    files.push({ name: basename(disk.path), sha256: await hash(disk, signal) });
    onStep();
  }
  return {
    part: peer.part,
    origin,
    files,
    tensors: tensors.length,
    values: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    notes,
    dropped: droppedOf(model),
  };
}

function inWords(weights: WeightFormat): string {
  return weights === 'int8' ? 'int8 where the products of the blocks are, else f32' : weights;
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
    const [first, second] = opened as [Opened, Opened?];
    const models = second
      ? translatePair(first, second, settings.heads)
      : [translate(first, { heads: settings.heads })];
    const formats = models.map((model) => formatOf(weights, checkModel(model, listing)));

    const total = models.reduce(
      (sum, { source, translation }) => sum + translation.tensors.length + source.files.length,
      0,
    );
    let done = 0;
    const onStep = () => {
      signal?.throwIfAborted();
      settings.onProgress?.(++done, total);
    };
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
    await rm(partial, { recursive: true, force: true });
    signal?.throwIfAborted();
    throw error;
  } finally {
    for (const { source } of opened) await closeSource(source);
  }
}
