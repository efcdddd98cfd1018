// npm run test:mutants [-- NUMBER...]: plants each change of mutants.js in a copy of native/cuda, builds the test that it
// names beside what `npm run test:native` built, and runs it: plainly in every order, under ThreadSanitizer, under
// AddressSanitizer. Bugs must be caught, by a run that says why; controls, which are no bugs, must survive every run.
// Ends with `N planted, N caught, M controls, M survived`. Numbers go through the bugs and then the controls. With
// `--share N` only every N-th of them, which ones depends on the commit, so that all have their turn.

import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { controls, mutants } from './mutants.js';

/**
 * @typedef {import('./mutants.js').Mutant} Mutant
 * @typedef {{ caught: boolean, why: string }} Outcome what a run said
 */

const build = resolve('build/test/test/cuda');
const folder = resolve('build/mutants');
const runs = [
  'plain forward lazy',
  'plain reverse lazy',
  'plain random lazy',
  'plain forward eager',
  'asan forward lazy',
  'tsan forward lazy',
  'tsan forward eager',
];
const timeout = 300_000;

/** @type {{ directory: string, command: string, file: string }[]} */
const commands = JSON.parse(readFileSync('build/test/compile_commands.json', 'utf8'));

/** The devices that run what `source` instantiates: no other needs to be tested. @param {string} source */
function subjectOf(source) {
  if (source.includes('wgmma_bf16')) return 'sm_90 with 4';
  if (source.includes('wgmma_f16')) return 'sm_90 with 1';
  const type = /_(bf16|f16)\.cu$/.exec(source)?.[1];
  return type === undefined ? '' : `, ${type}`;
}

/** Runs a program; resolves with how it ended. @param {string} file @param {string[]} words @param {object} options */
function execute(file, words, options) {
  return new Promise((done) => {
    execFile(file, words, { maxBuffer: 2 ** 26, ...options }, (error, stdout, stderr) =>
      done({ error, output: `${stdout}\n${stderr}` }),
    );
  });
}

/** A command line as CMake wrote it: nothing in it is quoted. @param {string} line */
const wordsOf = (line) => line.trim().split(/\s+/);

/**
 * Builds the test with the changed source, by the commands of CMake; a bug that does not compile is no bug.
 * @param {string} own folder of the mutant
 * @param {Mutant} mutant
 * @param {string} kind
 */
async function compile(own, { file, source = file, test }, kind) {
  const path = resolve('native/cuda', source);
  const library = `magnets_emulated_${kind}.dir`;
  const entry = commands.find(({ file, command }) => file === path && command.includes(library));
  if (entry === undefined)
    throw new Error(`${source} is not among the compile commands of ${kind}`);
  const object = join(own, `${kind}.o`);
  const program = join(own, kind);
  const compiler = wordsOf(entry.command);
  compiler[compiler.indexOf('-o') + 1] = object;
  compiler[compiler.indexOf('-c') + 1] = join(own, 'cuda', source);
  const linker = wordsOf(
    readFileSync(join(build, `CMakeFiles/emulated_${test}_${kind}.dir/link.txt`), 'utf8'),
  );
  // Before the libraries, so that this object's functions are taken instead of theirs.
  linker.splice(linker.indexOf('-o'), 2, '-o', program, object);
  for (const [command, ...words] of [compiler, linker]) {
    const { error, output } = await execute(/** @type {string} */ (command), words, { cwd: build });
    if (error) throw new Error(`${file}: ${output}`);
  }
  return program;
}

/**
 * Why a run failed, in its own words: a failed check, a sanitizer's report, the emulator's diagnosis. Nothing else
 * counts: not a crash that nobody explains, a time-out, or a program that does not start.
 * @param {string} output
 */
function reasonIn(output) {
  const patterns = [
    /^failed: .+/m,
    /^emulator: .+/m,
    /(WARNING: ThreadSanitizer|ERROR: AddressSanitizer|runtime error): .+/,
  ];
  for (const pattern of patterns) {
    const found = pattern.exec(output);
    if (found) return found[0].slice(0, 120);
  }
  return undefined;
}

