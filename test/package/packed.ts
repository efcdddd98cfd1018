/** The tarball as it is published: packed with the addon that is built here as the prebuilt one. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

export function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Packs the package in `cwd`; the tarball's name. */
export function pack(cwd: string, ...args: string[]): string {
  const packed = npm(cwd, 'pack', '--json', '--ignore-scripts', ...args);
  return (JSON.parse(packed) as [{ filename: string }])[0].filename;
}

/** A folder that is gone when the test ends, and the tarball in it. */
export function packedIn(t: Test): { folder: string; tarball: string } {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-install-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  execFileSync('tar', ['xf', pack(root, '--pack-destination', folder)], { cwd: folder });
  const prebuilds = join(folder, 'package', 'prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(prebuilds, { recursive: true });
  copyFileSync(join(root, 'build/Release/magnets.node'), join(prebuilds, 'node.napi.node'));
  return { folder, tarball: join(folder, 'package', pack(join(folder, 'package'))) };
}
