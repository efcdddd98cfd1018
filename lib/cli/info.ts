import { cpus } from 'node:os';
import { type Info, info } from '../runtime/device.js';
import { inspect } from '../runtime/inspect.js';
import { parse, toNumber, UsageError } from './arguments.js';
import { deviceArguments, deviceHelp, deviceOptions } from './device-options.js';
import { describe } from './inspection.js';
import { printJson } from './output.js';

export const help = `magnets info [--json]
magnets info PATH [--tokenizer PATH] [--count 1] [--json]

Without a PATH prints the devices, instruction sets and threads of this machine that magnets can use, and why it cannot
use others. With one it says what is there, without reading the weights: the name of a bundled model, a checkpoint folder,
or the file or folder of a public model that convert takes. What convert would refuse is refused with the same reason.

  --tokenizer PATH  the tokenizer that a public model is to be converted with
  --heads N         attention heads of a public model of another size than the released ones
  --count N         samples of the request whose memory is estimated; default 1
${deviceHelp}
  --json            print JSON`;

/** How kernels are chosen, by where the choice comes from. */
const ways = {
  tuned: 'as measured here',
  table: 'as measured on such a device',
  formula: 'by formula',
} as const;

function describeMachine(result: Info): void {
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

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      tokenizer: { type: 'string' },
      heads: { type: 'string' },
      count: { type: 'string' },
      ...deviceOptions,
      json: { type: 'boolean', default: false },
    },
    true,
  );
  const { json, ...ofPath } = values;
  const [path, ...more] = positionals;
  if (more.length > 0) throw new UsageError('Expected one PATH');
  if (path === undefined) {
    const [option] = Object.keys(ofPath);
    if (option !== undefined) throw new UsageError(`Expected a PATH with --${option}`);
    const machine = info();
    return json ? printJson(machine) : describeMachine(machine);
  }
  const inspection = await inspect(path, {
    ...deviceArguments(values),
    tokenizer: values.tokenizer,
    heads: toNumber('heads', values.heads),
    count: toNumber('count', values.count),
  });
  if (json) printJson(inspection);
  else console.log(describe(inspection).join('\n'));
}
