/** Reads a checkpoint folder (docs/checkpoints.md) and checks that it holds what its config promises, and no more. */

import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { MagnetsError } from '../errors.js';
import { parseSchedules } from '../plan/schedule.js';
import { tokenCount } from '../plan/shape.js';
import type { NativeTensor } from '../runtime/native.js';
import {
  type GeneratorConfig,
  latentShapeOf,
  parseGeneratorConfig,
  parseTokenizerConfig,
  type TokenizerConfig,
} from './config.js';
import { parseSafetensors } from './safetensors.js';

export type Tensors = Record<string, NativeTensor>;
type Shapes = Map<string, number[]>;

export interface Checkpoint {
  readonly folder: string;
  readonly config: GeneratorConfig;
  readonly tensors: Tensors;
  readonly tokenizer?: { readonly config: TokenizerConfig; readonly tensors: Tensors };
}

interface Sizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
}

function linear(shapes: Shapes, name: string, out: number, input: number): void {
  shapes.set(`${name}.weight`, [out, input]).set(`${name}.bias`, [out]);
}

function norm(shapes: Shapes, name: string, size: number): void {
  shapes.set(`${name}.weight`, [size]).set(`${name}.bias`, [size]);
}

function layers(shapes: Shapes, prefix: string, count: number, sizes: Sizes): void {
  const { hiddenSize: d, intermediateSize: f } = sizes;
  const inner = sizes.heads * sizes.headDim;
  for (let i = 0; i < count; ++i) {
    const layer = `${prefix}layers.${i}`;
    for (const name of ['query', 'key', 'value'])
      linear(shapes, `${layer}.attention.${name}`, inner, d);
    linear(shapes, `${layer}.attention.output`, d, inner);
    norm(shapes, `${layer}.attention.norm`, d);
    linear(shapes, `${layer}.mlp.up`, f, d);
    linear(shapes, `${layer}.mlp.down`, d, f);
    norm(shapes, `${layer}.mlp.norm`, d);
  }
}

/** Every tensor of a generator with its shape. */
export function generatorShapes(config: GeneratorConfig): Shapes {
  const { hiddenSize: d, vocabSize } = config;
  const shapes: Shapes = new Map();
  shapes.set('embeddings.word.weight', [vocabSize, d]);
  shapes.set('embeddings.position.weight', [tokenCount(config) + 1, d]);
  norm(shapes, 'embeddings.norm', d);
  layers(shapes, '', config.layers, config);
  if (config.preNorm) norm(shapes, 'norm', d);
  linear(shapes, 'head.dense', d, d);
  norm(shapes, 'head.norm', d);
  return shapes.set('head.bias', [vocabSize]);
}

/** Every tensor of a tokenizer with its shape. */
export function tokenizerShapes(config: TokenizerConfig): Shapes {
  const { hiddenSize: d, codebookDim } = config;
  const tokens = tokenCount({ latentShape: latentShapeOf(config) });
  const patch = config.patchShape.reduce((product, extent) => product * extent, config.channels);
  const shapes: Shapes = new Map();
  const half = (name: string, count: number, inputs: number, outputs: number) => {
    linear(shapes, `${name}.input`, d, inputs);
    shapes.set(`${name}.position.weight`, [tokens, d]);
    layers(shapes, `${name}.`, count, config);
    norm(shapes, `${name}.norm`, d);
    linear(shapes, `${name}.output`, outputs, d);
  };
  half('encoder', config.encoderLayers, patch, codebookDim);
  shapes.set('codebook.weight', [config.codebookSize, codebookDim]);
  half('decoder', config.decoderLayers, codebookDim, patch);
  return shapes;
}

/** Refuses a missing tensor, one of another shape, and one that nobody asked for. */
export function checkTensors(file: string, tensors: Tensors, shapes: Shapes): void {
  for (const [name, shape] of shapes) {
    const received = tensors[name] ? `[${tensors[name].shape}]` : 'nothing';
    if (received !== `[${shape}]`) {
      const message = `${file}: ${name}: expected a tensor [${shape}] but received ${received}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
  }
  const extra = Object.keys(tensors).find((name) => !shapes.has(name));
  if (extra !== undefined) {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: ${extra}: expected no such tensor`);
  }
}

async function read(file: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    return await readFile(file, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected a readable file`, { cause });
  }
}

async function readJson(file: string, signal: AbortSignal | undefined): Promise<unknown> {
  const bytes = await read(file, signal);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: expected JSON`, { cause });
  }
}

/** Undefined where there is no such file. */
async function readJsonIfAny(file: string, signal: AbortSignal | undefined): Promise<unknown> {
  try {
    return await readJson(file, signal);
  } catch (error) {
    const cause =
      error instanceof MagnetsError ? (error.cause as NodeJS.ErrnoException) : undefined;
    if (cause?.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readTensors(file: string, shapes: Shapes, signal: AbortSignal | undefined) {
  const tensors = parseSafetensors(file, await read(file, signal));
  checkTensors(file, tensors, shapes);
  return tensors;
}

/** The config and the named schedules, without weights: for plans. */
export async function readConfig(folder: string, signal?: AbortSignal): Promise<GeneratorConfig> {
  const file = join(folder, 'config.json');
  const name = basename(resolve(folder));
  const config = parseGeneratorConfig(file, name, await readJson(file, signal));
  const schedulesFile = join(folder, 'schedules.json');
  const schedules = await readJsonIfAny(schedulesFile, signal);
  if (schedules === undefined) return config;
  return { ...config, schedules: parseSchedules(schedulesFile, schedules, config) };
}

/** @throws MagnetsError ERR_CHECKPOINT, or the signal's reason. */
export async function readCheckpoint(folder: string, signal?: AbortSignal): Promise<Checkpoint> {
  const config = await readConfig(folder, signal);
  const shapes = generatorShapes(config);
  const tensors = await readTensors(join(folder, 'model.safetensors'), shapes, signal);

  const tokenizerFile = join(folder, 'tokenizer', 'config.json');
  const json = await readJsonIfAny(tokenizerFile, signal);
  if (json === undefined) return { folder, config, tensors };
  const tokenizer = parseTokenizerConfig(tokenizerFile, json);
  const fits =
    tokenizer.codebookSize === config.codebookSize &&
    latentShapeOf(tokenizer).join() === config.latentShape.join();
  if (!fits) {
    const expected = `${config.codebookSize} codes on a grid of ${config.latentShape.join(' x ')}`;
    throw new MagnetsError('ERR_CHECKPOINT', `${tokenizerFile}: expected ${expected}`);
  }
  const [frames] = tokenizer.sampleShape;
  if (config.prediction && config.prediction.frames >= frames) {
    const expected = `more than the ${config.prediction.frames} frames that prediction is given`;
    throw new MagnetsError(
      'ERR_CHECKPOINT',
      `${tokenizerFile}: expected ${expected} for sample_shape`,
    );
  }
  return {
    folder,
    config,
    tensors,
    tokenizer: {
      config: tokenizer,
      tensors: await readTensors(
        join(folder, 'tokenizer', 'model.safetensors'),
        tokenizerShapes(tokenizer),
        signal,
      ),
    },
  };
}
