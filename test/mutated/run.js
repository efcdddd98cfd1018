// npm run test:mutated [-- NUMBER...]: 10,000 mutated models, PNGs and APNGs, each of which must be refused with a code or
// work, in 10 seconds and 1 GiB, without an end of the process. With `--seconds N` as many as that time allows, other ones
// for another commit. Ends with `mutated: N passed, M failed`; a case that failed runs again by its number.

import { execFileSync, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { caseCount, kindOf } from './cases.js';

const worker = fileURLToPath(new URL('worker.js', import.meta.url));

/** A worker is replaced after so many cases, so that what one leaves behind does not add up. */
const casesOfWorker = 1000;

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: 'Infinity' },
    // Under a sanitizer both are more.
    patience: { type: 'string', default: '10' },
    mebibytes: { type: 'string', default: '1024' },
  },
  allowPositionals: true,
});
const until = performance.now() + 1000 * Number(values.seconds);
const patience = Number(values.patience);
const most = Number(values.mebibytes);

/** Numbers in an order in which kinds take turns, and that begins elsewhere for every commit. @returns {number[]} */
function numbersInOrder() {
  if (positionals.length > 0) return positionals.map(Number);
  const commit = execFileSync('git', ['rev-parse', '--short=7', 'HEAD'], { encoding: 'utf8' });
  const first = Number.isFinite(until) ? Number.parseInt(commit, 16) % caseCount : 0;
  return Array.from({ length: caseCount }, (_, i) => (first + i) % caseCount);
}

/** How one case ended. @param {import('node:child_process').ChildProcess} child @param {number} number */
function answer(child, number) {
  /** @type {Promise<{ outcome: string, failure: string, mebibytes: number }>} */
  const answered = new Promise((resolve) => {
    const fail = (/** @type {string} */ failure) => resolve({ outcome: '', failure, mebibytes: 0 });
    let seconds = 0; // counted one by one: those in which all processes were stopped do not count
    const timer = setInterval(() => {
      if (++seconds < patience) return;
      clearInterval(timer);
      fail(`no answer in ${patience} seconds`);
      child.kill('SIGKILL');
    }, 1000);
    const ended = (/** @type {number | null} */ code, /** @type {string | null} */ signal) => {
      clearInterval(timer);
      fail(`the process ended with ${signal ?? code}`);
    };
    child.once('exit', ended);
    child.once('message', (message) => {
      clearInterval(timer);
      child.off('exit', ended);
      resolve(/** @type {any} */ (message));
    });
    child.send(number);
  });
  return answered;
}

const numbers = numbersInOrder();
/** @type {Record<string, number>} */
const outcomes = {};
let [next, passed, failed] = [0, 0, 0];

async function work() {
  while (next < numbers.length && performance.now() < until) {
    const child = fork(worker);
    for (let i = 0; i < casesOfWorker && next < numbers.length && performance.now() < until; ++i) {
      const number = /** @type {number} */ (numbers[next++]);
      const { outcome, failure, mebibytes } = await answer(child, number);
      const large = mebibytes > most ? `it took ${mebibytes.toFixed(0)} MiB` : '';
      if (failure !== '' || large !== '') {
        ++failed;
        console.log(`${number}: ${kindOf(number)}: ${failure || large}`);
        break; // a process that failed is not used again
      }
      ++passed;
      const key = `${kindOf(number)}: ${outcome}`;
      outcomes[key] = (outcomes[key] ?? 0) + 1;
    }
    child.kill('SIGKILL');
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
for (const [key, count] of Object.entries(outcomes).sort()) console.log(`${key}: ${count}`);
console.log(`mutated: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
