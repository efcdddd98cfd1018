/** Public models in files: opened, recognized, translated and checked, before anything is written. */

import { basename } from 'node:path';
import { cut, printable } from '../../errors.js';
import {
  type GeneratorConfig,
  parseGeneratorConfig,
  parseTokenizerConfig,
  type TokenizerConfig,
} from '../config.js';
import { checkTensors, type ListedTensor, type TensorListing } from '../schema.js';
import { openSource } from './open.js';
import { others, peers } from './peers/index.js';
import { type Recognized, recognize } from './recognize.js';
import { closeSource, type Source } from './source.js';
import {
  checkTranslation,
  type Hints,
  type Peer,
  type Translation,
  Weights,
} from './translation.js';

/** A source that is open, and the model in it. */
interface Opened extends Recognized {
  readonly source: Source;
  readonly weights: Weights;
}

interface Translated extends Opened {
  readonly translation: Translation;
}

/** A model in an open file that is sound and that the engine can run once it is converted. */
export interface PublicModel extends Translated {
  /** Of the config that it is converted to. */
  readonly config:
    | { readonly part: 'generator'; readonly parsed: GeneratorConfig }
    | { readonly part: 'tokenizer'; readonly parsed: TokenizerConfig };
  /** The tensors that the engine needs for that config. */
  readonly listed: readonly ListedTensor[];
  /** What of the file nothing is made of. */
  readonly dropped: readonly string[];
}

/** What the caller says beside the file. */
export interface Beside {
  /** The tokenizer's file or folder. */
  readonly tokenizer?: string | undefined;
  /** Attention heads of a generator of another size than the released ones. */
  readonly heads?: number | undefined;
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
    ...[...counts].map(
      ([name, count]) => `${cut(printable(name))}: ${count} tensors that are not the model's`,
    ),
  ];
}

/** Checks that the source has what is needed and that the engine can run what comes out. */
function checkModel(model: Translated, listing: TensorListing): PublicModel {
  const { source, group, peer, translation } = model;
  const { path } = source;
  checkTranslation(path, group, translation);
  const made = Object.fromEntries(translation.tensors.map((tensor) => [tensor.name, tensor]));
  const checked = (config: PublicModel['config'], listed: readonly ListedTensor[]) => {
    checkTensors(path, made, listed);
    return { ...model, config, listed, dropped: droppedOf(model) };
  };
  if (peer.part === 'generator') {
    const parsed = parseGeneratorConfig(path, basename(path), translation.config);
    return checked({ part: 'generator', parsed }, listing.generator(parsed));
  }
  const parsed = parseTokenizerConfig(path, translation.config);
  return checked({ part: 'tokenizer', parsed }, listing.tokenizer(parsed));
}

/**
 * The model in the file or folder `path` and, where one is named, its tokenizer. `listing` says which tensors they need.
 * Whoever asks for them closes them.
 * @throws MagnetsError ERR_CHECKPOINT when a file is not sound, not known, or does not fit the other.
 */
export async function openModels(
  path: string,
  { tokenizer, heads }: Beside,
  listing: TensorListing,
): Promise<PublicModel[]> {
  const opened: Opened[] = [];
  try {
    opened.push(await openModel(path));
    if (tokenizer !== undefined) opened.push(await openModel(tokenizer));
    const [first, second] = opened as [Opened, Opened?];
    const models = second ? translatePair(first, second, heads) : [translate(first, { heads })];
    return models.map((model) => checkModel(model, listing));
  } catch (error) {
    await closeModels(opened);
    throw error;
  }
}

export async function closeModels(models: readonly Pick<Opened, 'source'>[]): Promise<void> {
  for (const { source } of models) await closeSource(source);
}
