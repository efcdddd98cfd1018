/** Reads a checkpoint folder (docs/checkpoints.md) and checks that it holds what its config promises, and no more. */

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MagnetsError } from '../errors.js';
import {
  type GeneratorConfig,
  latentShapeOf,
  parseGeneratorConfig,
  parseTokenizerConfig,
  type TokenizerConfig,
} from './config.js';
import { absolute, DiskFile } from './disk-file.js';
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

export interface TokenizerCheckpoint {
  readonly config: TokenizerConfig;
  readonly tensors: FileTensors;
}

export interface Checkpoint {
  readonly folder: string;
  readonly config: GeneratorConfig;
  readonly tensors: FileTensors;
  readonly tokenizer?: TokenizerCheckpoint;
}

/** A config is at most this long: it has room for the names of tens of thousands of classes. */
const longestConfig = 2 ** 20;
const longestSchedules = 2 ** 18;

/** Undefined where there is no such file. */
async function ifAny<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (cause?.code === 'ENOENT') return undefined;
    throw error;
  }
}

function readJsonIfAny(file: string, most: number, signal?: AbortSignal): Promise<unknown> {
  return ifAny(readJson(file, most, signal));
}

/** Of model.safetensors or, where there is none, of the files that model.safetensors.index.json names. */
async function readTensors(
  folder: string,
  expected: readonly ListedTensor[],
  signal: AbortSignal | undefined,
): Promise<FileTensors> {
  const read = async (name: string) => {
    signal?.throwIfAborted();
    const disk = await DiskFile.open(join(folder, name));
    try {
      return { disk, tensors: await readSafetensors(disk, expected) };
    } finally {
      await disk.close();
    }
  };
  const file = join(folder, 'model.safetensors');
  const indexFile = join(folder, `model${indexEnding}`);
  const index = existsSync(file) ? undefined : await ifAny(DiskFile.open(indexFile));
  if (index === undefined) {
    const { tensors } = await read('model.safetensors');
    checkTensors(file, tensors, expected);
    return tensors;
  }
  try {
    const merged = await mergeShards(index, async (shard) => {
      const { disk, tensors } = await read(shard);
      return { disk, tensors: Object.entries(tensors) };
    });
    const tensors = Object.assign(Object.create(null), Object.fromEntries(merged));
    checkTensors(indexFile, tensors, expected);
    return tensors;
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
  const schedules = await readJsonIfAny(schedulesFile, longestSchedules, signal);
  if (schedules === undefined) return config;
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
  const file = join(folder, 'config.json');
  const json = await readJsonIfAny(file, longestConfig, signal);
  if (json === undefined) return undefined;
  const config = parseTokenizerConfig(file, json);
  if (generator !== undefined) checkPair(file, generator, config);
  return { config, tensors: await readTensors(folder, listing.tokenizer(config), signal) };
}

/**
 * What the config.json of a folder says it is, unchecked but for what is returned: the part of a model of ours and, of a
 * converted one, where its weights come from. Undefined where there is none, or that of something else.
 * @throws MagnetsError ERR_CHECKPOINT
 */
export async function readIdentity(folder: string): Promise<Identity | undefined> {
  const file = join(folder, 'config.json');
  const json = await readJsonIfAny(file, longestConfig);
  const type = (json as { model_type?: unknown } | null | undefined)?.model_type;
  if (type !== 'magnets' && type !== 'magnets_tokenizer') return undefined;
  const part = type === 'magnets' ? 'generator' : 'tokenizer';
  const reader = Reader.of(file, json);
  if (!reader.has('origin')) return { part };
  const origin = reader.child('origin');
  const text = (key: string) => origin.match(key, /^[^\p{Cc}]{1,400}$/u, 'a line of text');
  return { part, origin: { name: text('name'), url: text('url'), licence: text('licence') } };
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
  const tensors = await readTensors(folder, listing.generator(config), signal);

  const tokenizer = await readTokenizer(tokenizerFolder(folder), listing, signal, config);
  return { folder, config, tensors, tokenizer };
}
