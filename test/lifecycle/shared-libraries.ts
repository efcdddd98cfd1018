/** Small shared libraries, compiled for a test: what the system may do to the addon. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Compiles C++ to `name` in a folder that is gone when the test ends; answers the folder. */
export function compile(
  t: { teardown(run: () => void): void },
  name: string,
  source: string,
): string {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'source.cpp'), source);
  const args = ['-shared', '-fPIC', '-o', join(folder, name), join(folder, 'source.cpp'), '-ldl'];
  execFileSync('g++', args);
  return folder;
}
