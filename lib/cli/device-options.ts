/** The options that say where and in which number formats a command computes. */

import type { Device, DeviceOptions } from '../runtime/device.js';
import { toNumber } from './arguments.js';

export const deviceOptions = {
  device: { type: 'string' },
  threads: { type: 'string' },
  weights: { type: 'string' },
  compute: { type: 'string' },
} as const;

export const deviceHelp = `\
  --device NAME     auto, cpu, cuda or cuda:N; default auto: the first CUDA device, else the CPU
  --threads N       threads of the CPU that compute; default: as many as this process may use
  --weights FORMAT  the format that weights are kept in: f32, bf16 or int8 on the CPU, as --compute on a CUDA device; default auto
  --compute TYPE    the type that the device computes in: f32 on the CPU, bf16 or f16 on a CUDA device; default auto`;

type Values = { readonly [name in keyof typeof deviceOptions]?: string | undefined };

/** The options of `load` that these arguments say. */
export function deviceArguments(
  values: Values,
): Pick<DeviceOptions, 'device' | 'threads' | 'weights' | 'compute'> {
  return {
    device: values.device as DeviceOptions['device'],
    threads: toNumber('threads', values.threads),
    weights: values.weights as DeviceOptions['weights'],
    compute: values.compute as DeviceOptions['compute'],
  };
}

/** A device, or several with commas between. */
export function devicesOf({ device }: Values): Device | readonly Device[] | undefined {
  return device?.includes(',') ? (device.split(',') as Device[]) : (device as Device | undefined);
}
