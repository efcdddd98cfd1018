import { info } from '../runtime/device.js';
import { parse, printJson } from './arguments.js';

export const help = `magnets info [--json]

Backends, instruction sets and threads of this machine, and why a backend is not used.`;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, { json: { type: 'boolean', default: false } });
  const result = info();
  if (values.json) return printJson(result);
  console.log(`magnets ${result.version}`);
  for (const { name, available, reason } of result.backends) {
    console.log(`${name}: ${available ? 'available' : `not used: ${reason}`}`);
  }
  for (const [i, { name, computeCapability }] of result.cuda.devices.entries()) {
    console.log(`cuda:${i}: ${name}, compute capability ${computeCapability}`);
  }
  console.log(`instruction sets: ${result.cpu.instructionSets.join(', ')} (the first is used)`);
  console.log(`threads: ${result.cpu.threads}`);
}
