/** What a file or folder of weights is, before it is loaded or converted: for `magnets info PATH`. */

import { basename } from 'node:path';
import {
  type CheckpointWeights,
  type Identity,
  readCheckpoint,
  readIdentity,
  readTokenizer,
  type TokenizerCheckpoint,
  tokenizerFolder,
} from '../checkpoint/checkpoint.js';
import { type GeneratorConfig, latentShapeOf, type TokenizerConfig } from '../checkpoint/config.js';
import {
  type Beside,
  closeModels,
  openModels,
  type PublicModel,
} from '../checkpoint/convert/models.js';
import { isFolder } from '../checkpoint/disk-file.js';
import type { Origin } from '../checkpoint/origin.js';
import { integer, MagnetsError } from '../errors.js';
import { mostSamples } from '../plan/plan.js';
import { tokenCount } from '../plan/shape.js';
import { elementCount } from '../tensor.js';
import { type DeviceOptions, type OpenDevice, openDevice, samplesThatFill } from './device.js';
import { engineTensors, nativeGeneratorConfig, nativeTokenizerConfig } from './listing.js';
import { modelFolder } from './load.js';
import { detokenizingBytes, type MemoryNeeds, memoryNeeds, memoryRequest } from './memory.js';
import type { NativeFormat } from './native.js';
import { generateRequest } from './request.js';

export interface InspectOptions extends DeviceOptions, Beside {
  /** Samples of the request whose memory is told, 1 .. 65536. Default 1. */
  readonly count?: number | undefined;
}

/** A generator or a tokenizer. */
interface Inspected {
  readonly name: string;
  /** Of a checkpoint folder `'magnets'`, else of the file that would be converted. */
  readonly format: 'magnets' | PublicModel['source']['format'];
  /** Where the weights come from, if that is known. */
  readonly origin?: Origin | undefined;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly tensors: number;
  /** Numbers in all tensors, of a public model in those that it would be converted to. */
  readonly values: number;
  /** The number formats in the file. */
  readonly dtypes: readonly string[];
  /** What of a public model's file nothing would be made of. */
  readonly dropped: readonly string[];
}

export interface InspectedGenerator extends Inspected {
  readonly part: 'generator';
  readonly config: GeneratorConfig;
}

export interface InspectedTokenizer extends Inspected {
  readonly part: 'tokenizer';
  readonly config: TokenizerConfig;
}

export type InspectedPart = InspectedGenerator | InspectedTokenizer;

export interface Inspection {
  /** A generator, then its tokenizer where there is one; or a tokenizer alone. */
  readonly parts: readonly InspectedPart[];
  /** Of a request of `count` samples on `backend`, with weights in a format. */
  readonly memory: MemoryNeeds & {
    readonly backend: string;
    readonly format: NativeFormat;
    readonly count: number;
  };
}

/** The files of a checkpoint's tensors, and what is in them. */
function contentsOf({ tensors, files }: CheckpointWeights) {
  const all = Object.values(tensors);
  return {
    format: 'magnets' as const,
    files: files.map(({ path, size }) => ({ name: basename(path), bytes: size })),
    tensors: all.length,
    values: all.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    dtypes: [...new Set(all.map(({ dtype }) => dtype))],
    dropped: [],
  };
}

function inspectTokenizer(
  tokenizer: TokenizerCheckpoint,
  name: string,
  origin: Origin | undefined,
): InspectedTokenizer {
  return { part: 'tokenizer', name, origin, config: tokenizer.config, ...contentsOf(tokenizer) };
}

async function inspectFolder(folder: string, identity: Identity): Promise<InspectedPart[]> {
  if (identity.part === 'tokenizer') {
    const tokenizer = (await readTokenizer(folder, engineTensors))!;
    return [inspectTokenizer(tokenizer, basename(folder), identity.origin)];
  }
  const checkpoint = await readCheckpoint(folder, engineTensors);
  const { config, tokenizer } = checkpoint;
  const generator: InspectedGenerator = {
    part: 'generator',
    name: config.name,
    origin: identity.origin,
    config,
    ...contentsOf(checkpoint),
  };
  if (tokenizer === undefined) return [generator];
  const beside = await readIdentity(tokenizerFolder(folder));
  return [generator, inspectTokenizer(tokenizer, 'tokenizer', beside?.origin)];
}

