// npm run fuzz [-- TARGET...] [--seconds N]: fuzzes what reads bytes (targets.js), each target for 60 seconds, guided by
// the coverage of dist. What it keeps lies in build/fuzz/TARGET/corpus and is taken up by the next run. An input that ends
// in anything but an answer or a coded refusal, or in none within 10 seconds, is written beside it, and fails.
// `--input FILE` runs one input.

import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { targets } from './targets.js';

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, input: { type: 'string' } },
  allowPositionals: true,
});
const names = /** @type {(keyof typeof targets)[]} */ (
  positionals.length > 0 ? positionals : Object.keys(targets)
);

/** Fuzzes one target; resolves with whether it held. @param {string} name */
function fuzz(name) {
  const folder = join('build/fuzz', name);
  mkdirSync(folder, { recursive: true });
  const seed = String(Date.now() % 2 ** 31);
  const child = fork(fileURLToPath(new URL('fuzzer.js', import.meta.url)), [
    name,
    join(folder, 'corpus'),
    values.seconds,
    seed,
  ]);
  let last = '';
  let silent = 0;
  const timer = setInterval(() => {
    if (++silent > 10) child.kill('SIGKILL');
  }, 1000);
  child.on('message', (message) => {
    last = /** @type {{ bytes: string }} */ (message).bytes;
    silent = 0;
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearInterval(timer);
      if (code !== 0) {
        const file = join(folder, `failed-${Date.now()}`);
        writeFileSync(file, Buffer.from(last, 'latin1'));
        console.log(`${name}: ended with ${signal ?? code} on ${file}`);
      }
      resolve(code === 0);
    });
  });
}

if (values.input !== undefined) {
  for (const name of names) await targets[name].run(readFileSync(values.input));
} else {
  let failed = 0;
  for (const name of names) if (!(await fuzz(name))) ++failed;
  console.log(`fuzz: ${names.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
