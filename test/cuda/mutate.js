// npm run test:mutants [-- NUMBER...]: plants each bug of mutants.js in a copy of native/cuda, builds the test it names
// beside what `npm run test:native` built, and runs it plainly in every order, then under ThreadSanitizer, then under
// AddressSanitizer, until one run fails. Ends with `N planted, N caught`.

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { mutants } from './mutants.js';

const run = promisify(execFile);
const build = resolve('build/test');
const sources = {
  linear: ['test/native/test_linear.cpp'],
  attention: ['test/native/test_attention.cpp'],
  rows: ['test/native/test_rows.cpp'],
  sampling: ['test/native/test_sampling.cpp'],
  decode: ['test/cuda/test_decode.cpp', 'test/cuda/rounding_backend.cpp'],
  paths: ['test/cuda/test_paths.cpp'],
};
const kinds = {
  plain: { flags: [], runs: ['forward lazy', 'reverse lazy', 'random lazy', 'forward eager'] },
  tsan: { flags: ['-fsanitize=thread'], runs: ['forward lazy', 'forward eager'] },
  asan: {
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    runs: ['forward lazy'],
  },
};

/** @typedef {import('./mutants.js').Mutant} Mutant */
/** @typedef {keyof typeof kinds} Kind */

/**
 * The mutated sources as a program of this kind; a bug that does not compile is no bug.
 * @param {string} folder @param {Mutant} mutant @param {Kind} kind
 */
async function compile(folder, { file, source = file, test }, kind) {
  const { flags } = kinds[kind];
  const object = join(folder, `${kind}.o`);
  const program = join(folder, kind);
  await run('g++', [
    ...[
      '-std=c++20',
      '-g',
      '-O1',
      '-w',
      ...flags,
      '-Itest/cuda/emulation',
      '-iquote',
      'native/cuda',
    ],
    ...['-x', 'c++', '-c', join(folder, 'cuda', source), '-o', object],
  ]);
  const tests = `${build}/test/cuda/CMakeFiles/emulated_${test}_${kind === 'plain' || test !== 'paths' ? kind : 'plain'}.dir`;
  const objects = sources[test].map((path) =>
    path.startsWith('test/cuda')
      ? `${tests}/${path.slice('test/cuda/'.length)}.o`
      : `${tests}/__/${path.slice('test/'.length)}.o`,
  );
  const library = (/** @type {string} */ name) => `${build}/${name}`;
  await run('g++', [
    ...[...flags, object, ...objects, '-o', program],
    ...[
      library(`test/cuda/libmagnets_emulated_${kind}.a`),
      library(`test/cuda/libmagnets_emulator_${kind}.a`),
    ],
    ...[
      library('libmagnets_engine.a'),
      library('libmagnets_cpu.a'),
      library('test/native/libmagnets_reference.a'),
      '-lpthread',
    ],
  ]);
  return program;
}

/** How the bug was found, or undefined. @param {number} number @param {Mutant} mutant */
async function caught(number, mutant) {
  const folder = join('build/mutants', String(number));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync('native/cuda', join(folder, 'cuda'), { recursive: true });
  const path = join(folder, 'cuda', mutant.file);
  const text = readFileSync(path, 'utf8');
  if (text.split(mutant.from).length !== 2)
    throw new Error(`mutant ${number}: expected once in ${mutant.file}: ${mutant.from}`);
  writeFileSync(
    path,
    text.replace(mutant.from, () => mutant.to),
  );
  for (const [name, { runs }] of Object.entries(kinds)) {
    const kind = /** @type {Kind} */ (name);
    if (kind !== 'plain' && mutant.test === 'paths') break;
    const program = await compile(folder, mutant, kind);
    for (const one of runs) {
      const [EMULATOR_ORDER, EMULATOR_ASYNC] = one.split(' ');
      const env = {
        ...process.env,
        EMULATOR_ORDER,
        EMULATOR_ASYNC,
        MAGNETS_STOP_AT_FAILURE: '1',
        TSAN_OPTIONS: 'halt_on_error=1',
      };
      try {
        await run(program, [], { env, timeout: 600_000, maxBuffer: 2 ** 26 });
      } catch {
        return `${kind}, ${one}`;
      }
    }
  }
  return undefined;
}

const chosen = process.argv.slice(2).map(Number);
const numbers = mutants
  .map((_, i) => i + 1)
  .filter((i) => chosen.length === 0 || chosen.includes(i));
const planted = numbers.length;
let found = 0;
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const mutant = /** @type {Mutant} */ (mutants[number - 1]);
      const how = await caught(number, mutant);
      if (how !== undefined) ++found;
      console.log(
        `${number}: ${mutant.file}: ${JSON.stringify(mutant.from)}: ${how ?? 'NOT CAUGHT'}`,
      );
      rmSync(join('build/mutants', String(number)), { recursive: true });
    }
  }),
);
console.log(`${planted} planted, ${found} caught`);
process.exitCode = found < planted ? 1 : 0;