function inspectPublic({
  source,
  group,
  translation,
  config,
  dropped,
}: PublicModel): InspectedPart {
  const { origin, tensors } = translation;
  const used = tensors.flatMap(({ from }) => from.map(({ name }) => group.get(name)!.dtype));
  const facts = {
    name: origin.name,
    format: source.format,
    origin,
    files: source.files.map(({ path, size }) => ({ name: basename(path), bytes: size })),
    tensors: tensors.length,
    values: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    dtypes: [...new Set(used)],
    dropped,
  };
  return config.part === 'generator'
    ? { part: 'generator', config: config.parsed, ...facts }
    : { part: 'tokenizer', config: config.parsed, ...facts };
}

/** What `Model.memory` says of a request with a class once the model is loaded, but for what a device pads of weights. */
function memoryOf(
  { device, weights: format }: OpenDevice,
  parts: readonly InspectedPart[],
  count: number,
): MemoryNeeds {
  const generator = parts.find((part) => part.part === 'generator')?.config;
  const tokenizer = parts.find((part) => part.part === 'tokenizer')?.config;
  const tokens = tokenCount(generator ?? { latentShape: latentShapeOf(tokenizer!) });
  const fill = samplesThatFill(device, tokens);
  const generating = (samples: number, guided: boolean) =>
    device.generatorMemory(nativeGeneratorConfig(generator!), format, samples, guided);
  const detokenizing = (samples: number) =>
    device.tokenizerMemory(nativeTokenizerConfig(tokenizer!), format, samples);
  const pixelBytes = tokenizer ? 4 * elementCount(tokenizer.sampleShape) * tokenizer.channels : 0;
  const labels = [generator !== undefined && generator.classes > 0 ? 0 : null];
  return memoryNeeds(
    {
      weights:
        (generator ? generating(1, false).weights : 0) + (tokenizer ? detokenizing(1).weights : 0),
      sampleResult: 4 * tokens + pixelBytes,
      sessionBytes: (samples, guided) => generating(samples, guided).work,
      tokenizerBytes: (samples) => {
        const atOnce = Math.min(samples, fill);
        return tokenizer ? detokenizingBytes(detokenizing(atOnce).work, atOnce, pixelBytes) : 0;
      },
    },
    generator
      ? memoryRequest(generateRequest(generator, { labels, count }, fill))
      : { batch: 0, guided: false, count },
  );
}

/**
 * Tells what a bundled model's name, a checkpoint folder, or the file or folder of a public model is. No weights are
 * read.
 * @throws TypeError, RangeError for wrong options; MagnetsError ERR_CHECKPOINT when it is not sound or not known.
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const { tokenizer, heads, count = 1, ...deviceOptions } = options;
  integer('count', count, 1, mostSamples);
  if (heads !== undefined) integer('heads', heads, 1, 1024);
  const opened = openDevice(deviceOptions);
  try {
    const parts = await inspectParts(path, { tokenizer, heads });
    const memory = memoryOf(opened, parts, count);
    const { device, weights } = opened;
    return { parts, memory: { backend: device.backend, format: weights, count, ...memory } };
  } finally {
    opened.device.dispose();
  }
}

async function inspectParts(path: string, beside: Beside): Promise<InspectedPart[]> {
  const folder = modelFolder(path);
  const identity = (await isFolder(folder)) ? await readIdentity(folder) : undefined;
  if (identity !== undefined) {
    if (beside.tokenizer !== undefined) {
      const message = `${folder}: expected a public model beside a tokenizer but it is a checkpoint folder`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
    return inspectFolder(folder, identity);
  }
  const models = await openModels(folder, beside, engineTensors);
  try {
    return models.map(inspectPublic);
  } finally {
    await closeModels(models);
  }
}
