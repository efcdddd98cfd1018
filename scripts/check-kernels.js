// node scripts/check-kernels.js [--write]: what the compiler made of the CUDA kernels, read from the cubins that
// `MAGNETS_KEEP_CUBINS=1 npm run build:native` leaves. Fails where a kernel spills, where one that should use tensor
// cores does not, and where registers or shared memory differ from bench/results/kernels.json (--write renews it). It looks
// at the targets that were built.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { formatResults, resultFile } from '../dist/cli/result-file.js';

const folder = 'build/Release/cubins';
const table = 'bench/results/kernels.json';
const listKernels = 'build/test/test/cuda/list_kernels';

/** Low 12 bits of a SASS instruction of 16 bytes. */
const opcodes = {
  mma: [0x23c],
  wgmma: [0x9f0, 0xdf0], // with the left operand in shared memory, in registers
  ldmatrix: [0x83b],
  cpAsync: [0xfae],
  tma: [0x5b4],
  localLoads: [0x983],
  localStores: [0x387, 0x987],
};

/** @typedef {Record<keyof typeof opcodes, number>} InstructionCounts */
/** @typedef {{ name: string, target: string, registers: number | undefined } & InstructionCounts} Kernel */

/** Sections of a 64-bit ELF file: name, info and bytes. @param {string} file */
function sections(file) {
  const elf = readFileSync(file);
  const offset = Number(elf.readBigUInt64LE(40));
  const size = elf.readUInt16LE(58);
  const header = (/** @type {number} */ i) => elf.subarray(offset + i * size);
  const headers = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => header(i));
  const bytes = (/** @type {Buffer} */ header) => {
    const start = Number(header.readBigUInt64LE(24));
    return elf.subarray(start, start + Number(header.readBigUInt64LE(32)));
  };
  const names = bytes(header(elf.readUInt16LE(62)));
  const nameAt = (/** @type {number} */ at) => names.toString('latin1', at, names.indexOf(0, at));
  return headers.map((header) => ({
    name: nameAt(header.readUInt32LE(0)),
    info: header.readUInt32LE(44),
    bytes: () => bytes(header),
  }));
}

/** Registers by the number of the kernel's symbol: attribute 0x2f of .nv.info, (format, attribute, size, symbol, value). @param {Buffer} info */
function registerCounts(info) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (let at = 0; at < info.length; ) {
    const sized = info[at] === 4;
    if (sized && info[at + 1] === 0x2f)
      counts.set(info.readUInt32LE(at + 4), info.readUInt32LE(at + 8));
    at += 4 + (sized ? info.readUInt16LE(at + 2) : 0);
  }
  return counts;
}

/** '…attention_kernelINS0_4bf16ELi64ELi2EEE…' -> 'attention_kernel<bf16, 64, 2>' @param {string} symbol */
function demangled(symbol) {
  const match = /\d+((?:[a-z]+_)+kernel)(?:I(.*?)EEv)?/.exec(symbol);
  if (match === null) throw new Error(`${symbol}: expected the name of a kernel`);
  const [, name = '', parameters = ''] = match;
  const values = [...parameters.matchAll(/(bf16|f16)|L[ib](\d+)/g)].map(
    ([, type, number]) => type ?? number,
  );
  return values.length > 0 ? `${name}<${values.join(', ')}>` : name;
}

/** @param {string} file @returns {Kernel[]} */
function kernelsOf(file) {
  // A file that is built for one target, sm_90a, has no target in its name.
  const target = /\.compute_(\w+?)\./.exec(file)?.[1] ?? '90a';
  const all = sections(join(folder, file));
  const registers = registerCounts(
    all.find(({ name }) => name === '.nv.info')?.bytes() ?? Buffer.alloc(0),
  );
  return all
    .filter(({ name }) => name.startsWith('.text.'))
    .map(({ name, info, bytes }) => {
      const code = bytes();
      /** @type {number[]} */
      const instructions = [];
      for (let at = 0; at < code.length; at += 16) {
        instructions.push(code.readUInt16LE(at) & 0xfff);
      }
      const counts = /** @type {InstructionCounts} */ (
        Object.fromEntries(
          Object.entries(opcodes).map(([key, codes]) => [
            key,
            instructions.filter((opcode) => codes.includes(opcode)).length,
          ]),
        )
      );
      return {
        name: demangled(name),
        target: `sm_${target}`,
        registers: registers.get(info & 0xffffff),
        ...counts,
      };
    });
}

/** @param {Kernel} kernel */
function faults({ name, target, registers, localLoads, localStores, mma, wgmma, tma }) {
  const found = [];
  if (registers === undefined) found.push('has no count of registers');
  if (localLoads + localStores > 0) found.push('uses local memory');
  if (/^(matmul_mma|attention|wide_attention)_kernel/.test(name) && mma === 0)
    found.push('has no HMMA');
  if (/_wgmma_kernel/.test(name) && (wgmma === 0 || tma === 0))
    found.push('has no HGMMA or no UTMALDG');
  return found.map((fault) => `${name} for ${target} ${fault}`);
}

if (!existsSync(folder)) {
  console.log(
    'kernels: skipped, no cubins (MAGNETS_KEEP_CUBINS=1 npm run build:native, with nvcc 12.8 or later)',
  );
  process.exit(0);
}
const versionText = execFileSync('nvcc', ['--version'], { encoding: 'utf8' });
const compiler = `nvcc ${/ V([\d.]+)/.exec(versionText)?.[1]}`;
const shared = JSON.parse(execFileSync(listKernels, { encoding: 'utf8' }));
const kernels = readdirSync(folder)
  .filter((file) => file.endsWith('.cubin'))
  .flatMap(kernelsOf)
  .map((row) => ({ ...row, shared: shared[row.name.replace(/<b?f16/, '<T')] ?? 0 }))
  .sort((a, b) => (a.name + a.target < b.name + b.target ? -1 : 1));
const problems = kernels.flatMap(faults);
if (new Set(kernels.map((row) => row.name + row.target)).size < kernels.length)
  problems.push(`${folder} has a kernel twice, from two builds: delete it and build again`);

if (process.argv.includes('--write')) {
  const result = resultFile({ compiler }, 'node scripts/check-kernels.js --write', {}, kernels);
  writeFileSync(table, formatResults(result));
} else {
  const committed = JSON.parse(readFileSync(table, 'utf8'));
  const targets = new Set(kernels.map(({ target }) => target));
  const expected = committed.rows.filter((/** @type {Kernel} */ { target }) => targets.has(target));
  if (committed.device.compiler !== compiler) {
    console.log(
      `kernels: ${table} is of ${committed.device.compiler}, here is ${compiler}: registers not compared`,
    );
  } else if (!isDeepStrictEqual(expected, kernels)) {
    problems.push(`${table} differs from what was compiled: node scripts/check-kernels.js --write`);
  }
}
for (const problem of problems) console.log(problem);
console.log(`kernels: ${kernels.length - problems.length} passed, ${problems.length} failed`);
process.exitCode = problems.length > 0 ? 1 : 0;
