// One target, fuzzed with the coverage that V8 counts: an input that runs a block of dist that none has run yet, or runs
// it far more often, is kept and changed further. The child process of run.js, which sees whether it hangs or dies.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { damaged, Random } from '../mutated/random.js';

const [name = '', folder = '', seconds = '60', seed = '1'] = process.argv.slice(2);

const session = new Session();
session.connect();
session.post('Profiler.enable');
// Before the package is loaded: what is compiled earlier counts no blocks.
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
const { targets } = await import('./targets.js');
const { run, seeds } = targets[/** @type {keyof typeof targets} */ (name)];

const root = new URL('../../dist/', import.meta.url).href;
/** Blocks that have run, and the power of two of how often in one input. @type {Set<string>} */
const reached = new Set();

/** Whether the last input reached something new. */
function reachedMore() {
  const before = reached.size;
  session.post('Profiler.takePreciseCoverage', (_, { result }) => {
    for (const { url, functions } of result) {
      if (!url.startsWith(root)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) reached.add(`${url}:${startOffset}:${endOffset}:${Math.clz32(count)}`);
        }
      }
    }
  });
  return reached.size > before;
}

const random = new Random(Number(seed));
mkdirSync(folder, { recursive: true });
const kept = readdirSync(folder).map((file) => readFileSync(join(folder, file)));
const corpus = [...seeds, ...kept];

/** Words of the corpus, to be put elsewhere. @param {Buffer} bytes */
function word(bytes) {
  const from = random.below(bytes.length + 1);
  return bytes.subarray(from, from + 1 + random.below(random.of([4, 16, 64])));
}

/** @param {Buffer} bytes */
function changed(bytes) {
  if (random.chance(0.6)) return damaged(bytes, random);
  const at = random.below(bytes.length + 1);
  const after = random.chance(0.5) ? at : at + random.below(8);
  return Buffer.concat([bytes.subarray(0, at), word(random.of(corpus)), bytes.subarray(after)]);
}

/** @param {Buffer} bytes */
async function attempt(bytes) {
  process.send?.({ bytes: bytes.toString('latin1') });
  await run(bytes);
}

const until = performance.now() + 1000 * Number(seconds);
for (const bytes of corpus) {
  await attempt(bytes);
  reachedMore();
}
let runs = corpus.length;
for (; performance.now() < until; ++runs) {
  let bytes = changed(random.of(corpus));
  while (random.chance(0.5)) bytes = changed(bytes);
  if (bytes.length > 2 ** 16) continue;
  await attempt(bytes);
  if (!reachedMore()) continue;
  corpus.push(bytes);
  writeFileSync(join(folder, `${Date.now()}-${runs}`), bytes);
}
console.log(`${name}: ${runs} runs, ${reached.size} places, ${corpus.length} inputs kept`);
process.exit();
