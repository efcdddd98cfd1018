/** Reads a checkpoint folder (docs/checkpoints.md) and checks that it holds what its config promises, and no more. */

import { lstat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MagnetsError } from '../errors.js';
import {
  type GeneratorConfig,
  latentShapeOf,
  parseGeneratorConfig,
  parseTokenizerConfig,
  type TokenizerConfig,
} from './config.js';
import { absolute, checkUnchanged, DiskFile, type FileFacts } from './disk-file.js';
import { readJson } from './json.js';
import type { Origin } from './origin.js';
import { Reader } from './reader.js';
import { type FileTensors, readSafetensors } from './safetensors.js';
import { parseSchedules } from './schedules.js';
import { checkTensors, type ListedTensor, type TensorListing } from './schema.js';
import { indexEnding, mergeShards } from './shards.js';

export interface Identity {
  readonly part: 'generator' | 'tokenizer';
  readonly origin?: Origin;
}

/** The tensors of a model, and the files in which they are. */
export interface CheckpointWeights {
  readonly tensors: FileTensors;
  readonly files: readonly FileFacts[];
}

export interface TokenizerCheckpoint extends CheckpointWeights {
  readonly config: TokenizerConfig;
}

export interface Checkpoint extends CheckpointWeights {
  readonly folder: string;
  readonly config: GeneratorConfig;
  readonly tokenizer?: TokenizerCheckpoint;
}

/** A config is at most this long: it has room for the names of tens of thousands of classes. */
const longestConfig = 2 ** 20;
const longestSchedules = 2 ** 18;

/** False where there is nothing; true for a link that leads nowhere, which is damage. */
async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** Of model.safetensors or, where there is none, of the files that model.safetensors.index.json names. */
async function readTensors(
  folder: string,
  expected: readonly ListedTensor[],
  signal: AbortSignal | undefined,
): Promise<CheckpointWeights> {
  const files: FileFacts[] = [];
  const read = async (name: string) => {
    signal?.throwIfAborted();
    const disk = await DiskFile.open(join(folder, name));
    files.push(disk);
    try {
      return { disk, tensors: await readSafetensors(disk, expected) };
    } finally {
      await disk.close();
    }
  };
  const file = join(folder, 'model.safetensors');
  const indexFile = join(folder, `model${indexEnding}`);
  if ((await isThere(file)) || !(await isThere(indexFile))) {
    const { tensors } = await read('model.safetensors');
    checkTensors(file, tensors, expected);
    return { tensors, files };
  }
  const index = await DiskFile.open(indexFile);
  try {
    const merged = await mergeShards(index, async (shard) => {
      const { disk, tensors } = await read(shard);
      return { disk, tensors: Object.entries(tensors) };
    });
    const tensors = Object.assign(Object.create(null), Object.fromEntries(merged));
    checkTensors(indexFile, tensors, expected);
    return { tensors, files };
  } finally {
    await index.close();
  }
}

/** The config and the named schedules, without weights: for plans. */
export async function readConfig(folder: string, signal?: AbortSignal): Promise<GeneratorConfig> {
  const file = join(folder, 'config.json');
  const name = basename(absolute(folder));
  const config = parseGeneratorConfig(file, name, await readJson(file, longestConfig, signal));
  const schedulesFile = join(folder, 'schedules.json');
  if (!(await isThere(schedulesFile))) return config;
  const schedules = await readJson(schedulesFile, longestSchedules, signal);
  return { ...config, schedules: parseSchedules(schedulesFile, schedules, config) };
}

/** Refuses a tokenizer that is not the generator's. */
function checkPair(file: string, config: GeneratorConfig, tokenizer: TokenizerConfig): void {
  const refuse = (expected: string, received: string): never => {
    const message = `${file}: expected ${expected} but received ${received}`;
    throw new MagnetsError('ERR_CHECKPOINT', message);
  };
  const codes = (size: number, grid: readonly number[]) =>
    `${size} codes on a grid of ${grid.join(' x ')}`;
  const wanted = codes(config.codebookSize, config.latentShape);
  const received = codes(tokenizer.codebookSize, latentShapeOf(tokenizer));
  if (received !== wanted) refuse(wanted, received);
  const [frames] = tokenizer.sampleShape;
  const given = config.prediction?.frames ?? 0;
  if (given >= frames) {
    refuse(`more than the ${given} frames that prediction is given for sample_shape`, `${frames}`);
  }
}

/** Where a checkpoint folder has its tokenizer, if any. */
export function tokenizerFolder(folder: string): string {
  return join(folder, 'tokenizer');
}

/**
 * Reads a tokenizer's folder, which fits the generator of this config where one is said; undefined where there is none.
 * @throws MagnetsError ERR_CHECKPOINT, or the signal's reason.
 */
export async function readTokenizer(
  folder: string,
  listing: TensorListing,
  signal?: AbortSignal,
  generator?: GeneratorConfig,
): Promise<TokenizerCheckpoint | undefined> {
  if (!(await isThere(folder))) return undefined;
  const file = join(folder, 'config.json');
  const config = parseTokenizerConfig(file, await readJson(file, longestConfig, signal));
  if (generator !== undefined) checkPair(file, generator, config);
  return { config, ...(await readTensors(folder, listing.tokenizer(config), signal)) };
}

/**
 * What the config.json of a folder says it is, unchecked but for what is returned: the part of a model of ours and, of a
 * converted one, where its weights come from. Undefined where there is none, or that of something else.
 * @throws MagnetsError ERR_CHECKPOINT
 */
export async function readIdentity(folder: string): Promise<Identity | undefined> {
  const file = join(folder, 'config.json');
  if (!(await isThere(file))) return undefined;
  const json = await readJson(file, longestConfig);
  const type = (json as { model_type?: unknown } | null | undefined)?.model_type;
  if (type !== 'magnets' && type !== 'magnets_tokenizer') return undefined;
  const part = type === 'magnets' ? 'generator' : 'tokenizer';
  const reader = Reader.of(file, json);
  if (!reader.has('origin')) return { part };
  const origin = reader.child('origin');
  const text = (key: string) => origin.match(key, /^[^\p{Cc}]{1,400}$/u, 'a line of text');
  return { part, origin: { name: text('name'), url: text('url'), licence: text('licence') } };
}

/** @throws MagnetsError ERR_CHECKPOINT where a file of weights has changed since it was read. */
export async function checkCheckpointUnchanged({ files, tokenizer }: Checkpoint): Promise<void> {
  for (const file of [...files, ...(tokenizer?.files ?? [])]) await checkUnchanged(file);
}

/**
 * Reads the generator and, where there is one, the tokenizer. `listing` says which tensors they need.
 * @throws MagnetsError ERR_CHECKPOINT, or the signal's reason.
 */
export async function readCheckpoint(
  folder: string,
  listing: TensorListing,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const config = await readConfig(folder, signal);
  const weights = await readTensors(folder, listing.generator(config), signal);
  const tokenizer = await readTokenizer(tokenizerFolder(folder), listing, signal, config);
  return { folder, config, ...weights, tokenizer };
}
