// npm run test:asan, npm run test:tsan: the addon and the C++ tests of the CPU, built under a sanitizer in a folder of
// their own; then the C++ tests, and the TypeScript tests that reach the addon, in Node with the sanitizer's runtime
// preloaded. Node is not watched itself: test/native/tsan.supp says what of it is passed over.

import { execFileSync, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

/** What follows from the sanitizer's name. */
const sanitizers = {
  address: {
    // AddressSanitizer's comes first, then what its reports of C++ exceptions need.
    libraries: ['libasan.so', 'libubsan.so', 'libstdc++.so'],
    options: {
      // V8 maps its own memory, in which pointers to ours are not found, so a leak at the end is not told from what lives.
      ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  },
  thread: {
    libraries: ['libtsan.so', 'libstdc++.so'],
    options: {
      TSAN_OPTIONS: `halt_on_error=1:suppressions=${resolve('test/native/tsan.supp')}`,
    },
  },
};

/** Tests of everything that crosses to the addon, but for those that measure memory or preload a library themselves. */
const tests = [
  'arguments',
  'generate',
  'golden',
  'hostile-files',
  'int8',
  'predict',
  'titok-tokenizer',
];

const name = /** @type {keyof typeof sanitizers} */ (process.argv[2]);
if (!Object.hasOwn(sanitizers, name))
  throw new RangeError(`Expected address or thread but received ${name}`);
const { libraries, options } = sanitizers[name];
const build = `build/${name}`;

/** @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} [env] */
function run(command, args, env) {
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (status !== 0) process.exit(status ?? 1);
}

const settings = [`SANITIZER=${name}`, 'CUDA=OFF', 'TESTS=ON', 'EMULATION=OFF'];
const out = `${build}/build/Release`; // where node-gyp-build looks
run('npx', ['cmake-js', 'build', '--out', out, ...settings.map((one) => `--CDMAGNETS_${one}`)]);
run('ctest', ['--test-dir', out, '--output-on-failure', '--timeout', '3600'], options);

const preloaded = libraries.map((library) =>
  execFileSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' }).trim(),
);
const files = tests.map((test) => `test/lib/${test}.test.ts`);
run('npx', ['tap', '--disable-coverage', '--jobs=1', '--timeout=3600', ...files], {
  ...options,
  LD_PRELOAD: preloaded.join(' '),
  MAGNETS_PREBUILD: resolve(build),
  CUDA_VISIBLE_DEVICES: '',
});
