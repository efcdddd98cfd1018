// node scripts/clang-format.js [--check]: formats the C++ files, or fails and names those that are not formatted.

import { execFileSync, spawnSync } from 'node:child_process';

const files = execFileSync('git', ['ls-files', '*.cpp', '*.h', '*.inl', '*.cu', '*.cuh'], {
  encoding: 'utf8',
});
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i'];
const { status, error } = spawnSync('clang-format', [...mode, ...files.trim().split('\n')], {
  stdio: 'inherit',
});
if (error) console.error(`clang-format: ${error.message}; install it (Debian: clang-format)`);
process.exitCode = error ? 1 : (status ?? 1);
