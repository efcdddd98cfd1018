/** How much memory a request takes before it starts, and whether there is so much. */

import { totalmem } from 'node:os';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { MagnetsError } from '../errors.js';
import { controlGroups, textOf, wordsOf } from './control-groups.js';
import type { NativeDevice } from './native.js';
import type { Request } from './request.js';

/** Bytes that a request takes. */
export interface MemoryNeeds {
  /** The model's weights, which are there already. */
  readonly weights: number;
  /** Its largest batch while it is generated. */
  readonly session: number;
  /** The tokenizer, while it detokenizes as many samples as it takes at once; 0 without one. */
  readonly tokenizer: number;
  /** Tokens and pixels of all samples, for JavaScript. */
  readonly result: number;
  /** The sum, which may be there at once: a batch's memory is kept for the next one. */
  readonly total: number;
}

/** What the needs of a request follow from. */
export interface MemoryRequest {
  /** Samples of the largest batch. */
  readonly batch: number;
  readonly guided: boolean;
  readonly count: number;
}

export interface MemorySources {
  /** Of the generator and the tokenizer. */
  readonly weights: number;
  /** Of one sample's tokens and pixels. */
  readonly sampleResult: number;
  sessionBytes(samples: number, guided: boolean): number;
  tokenizerBytes(samples: number): number;
}

export function memoryRequest({ batches, labels, nullClassId }: Request): MemoryRequest {
  const batch = batches.reduce((most, { samples }) => Math.max(most, samples.length), 0);
  return { batch, guided: nullClassId >= 0, count: labels.length };
}

/** Of so many samples that are detokenized at once: on the device, and of their pixels on the way. */
export function detokenizingBytes(device: number, samples: number, pixelBytes: number): number {
  return device + 2 * samples * pixelBytes;
}

export function memoryNeeds(sources: MemorySources, request: MemoryRequest): MemoryNeeds {
  const { weights } = sources;
  const { batch, guided, count } = request;
  const session = batch > 0 ? sources.sessionBytes(batch, guided) : 0;
  const tokenizer = sources.tokenizerBytes(count);
  const result = count * sources.sampleResult;
  const total = weights + session + tokenizer + result;
  return { weights, session, tokenizer, result, total };
}

/** Memory of the machine, or what the control groups of a container leave of it. `root` stands for `/`. */
export function hostMemory(root?: string): number {
  const limits = controlGroups('memory', root).map(({ version, folder }) => {
    const file = version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
    const bytes = Number(wordsOf(join(folder, file))[0]);
    return bytes > 0 ? bytes : Number.POSITIVE_INFINITY; // `max` is no number
  });
  return Math.min(totalmem(), ...limits);
}

/** What /proc says a process may have at most (`ulimit`), and what it has of that. */
const bounds = [
  { limit: 'Max address space', used: 'VmSize' },
  { limit: 'Max data size', used: 'VmData' },
] as const;

/**
 * Memory that the limits of this process leave (`ulimit -v`, `ulimit -d`): each less what counts there already, of which
 * the C library and V8 reserve more than they use. `root` stands for `/`.
 */
