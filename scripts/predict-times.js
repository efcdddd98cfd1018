// node scripts/predict-times.js [--write]: how long the CUDA kernels of size L should take on an H100, by the formulas that
// kernels are chosen by (test/cuda/predict_times.cpp, of build/test). Fails where bench/results/predicted-L.json says
// otherwise (--write renews it).

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { formatResults, resultFile } from '../dist/cli/result-file.js';

const file = 'bench/results/predicted-L.json';
const program = 'build/test/test/cuda/predict_times';

if (!existsSync(program)) {
  console.log(`predicted times: skipped, no ${program} (npm run test:native)`);
  process.exit(0);
}
const rows = JSON.parse(execFileSync(program, { encoding: 'utf8' }));
if (process.argv.includes('--write')) {
  const settings = {
    note: 'By formula, for 132 multiprocessors at 1.98 GHz; nothing here was measured.',
    model: 'L',
    steps: 12,
    guidance: 2,
  };
  const device = { name: 'H100, predicted' };
  const result = resultFile(device, 'node scripts/predict-times.js --write', settings, rows);
  writeFileSync(file, formatResults(result));
} else if (!isDeepStrictEqual(JSON.parse(readFileSync(file, 'utf8')).rows, rows)) {
  console.log(`${file} differs from what the formulas say: node scripts/predict-times.js --write`);
  process.exitCode = 1;
}
