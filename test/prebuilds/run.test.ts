/**
 * The prebuilt addons answer on their platforms: linux-x64 here and, for musl, in Bun, linux-arm64 in QEMU, win32-x64 in
 * Wine. Samples are those that test/fixtures/golden.json records; kernels and compilers differ, so pixels and logits may
 * round differently, but two samples of `fashion` meet no tie. NEON has records of its own, which GOLDEN=record makes here
 * (golden.ts).
 */

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import t from 'tap';
import { type Golden, readGolden, writeGolden } from '../lib/golden.js';
import { muslLibraries, type Platform, platforms, programOf } from './platforms.js';

// QEMU and Wine take minutes.
t.setTimeout(7_200_000);

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'build/platforms');

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

/** What a script of this folder prints on the platform. */
function run(platform: Platform, name: string, ...args: string[]) {
  const { runner, env, url } = platform;
  const script = join(cache, `${name}.mjs`);
  buildSync({
    entryPoints: [fileURLToPath(new URL(`${name}.ts`, import.meta.url))],
    outfile: script,
    bundle: true,
    format: 'esm',
    platform: 'node',
  });
  // tap has every Node load a file of its own, by a path that Windows has not.
  const before = ['-u', 'NODE_OPTIONS', ...runner, programOf(platform, cache)];
  const libraries = env.LIBC === 'musl' ? { LD_LIBRARY_PATH: muslLibraries(cache) } : {};
  // Files, because what Node makes for its children are sockets, which a Node in Wine cannot write to.
  const outputs = ['out', 'err'].map((kind) => join(cache, `${name}.${kind}`));
  const [out, err] = outputs.map((file) => openSync(file, 'w')) as [number, number];
  const all = [...before, script, url(join(root, 'dist/index.js')), ...args];
  const { status } = spawnSync('env', all, {
    stdio: ['ignore', out, err],
    env: {
      ...process.env,
      ...env,
      ...libraries,
      WINEPREFIX: join(cache, 'wine'),
      PREBUILDS_ONLY: '1',
    },
  });
  for (const descriptor of [out, err]) closeSync(descriptor);
  const [stdout, stderr] = outputs.map((file) => readFileSync(file, 'utf8')) as [string, string];
  return { status, stdout, stderr };
}

for (const platform of platforms) {
  const { name, folder, file, runner, needs } = platform;
  const missing = [join(root, 'prebuilds', folder, file), ...runner.slice(0, 1), needs].find(
    (file) => file !== undefined && !existsSync(file),
  );
  t.test(name, { skip: missing !== undefined && `there is no ${missing}` }, async (t) => {
    if (process.env.GOLDEN === 'record' && folder === 'linux-arm64') {
      const { stdout, stderr } = run(platform, 'golden', 'neon');
      t.equal(stderr, '');
      writeGolden(JSON.parse(stdout));
    }
    const golden = readGolden();
    const { status, stdout, stderr } = run(platform, 'answer', 'budget');
    t.equal(status, 0, stderr);
    const answer: Answer = JSON.parse(stdout);
    t.equal(`${answer.platform}-${answer.arch}`, folder);
    t.equal(answer.refused, 'ERR_UNSUPPORTED', 'an exception of C++ arrives');
    t.equal(answer.instructionSets.at(-1), 'portable');
    if (answer.arch === 'arm64') t.same(answer.instructionSets, ['neon', 'portable']);
    for (const { instructionSet, weights, answers } of answer.found) {
      const name = `${instructionSet}, ${weights}`;
      const recordOf = (set: string) =>
        golden.find(
          (one) =>
            one.instructionSet === set &&
            one.weights === weights &&
            one.model === 'fashion' &&
            one.case === 'budget',
        );
      const recorded = recordOf('avx2');
      t.equal(answers.budget?.flops, recorded?.flops, name);
      // Weights as bytes meet ties more often: a rounding elsewhere decides them.
      if (weights === 'f32') t.equal(answers.budget?.tokens, recorded?.tokens, name);
      const own = recordOf(instructionSet === 'neon' ? 'neon' : '');
      if (own !== undefined) t.match(own, answers.budget!, name);
    }
  });
}