export function processMemory(root = '/'): number {
  const limits = textOf(join(root, 'proc/self/limits'));
  const status = textOf(join(root, 'proc/self/status'));
  const left = bounds.map(({ limit, used }) => {
    const most = Number(new RegExp(`^${limit} +(\\d+) `, 'm').exec(limits)?.[1]);
    const kilobytes = Number(new RegExp(`^${used}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    return most >= 0 ? Math.max(0, most - 1024 * kilobytes) : Number.POSITIVE_INFINITY; // `unlimited` is no number
  });
  return Math.min(...left);
}

/** What Node needs besides: its code, its heap and the buffers in it. */
const node = { bytes: 0, readAt: Number.NEGATIVE_INFINITY };

function heapBytes(): number {
  try {
    const { heapTotal, arrayBuffers } = process.memoryUsage();
    return heapTotal + arrayBuffers;
  } catch {
    return getHeapStatistics().total_heap_size; // there is no /proc, which the other asks as well
  }
}

/** As it was a second ago at most: to ask the system takes as long as all other checks of a request. */
function nodeMemory(): number {
  const now = performance.now();
  if (now - node.readAt > 1000) {
    node.bytes = 2 ** 25 + heapBytes();
    node.readAt = now;
  }
  return node.bytes;
}

/** Memory of a device and of the host: the same where the device has none of its own (0). */
export interface MemoryLimits {
  readonly device: number;
  readonly host: number;
}

/** These stay while a process runs; that of the process is what is left before its first model. */
let lasting: { readonly machine: number; readonly process: number } | undefined;

/** Of all the devices that a model is on, and of their host. */
export function memoryLimits(devices: readonly Pick<NativeDevice, 'memory'>[]): MemoryLimits {
  lasting ??= { machine: hostMemory(), process: processMemory() };
  const device = devices.reduce((sum, { memory }) => sum + memory, 0);
  return { device, host: Math.max(0, Math.min(lasting.machine - nodeMemory(), lasting.process)) };
}

/** 278400000 -> '278.4 MB' */
export function inMegabytes(bytes: number): string {
  const megabytes = bytes / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(2)} GB`;
}

function thereIs({ device, host }: MemoryLimits): string {
  return device === 0 ? inMegabytes(host) : `${inMegabytes(device)} of the device`;
}

/**
 * Refuses weights that could not be had if there were nothing else: `values` numbers of `bytesOfValue` at least.
 * @throws MagnetsError ERR_OUT_OF_MEMORY that says how much it is.
 */
export function checkWeights(values: number, bytesOfValue: number, limits: MemoryLimits): void {
  const bytes = values * bytesOfValue;
  if (bytes <= (limits.device || limits.host)) return;
  const message = `${values} weights take ${inMegabytes(bytes)} at least but there are ${thereIs(limits)}`;
  throw new MagnetsError('ERR_OUT_OF_MEMORY', message);
}

function fitting({ device, host }: MemoryLimits): (needs: MemoryNeeds) => boolean {
  return ({ total, result }) =>
    device === 0 ? total <= host : total - result <= device && result <= host;
}

/** The largest number of `most` that fits; 0 where none does. */
function largest(most: number, fits: (samples: number) => boolean): number {
  let [enough, tooMany] = [0, most + 1];
  while (tooMany - enough > 1) {
    const middle = Math.floor((enough + tooMany) / 2);
    if (fits(middle)) enough = middle;
    else tooMany = middle;
  }
  return enough;
}

/**
 * Refuses what could not be had if nothing else ran.
 * @throws MagnetsError ERR_OUT_OF_MEMORY that says how much it is and what would fit.
 */
export function checkMemory(
  sources: MemorySources,
  request: MemoryRequest,
  limits: MemoryLimits,
): void {
  const fits = fitting(limits);
  const needs = memoryNeeds(sources, request);
  if (fits(needs)) return;
  const batch = largest(request.batch, (samples) =>
    fits(memoryNeeds(sources, { ...request, batch: samples })),
  );
  const count = largest(request.count, (samples) =>
    fits(memoryNeeds(sources, { ...request, count: samples, batch: Math.min(1, samples) })),
  );
  const advice =
    batch > 0
      ? `a batchSize of at most ${batch} fits`
      : count > 0
        ? `a count of at most ${count} with a batchSize of 1 fits`
        : 'a single one does not fit either';
  throw new MagnetsError(
    'ERR_OUT_OF_MEMORY',
    `${request.count} samples, ${request.batch} at once, take ${inMegabytes(needs.total)} (weights ${inMegabytes(needs.weights)}, ` +
      `batch ${inMegabytes(needs.session)}, tokenizer ${inMegabytes(needs.tokenizer)}, result ${inMegabytes(needs.result)}) ` +
      `but there are ${thereIs(limits)}: ${advice}`,
  );
}

/**
 * Refuses a pass over so many samples that could not be had if nothing else ran. sampleLogits: bytes of what it answers.
 * @throws MagnetsError ERR_OUT_OF_MEMORY that says how much it is and what would fit.
 */
export function checkPass(
  { weights, sessionBytes }: Pick<MemorySources, 'weights' | 'sessionBytes'>,
  samples: number,
  sampleLogits: number,
  limits: MemoryLimits,
): void {
  const needsOf = (count: number): MemoryNeeds => {
    const session = count > 0 ? sessionBytes(count, false) : 0;
    const result = 2 * count * sampleLogits; // and on their way
    return { weights, session, tokenizer: 0, result, total: weights + session + result };
  };
  const fits = fitting(limits);
  const { total, session, result } = needsOf(samples);
  if (fits(needsOf(samples))) return;
  throw new MagnetsError(
    'ERR_OUT_OF_MEMORY',
    `${samples} samples take ${inMegabytes(total)} (weights ${inMegabytes(weights)}, batch ${inMegabytes(session)}, ` +
      `logits ${inMegabytes(result)}) but there are ${thereIs(limits)}: at most ` +
      `${largest(samples, (count) => fits(needsOf(count)))} fit`,
  );
}
