// node scripts/check-kernels.js [--write]: what the compiler made of the CUDA kernels, read from the cubins that
// `MAGNETS_KEEP_CUBINS=1 npm run build:native` leaves. Fails where a kernel spills, where one that should use tensor
// cores does not, and where registers or shared memory differ from bench/results/kernels.json (--write renews it). It looks
// at the targets that were built.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { formatResults, resultFile } from '../dist/cli/result-file.js';
import { kernelsOf } from './cubin.js';

const folder = 'build/Release/cubins';
const table = 'bench/results/kernels.json';
const listKernels = 'build/test/test/cuda/list_kernels';

/** @typedef {import('./cubin.js').Kernel} Kernel */

/** @param {Kernel} kernel */
function faults({ name, target, registers, localLoads, localStores, mma, wgmma, tma }) {
  const found = [];
  if (registers === undefined) found.push('has no count of registers');
  if (localLoads + localStores > 0) found.push('uses local memory');
  if (/^(matmul_mma|attention|wide_attention)_kernel/.test(name) && mma === 0)
    found.push('has no HMMA');
  if (/_wgmma_kernel/.test(name) && (wgmma === 0 || tma === 0))
    found.push('has no HGMMA or no UTMALDG');
  return found.map((fault) => `${name} for ${target} ${fault}`);
}

if (!existsSync(folder)) {
  console.log(
    'kernels: skipped, no cubins (MAGNETS_KEEP_CUBINS=1 npm run build:native, with nvcc 12.8 or later)',
  );
  process.exit(0);
}
const versionText = execFileSync('nvcc', ['--version'], { encoding: 'utf8' });
const compiler = `nvcc ${/ V([\d.]+)/.exec(versionText)?.[1]}`;
const shared = JSON.parse(execFileSync(listKernels, { encoding: 'utf8' }));
const kernels = readdirSync(folder)
  .filter((file) => file.endsWith('.cubin'))
  .flatMap((file) => kernelsOf(join(folder, file)))
  .map((row) => ({ ...row, shared: shared[row.name.replace(/<b?f16/, '<T')] ?? 0 }))
  .sort((a, b) => (a.name + a.target < b.name + b.target ? -1 : 1));
const problems = kernels.flatMap(faults);
if (new Set(kernels.map((row) => row.name + row.target)).size < kernels.length)
  problems.push(`${folder} has a kernel twice, from two builds: delete it and build again`);

if (process.argv.includes('--write')) {
  const result = resultFile({ compiler }, 'node scripts/check-kernels.js --write', {}, kernels);
  writeFileSync(table, formatResults(result));
} else {
  const committed = JSON.parse(readFileSync(table, 'utf8'));
  const targets = new Set(kernels.map(({ target }) => target));
  const expected = committed.rows.filter((/** @type {Kernel} */ { target }) => targets.has(target));
  if (committed.device.compiler !== compiler) {
    console.log(
      `kernels: ${table} is of ${committed.device.compiler}, here is ${compiler}: registers not compared`,
    );
  } else if (!isDeepStrictEqual(expected, kernels)) {
    problems.push(`${table} differs from what was compiled: node scripts/check-kernels.js --write`);
  }
}
for (const problem of problems) console.log(problem);
console.log(`kernels: ${kernels.length - problems.length} passed, ${problems.length} failed`);
process.exitCode = problems.length > 0 ? 1 : 0;
