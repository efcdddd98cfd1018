/** Devices: what this machine offers, and which one the options ask for. */

import { integer, MagnetsError, oneOf, wrongType, wrongValue } from '../errors.js';
import { cudaPackageProblem } from './cuda-package.js';
import {
  type NativeCompute,
  type NativeDevice,
  type NativeFormat,
  native,
  packageVersion,
} from './native.js';
import { usableThreads } from './threads.js';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export const computeTypes = ['auto', 'f32', 'bf16', 'f16'] as const;
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
}

/** What this machine offers. */
export function info(): Info {
  const { instructionSets, cudaDevices, cudaReason } = native().info();
  const devices = cudaDevices.map(({ name, capability }) => ({
    name,
    computeCapability: (capability / 10).toFixed(1),
  }));
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
 * Opens the device that the options ask for.
 * @throws TypeError, RangeError for a wrong option; MagnetsError ERR_UNSUPPORTED for a device or an instruction set that
 * this machine does not have, ERR_THREAD when the system gives no threads.
 */
export function openDevice(options: DeviceOptions = {}): OpenDevice {
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
  return { device: native().openCuda(index, compute), weights, compute };
}

/**
 * Samples of `tokens` positions that fill a device: more at once would only take memory. The CPU is busy with a few
 * thousand rows, a GPU wants tens of thousands.
 */
export function samplesThatFill(
  { backend }: Pick<NativeDevice, 'backend'>,
  tokens: number,
): number {
  return Math.ceil((backend.startsWith('cuda') ? 65536 : 2000) / tokens);
}
