// Kernels of a cubin, which is an ELF file: registers and tensor-core instructions. cuobjdump, which tells the same, does
// not come with the packages that have the compiler.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

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

/**
 * Registers by the number of the kernel's symbol: attribute 0x2f of .nv.info, (format, attribute, size, symbol, value).
 * @param {Buffer} info
 */
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

/** @param {Buffer} code of a kernel */
function countInstructions(code) {
  /** @type {number[]} */
  const instructions = [];
  for (let at = 0; at < code.length; at += 16) instructions.push(code.readUInt16LE(at) & 0xfff);
  return /** @type {InstructionCounts} */ (
    Object.fromEntries(
      Object.entries(opcodes).map(([kind, codes]) => [
        kind,
        instructions.filter((opcode) => codes.includes(opcode)).length,
      ]),
    )
  );
}

/** @param {string} file a cubin @returns {Kernel[]} */
export function kernelsOf(file) {
  // A file that is built for one target, sm_90a, has no target in its name.
  const target = /\.compute_(\w+?)\./.exec(basename(file))?.[1] ?? '90a';
  const all = sections(file);
  const info = all.find(({ name }) => name === '.nv.info')?.bytes() ?? Buffer.alloc(0);
  const registers = registerCounts(info);
  return all
    .filter(({ name }) => name.startsWith('.text.'))
    .map(({ name, info, bytes }) => ({
      name: demangled(name),
      target: `sm_${target}`,
      registers: registers.get(info & 0xffffff),
      ...countInstructions(bytes()),
    }));
}
