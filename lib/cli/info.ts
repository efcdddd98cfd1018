import { cpus } from 'node:os';
import { info } from '../runtime/device.js';
import { parse } from './arguments.js';
import { printJson } from './output.js';

export const help = `magnets info [--json]

Prints the devices, instruction sets and threads of this machine that magnets can use, and why it cannot use others.

  --json            print JSON`;

/** How kernels are chosen, by where the choice comes from. */
const ways = {
  tuned: 'as measured here',
  table: 'as measured on such a device',
  formula: 'by formula',
} as const;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, { json: { type: 'boolean', default: false } });
  const result = info();
  if (values.json) return printJson(result);
  const [best, ...others] = result.cpu.instructionSets;
  console.log(
    `magnets ${result.version}, Node ${process.version}, ${process.platform}-${process.arch}`,
  );
  for (const { name, available, reason } of result.backends) {
    console.log(`${name}: ${available ? 'available' : `not used: ${reason}`}`);
  }
  console.log(`processor: ${cpus()[0]?.model ?? 'unknown'}`);
  console.log(`instruction set: ${best} (others: ${others.join(', ') || 'none'})`);
  console.log(`threads: ${result.cpu.threads}`);
  for (const [i, { name, computeCapability, tiles }] of result.cuda.devices.entries()) {
    console.log(`cuda:${i}: ${name}, compute capability ${computeCapability}`);
    console.log(
      `cuda:${i}: kernels are chosen ${ways[tiles.source]}${tiles.file ? ` (${tiles.file})` : ''}`,
    );
  }
}
