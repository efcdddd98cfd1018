/** Devices: what this machine offers, and which one the options ask for. */

import {
  elements,
  integer,
  isList,
  MagnetsError,
  oneOf,
  wrongType,
  wrongValue,
} from '../errors.js';
import { cudaPackageProblem } from './cuda-package.js';
import { type NativeCompute, type NativeDevice, type NativeFormat, native } from './native.js';
import { packageVersion } from './package.js';
import { usableThreads } from './threads.js';
import { type Tiles, tilesOf } from './tiles.js';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** More devices than a machine has. */
const mostDevices = 64;

const computeTypes = ['auto', 'f32', 'bf16', 'f16'] as const;
/** A type to compute in. */
export type ComputeType = (typeof computeTypes)[number];

export const formats = [...computeTypes, 'int8'] as const;
/** A format of weights. */
export type Format = (typeof formats)[number];

export interface DeviceOptions {
  /**
   * `'cpu'`, `'cuda'` (which is `'cuda:0'`) or `'cuda:N'`. `'auto'` (default) is the first CUDA device, or the CPU where
   * there is none (`info()` says why) or where `weights` is `'f32'` or `'int8'` or `compute` is `'f32'`.
   */
  readonly device?: Device;
  /**
   * The format that weights are kept in: `'f32'` (default), `'bf16'` or `'int8'` on the CPU; on a CUDA device that of
   * `compute`. `'int8'` is for the blocks of the generator; everything else is then f32. Default `'auto'`.
   */
  readonly weights?: Format;
  /**
   * The type that the device computes in: `'f32'` on the CPU; `'bf16'` (default) or `'f16'` on a CUDA device, where sums
   * are f32. Default `'auto'`.
   */
  readonly compute?: ComputeType;
  /**
   * Threads of the CPU that compute, 1 .. 1024. Default: as many as this process may use at once, by its affinity and the
   * quota of its control groups (containers).
   */
  readonly threads?: number;
  /** One of `info().cpu.instructionSets`. Default: the MAGNETS_ISA environment variable, else the best. */
  readonly instructionSet?: string;
}

export const deviceOptionNames = [
  'device',
  'weights',
  'compute',
  'threads',
  'instructionSet',
] as const satisfies readonly (keyof DeviceOptions)[];

export interface Info {
  readonly version: string;
  readonly cpu: { readonly instructionSets: readonly string[]; readonly threads: number };
  readonly cuda: { readonly devices: readonly CudaDevice[] };
  /** The backends; `reason` says why one is not available. */
  readonly backends: readonly { name: string; available: boolean; reason?: string }[];
}

export interface CudaDevice {
  readonly name: string;
  /** For example `'9.0'`. */
  readonly computeCapability: string;
  /** By what kernels are chosen, all of which give the same numbers. */
  readonly tiles: Omit<Tiles, 'choices'>;
}

/** What this machine offers. */
export function info(): Info {
  const { instructionSets, cudaDevices, cudaReason } = native().info();
  const devices = cudaDevices.map((device) => {
    const { choices, ...tiles } = tilesOf(device);
    const computeCapability = (device.capability / 10).toFixed(1);
    return { name: device.name, computeCapability, tiles };
  });
  return {
    version: packageVersion(),
    cpu: { instructionSets, threads: usableThreads() },
    cuda: { devices },
    backends: [
      { name: 'cpu', available: true },
      devices.length > 0
        ? { name: 'cuda', available: true }
        : { name: 'cuda', available: false, reason: cudaPackageProblem() ?? cudaReason },
    ],
  };
}

