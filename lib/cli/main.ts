#!/usr/bin/env node
/** The command line: one command a file. Errors go to stderr; exit code 1, or 2 for a wrong command line. */

import { UsageError } from './arguments.js';
import * as bench from './bench.js';
import * as generate from './generate.js';
import * as info from './info.js';
import * as plan from './plan.js';
import * as predict from './predict.js';

const commands: Record<string, { help: string; run(args: string[]): Promise<void> }> = {
  generate,
  predict,
  plan,
  bench,
  info,
};

const help = `magnets: masked generative transformers with nested widths

  magnets generate   pictures or videos from a model
  magnets predict    how given frames of a video go on
  magnets plan       what a schedule costs, by formula
  magnets bench      FLOPs and time beside the full-size baseline
  magnets info       what this machine offers

magnets COMMAND --help says more.`;

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
