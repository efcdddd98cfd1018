/** Devices: what this machine offers, and which one the options ask for. */

import { integer, oneOf, wrongType, wrongValue } from '../errors.js';
import { type NativeDevice, type NativeFormat, native, packageVersion } from './native.js';
import { usableThreads } from './threads.js';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export const formats = ['auto', 'f32', 'bf16', 'f16'] as const;
/** A format of weights or a type to compute in. */
export type Format = (typeof formats)[number];

export interface DeviceOptions {
  /**
   * `'cpu'`, `'cuda'` (which is `'cuda:0'`) or `'cuda:N'`. `'auto'` (default) is the first CUDA device, or the CPU where
   * there is none (`info()` says why) or where `weights` or `compute` is `'f32'`.
   */
  readonly device?: Device;
  /**
   * The format that weights are kept in: `'f32'` (default) or `'bf16'` on the CPU; on a CUDA device that of `compute`.
   * Default `'auto'`.
   */
  readonly weights?: Format;
  /**
   * The type that the device computes in: `'f32'` on the CPU; `'bf16'` (default) or `'f16'` on a CUDA device, where sums
   * are f32. Default `'auto'`.
   */
  readonly compute?: Format;
  /**
   * Threads of the CPU that compute, 1 .. 1024. Default: as many as this process may use at once, by its affinity and the quota of its control groups (containers).
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
        : { name: 'cuda', available: false, reason: cudaReason },
    ],
  };
}

/** Number of the CUDA device, or undefined for the CPU. */
function cudaIndex(device: string, wantsF32: boolean): number | undefined {
  if (device === 'cpu') return undefined;
  if (device === 'auto') {
    return !wantsF32 && native().info().cudaDevices.length > 0 ? 0 : undefined;
  }
  const match = /^cuda(?::(\d{1,3}))?$/.exec(device);
  if (match === null) throw wrongValue('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device);
  return Number(match[1] ?? 0);
}

/** The format that `asked` stands for, where the device offers `offered`, the default first. */
function choose(
  name: string,
  asked: Format,
  offered: readonly [NativeFormat, ...NativeFormat[]],
  where: string,
): NativeFormat {
  if (asked === 'auto') return offered[0];
  if (offered.includes(asked)) return asked;
  const choices = ['auto', ...offered].map((format) => `'${format}'`);
  throw wrongValue(name, `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)} ${where}`, asked);
}

/** A device that has been opened, and what weights are to be loaded as. */
export interface OpenDevice {
  readonly device: NativeDevice;
  readonly weights: NativeFormat;
  readonly compute: NativeFormat;
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
  const askedCompute = oneOf('compute', options.compute ?? 'auto', formats);
  integer('threads', threads, 1, 1024);
  const instructionSet = options.instructionSet ?? process.env.MAGNETS_ISA ?? '';
  if (typeof instructionSet !== 'string') {
    throw wrongType('instructionSet', 'a string', instructionSet);
  }
  const index = cudaIndex(device, askedWeights === 'f32' || askedCompute === 'f32');
  if (index === undefined) {
    const compute = choose('compute', askedCompute, ['f32'], 'on the CPU');
    const weights = choose('weights', askedWeights, ['f32', 'bf16'], 'on the CPU');
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
