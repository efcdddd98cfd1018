/** What a result file says about where it was measured (bench/README.md). */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { info } from './device.js';
import type { NativeDevice } from './native.js';
import { packageRoot } from './package.js';

export interface DeviceFacts {
  /** The processor or the GPU, as the system calls it. */
  readonly name: string;
  /** For example `'cpu/avx2'` or `'cuda:0'`. */
  readonly backend: string;
  /** Of the CPU. */
  readonly instructionSet?: string;
  /** Threads of the CPU that compute. */
  readonly threads?: number;
  /** Version of the GPU's driver, where nvidia-smi tells it. */
  readonly driver?: string;
  /** Clocks of the GPU before the measurement (SM, highest SM, memory), where nvidia-smi lists this GPU alone. */
  readonly clocks?: string;
}

/** What a command prints, without the end of its line; undefined where it is missing or fails. */
function output(command: string, ...args: string[]): string | undefined {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    return execFileSync(command, args, {
      cwd: packageRoot,
      encoding: 'utf8',
      stdio: [...stdio],
    }).trim();
  } catch {
    return undefined;
  }
}

/** One line for each GPU. */
function nvidiaSmi(fields: string): string[] {
  return output('nvidia-smi', `--query-gpu=${fields}`, '--format=csv,noheader')?.split('\n') ?? [];
}

export function deviceFacts({ backend, threads }: NativeDevice): DeviceFacts {
  const [kind, detail = ''] = backend.split(/[:/]/);
  if (kind === 'cpu') {
    return { name: cpus()[0]?.model ?? 'unknown', backend, instructionSet: detail, threads };
  }
  const name = info().cuda.devices[Number(detail)]?.name ?? 'unknown';
  const [driver] = nvidiaSmi('driver_version');
  const clocks = nvidiaSmi('clocks.sm,clocks.max.sm,clocks.mem');
  return { name, backend, driver, clocks: clocks.length === 1 ? clocks[0] : undefined };
}

/**
 * The commit that this package was checked out from, with `-dirty` after it where files other than results of measurements
 * differ; undefined for an installed package, even inside of another checkout, and where there is no git.
 */
export function checkedOutCommit(): string | undefined {
  if (!existsSync(join(packageRoot, '.git'))) return undefined;
  const commit = output('git', 'rev-parse', '--short', 'HEAD');
  if (commit === undefined) return undefined;
  const others = ['--', ':/', ':(top,exclude)bench/results'];
  const changed = output('git', 'status', '--porcelain', '--untracked-files=no', ...others);
  return changed === '' ? commit : `${commit}-dirty`;
}
