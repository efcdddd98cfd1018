// node scripts/predict-times.js [--write]: how long the CUDA kernels of size L, and of the decoders of public tokenizers,
// should take on an H100, by the formulas that kernels are chosen by (test/cuda/predict_*.cpp, of build/test). Fails where
// the files in bench/results say otherwise (--write renews them).

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { formatResults, resultFile } from '../dist/cli/result-file.js';

const note = 'By formula, for 132 multiprocessors at 1.98 GHz; nothing here was measured.';
const predictions = [
  {
    program: 'build/test/test/cuda/predict_times',
    file: 'bench/results/predicted-L.json',
    settings: { note, model: 'L', steps: 12, guidance: 2 },
  },
  {
    program: 'build/test/test/cuda/predict_pixels',
    file: 'bench/results/predicted-pixels.json',
    settings: { note, batch: 8 },
  },
];

const write = process.argv.includes('--write');
for (const { program, file, settings } of predictions) {
  if (!existsSync(program)) {
    console.log(`predicted times: skipped, no ${program} (npm run test:native)`);
    continue;
  }
  const rows = JSON.parse(execFileSync(program, { encoding: 'utf8' }));
  if (write) {
    const device = { name: 'H100, predicted' };
    const result = resultFile(device, 'node scripts/predict-times.js --write', settings, rows);
    writeFileSync(file, formatResults(result));
  } else if (!isDeepStrictEqual(JSON.parse(readFileSync(file, 'utf8')).rows, rows)) {
    console.log(
      `${file} differs from what the formulas say: node scripts/predict-times.js --write`,
    );
    process.exitCode = 1;
  }
}
