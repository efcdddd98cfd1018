#!/usr/bin/env node
/**
 * The command line: one command a file. Errors go to stderr, with their stack where the environment has DEBUG; the exit
 * code is 1, or 2 for a wrong command line.
 */

import { UsageError } from './arguments.js';
import * as bench from './bench.js';
import * as convert from './convert.js';
import * as generate from './generate.js';
import * as info from './info.js';
import * as plan from './plan.js';
import * as predict from './predict.js';

const commands: Record<string, { help: string; run(args: string[]): Promise<void> }> = {
  generate,
  predict,
  plan,
  bench,
  convert,
  info,
};

const help = `magnets: masked generative transformers with nested widths

  magnets generate   generate pictures or videos with a model
  magnets predict    predict how given frames of a video go on
  magnets plan       print what a schedule costs, by formula
  magnets bench      measure FLOPs and time, compared with the full-size baseline
  magnets convert    make a checkpoint folder of a public model
  magnets info       print what magnets can use on this machine

magnets COMMAND --help prints the options of a command.`;

async function main([name, ...args]: string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === 'help') return console.log(help);
  if (!Object.hasOwn(commands, name)) {
    const names = Object.keys(commands).join(', ');
    throw new UsageError(`Expected a command (${names}) but received ${JSON.stringify(name)}`);
  }
  const command = commands[name]!;
  if (args.includes('--help')) return console.log(command.help);
  await command.run(args);
}

main(process.argv.slice(2)).catch((error: Error) => {
  console.error(process.env.DEBUG ? error : `magnets: ${error.message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
