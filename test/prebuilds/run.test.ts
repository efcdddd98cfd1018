/**
 * The prebuilt addons answer on their platforms: linux-x64 here, linux-arm64 in QEMU, win32-x64 in Wine. Samples are those
 * that test/fixtures/golden.json records; kernels and compilers
 * differ, so pixels and logits may round differently, but two samples of `fashion` meet no tie.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import t from 'tap';
import type { Golden } from '../lib/golden.js';
import { platforms, programOf } from './platforms.js';

// QEMU and Wine take minutes.
t.setTimeout(1_200_000);

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'build/platforms');

const golden: Golden[] = JSON.parse(readFileSync(join(root, 'test/fixtures/golden.json'), 'utf8'));

interface Answer {
  readonly platform: string;
  readonly arch: string;
  readonly instructionSets: string[];
  readonly refused: string;
  readonly found: {
    readonly instructionSet: string;
    readonly weights: string;
    readonly answers: Record<string, Partial<Golden>>;
  }[];
}

const script = join(cache, 'answer.mjs');
buildSync({
  entryPoints: [fileURLToPath(new URL('answer.ts', import.meta.url))],
  outfile: script,
  bundle: true,
  format: 'esm',
  platform: 'node',
});

for (const platform of platforms) {
  const { folder, runner, env, url } = platform;
  const missing = [join(root, 'prebuilds', folder), ...runner.slice(0, 1)].find(
    (file) => !existsSync(file),
  );
  t.test(folder, { skip: missing !== undefined && `there is no ${missing}` }, async (t) => {
    const [command, ...args] = [...runner, programOf(platform, cache)];
    const { status, stdout, stderr } = spawnSync(
      command!,
      [...args, script, url(join(root, 'dist/index.js')), 'budget'],
      {
        encoding: 'utf8',
        env: {
          ...process.env,
          NODE_OPTIONS: '',
          ...env,
          WINEPREFIX: join(cache, 'wine'),
          PREBUILDS_ONLY: '1',
        },
      },
    );
    t.equal(status, 0, stderr);
    const answer: Answer = JSON.parse(stdout);
    t.equal(`${answer.platform}-${answer.arch}`, folder);
    t.equal(answer.refused, 'ERR_UNSUPPORTED', 'an exception of C++ arrives');
    t.equal(answer.instructionSets.at(-1), 'portable');
    if (answer.arch === 'arm64') t.same(answer.instructionSets, ['neon', 'portable']);
    for (const { instructionSet, weights, answers } of answer.found) {
      const name = `${instructionSet}, ${weights}`;
      const recorded = golden.find(
        (one) =>
          one.instructionSet === 'avx2' &&
          one.weights === weights &&
          one.model === 'fashion' &&
          one.case === 'budget',
      );
      t.equal(answers.budget?.flops, recorded?.flops, name);
      // Weights as bytes meet ties more often: a rounding elsewhere decides them.
      if (weights === 'f32') t.equal(answers.budget?.tokens, recorded?.tokens, name);
    }
  });
}