/** Number of the CUDA device, or undefined for the CPU. */
function cudaIndex(device: string, wantsCpu: boolean): number | undefined {
  if (device === 'cpu') return undefined;
  if (device === 'auto') {
    return !wantsCpu && native().info().cudaDevices.length > 0 ? 0 : undefined;
  }
  const match = /^cuda(?::(\d{1,3}))?$/.exec(device);
  if (match === null) throw wrongValue('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device);
  return Number(match[1] ?? 0);
}

/** The format that `asked` stands for, where the device offers `offered`, the default first. */
function choose<T extends NativeFormat>(
  name: string,
  asked: NativeFormat | 'auto',
  offered: readonly [T, ...T[]],
  where: string,
): T {
  if (asked === 'auto') return offered[0];
  const found = offered.find((format) => format === asked);
  if (found !== undefined) return found;
  const choices = ['auto', ...offered].map((format) => `'${format}'`);
  const expected = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)} ${where}`;
  if (asked !== 'int8') throw wrongValue(name, expected, asked);
  throw new MagnetsError('ERR_UNSUPPORTED', `Expected ${expected} for ${name} but received int8`);
}

/** A device that has been opened, and what weights are to be loaded as. */
export interface OpenDevice {
  readonly device: NativeDevice;
  readonly weights: NativeFormat;
  readonly compute: NativeCompute;
}

/**
 * Opens the device that the options ask for, a CUDA device with what is known of its tiles, unless by formula alone.
 * @throws TypeError, RangeError for a wrong option; MagnetsError ERR_UNSUPPORTED for a device or an instruction set that
 * this machine does not have, ERR_THREAD when the system gives no threads.
 */
export function openDevice(
  options: DeviceOptions = {},
  tiles: 'known' | 'formula' = 'known',
): OpenDevice {
  const { device = 'auto', threads = usableThreads() } = options;
  if (typeof device !== 'string') throw wrongType('device', 'a string', device);
  const askedWeights = oneOf('weights', options.weights ?? 'auto', formats);
  const askedCompute = oneOf('compute', options.compute ?? 'auto', computeTypes);
  integer('threads', threads, 1, 1024);
  const instructionSet = options.instructionSet ?? process.env.MAGNETS_ISA ?? '';
  if (typeof instructionSet !== 'string') {
    throw wrongType('instructionSet', 'a string', instructionSet);
  }
  const wantsCpu = askedWeights === 'f32' || askedWeights === 'int8' || askedCompute === 'f32';
  const index = cudaIndex(device, wantsCpu);
  if (index === undefined) {
    const compute = choose('compute', askedCompute, ['f32'], 'on the CPU');
    const weights = choose('weights', askedWeights, ['f32', 'bf16', 'int8'], 'on the CPU');
    return { device: native().openCpu(threads, instructionSet), weights, compute };
  }
  const compute = choose('compute', askedCompute, ['bf16', 'f16'], 'on a CUDA device');
  const weights = choose(
    'weights',
    askedWeights,
    [compute],
    'on a CUDA device, the same as compute,',
  );
  const found = tiles === 'known' ? native().info().cudaDevices[index] : undefined;
  const choices = found === undefined ? [] : tilesOf(found).choices;
  return { device: native().openCuda(index, compute, choices), weights, compute };
}

/** Devices of one kind that have been opened for one model. */
export interface OpenDevices extends Omit<OpenDevice, 'device'> {
  readonly devices: readonly [NativeDevice, ...NativeDevice[]];
}

/**
 * Opens the devices that the options ask for. Unless the options say how many threads each has, those of the CPU share the
 * process's.
 * @throws What openDevice does; RangeError for devices of several kinds, whose answers would differ.
 */
export function openDevices(
  options: Omit<DeviceOptions, 'device'> & {
    readonly device?: Device | readonly Device[] | undefined;
  },
): OpenDevices {
  const { device: given, ...rest } = options;
  const names: readonly (Device | undefined)[] = isList(given)
    ? elements('device', given, mostDevices)
    : [given as Device];
  integer('devices in device', names.length, 1, mostDevices);
  const threads = rest.threads ?? Math.max(1, Math.floor(usableThreads() / names.length));
  const opened: OpenDevice[] = [];
  try {
    for (const device of names) opened.push(openDevice({ ...rest, threads, device }));
    const kinds = new Set(opened.map(({ device }) => device.backend.split(/[:/]/)[0]));
    if (kinds.size > 1) throw wrongValue('device', 'devices of one kind', given);
  } catch (error) {
    for (const { device } of opened) device.dispose();
    throw error;
  }
  const [{ weights, compute }] = opened as [OpenDevice];
  return { devices: opened.map(({ device }) => device) as [NativeDevice], weights, compute };
}

/**
 * Samples of `tokens` positions that fill a device: more at once would only take memory. The CPU is busy with a thousand
 * rows, and with twice as many its caches no longer hold them; a GPU wants tens of thousands.
 */
export function samplesThatFill(
  { backend }: Pick<NativeDevice, 'backend'>,
  tokens: number,
): number {
  return Math.ceil((backend.startsWith('cuda') ? 65536 : 1200) / tokens);
}