/**
 * @param {string} program
 * @param {Mutant} mutant
 * @param {string} run
 * @returns {Promise<Outcome>}
 */
async function execution(program, { file, source = file }, run) {
  const [, order, async] = run.split(' ');
  const env = {
    ...process.env,
    EMULATOR_ORDER: order,
    EMULATOR_ASYNC: async,
    EMULATOR_SUBJECT: subjectOf(source),
    MAGNETS_STOP_AT_FAILURE: '1',
    TSAN_OPTIONS: 'halt_on_error=1',
  };
  const { error, output } = await execute(program, [], { env, timeout });
  if (!error) return { caught: false, why: '' };
  const reason = reasonIn(output);
  if (reason !== undefined) return { caught: true, why: `${run}: ${reason}` };
  const how = error.killed ? 'took too long' : `ended with ${error.signal ?? error.code}`;
  return { caught: false, why: `${run}: ${how} and no word why` };
}

/**
 * Runs a mutant until a run catches it.
 * @param {number} number
 * @param {Mutant} mutant
 * @returns {Promise<Outcome>}
 */
async function outcomeOf(number, mutant) {
  const own = join(folder, String(number));
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  cpSync('native/cuda', join(own, 'cuda'), { recursive: true });
  cpSync('native/ops', join(own, 'ops'), { recursive: true });
  const path = join(own, 'cuda', mutant.file);
  const text = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    text.replace(mutant.from, () => mutant.to),
  );
  /** @type {Map<string, string>} */
  const programs = new Map();
  const unexplained = [];
  // The run that is known to catch it first.
  for (const run of [...runs].sort((a, b) => Number(b === mutant.by) - Number(a === mutant.by))) {
    const kind = /** @type {string} */ (run.split(' ')[0]);
    if (!existsSync(join(build, `CMakeFiles/emulated_${mutant.test}_${kind}.dir`))) continue;
    let program = programs.get(kind);
    if (program === undefined) {
      program = await compile(own, mutant, kind);
      programs.set(kind, program);
    }
    const outcome = await execution(program, mutant, run);
    if (outcome.caught) return outcome;
    if (outcome.why !== '') unexplained.push(outcome.why);
  }
  return { caught: false, why: unexplained.join('; ') };
}

const { values, positionals } = parseArgs({
  options: { share: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const chosen = positionals.map(Number);
const share = Number(values.share);
const { output: commit } = await execute('git', ['rev-parse', '--short=7', 'HEAD'], {});
const turn = share > 1 ? Number.parseInt(commit, 16) % share : 0;
const all = [...mutants, ...controls];
for (const [i, { file, from }] of all.entries()) {
  if (readFileSync(join('native/cuda', file), 'utf8').split(from).length !== 2)
    throw new Error(`mutant ${i + 1}: expected once in ${file}: ${from}`);
}
// Controls take the longest, so they begin.
const numbers = all
  .map((_, i) => i + 1)
  .filter((number) => chosen.length === 0 || chosen.includes(number))
  .filter((number) => number % share === turn)
  .sort((a, b) => Number(b > mutants.length) - Number(a > mutants.length));
const count = { planted: 0, caught: 0, controls: 0, survived: 0 };
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const mutant = /** @type {Mutant} */ (all[number - 1]);
      const started = Date.now();
      const { caught, why } = await outcomeOf(number, mutant);
      let verdict = why;
      if (number > mutants.length) {
        ++count.controls;
        const survived = !caught && why === '';
        if (survived) ++count.survived;
        verdict = survived ? 'survived, as it must' : `NO BUG, BUT FAILED: ${why}`;
      } else {
        ++count.planted;
        if (caught) ++count.caught;
        else verdict = `NOT CAUGHT ${why}`;
      }
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      console.log(
        `${number}: ${mutant.file}: ${JSON.stringify(mutant.from)}: ${verdict} (${seconds} s)`,
      );
      rmSync(join(folder, String(number)), { recursive: true });
    }
  }),
);
const { planted, caught, survived } = count;
console.log(
  `${planted} planted, ${caught} caught, ${count.controls} controls, ${survived} survived`,
);
process.exitCode = caught < planted || survived < count.controls ? 1 : 0;
