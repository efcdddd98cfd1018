#!/usr/bin/env node
/**
 * The command line: one command a file. Errors go to stderr, with their stack where the environment has DEBUG; the exit
 * code is 1, 2 for a wrong command line, or that of the signal by which somebody has ended a command.
 */

import { quote } from '../errors.js';
import { packageVersion } from '../runtime/package.js';
import { UsageError } from './arguments.js';
import * as bench from './bench.js';
import * as convert from './convert.js';
import * as generate from './generate.js';
import * as info from './info.js';
import { Interrupted } from './interrupts.js';
import { endProgress } from './output.js';
import * as plan from './plan.js';
import * as predict from './predict.js';
import * as tune from './tune.js';

const commands: Record<string, { help: string; run(args: string[]): Promise<void> }> = {
  generate,
  predict,
  plan,
  bench,
  tune,
  convert,
  info,
};

const help = `magnets: masked generative transformers with nested widths

  magnets generate   generate pictures or videos with a model
  magnets predict    predict how given frames of a video continue
  magnets plan       print what a schedule costs, by formula
  magnets bench      measure FLOPs and time, compared with the full-size baseline
  magnets tune       measure which kernels are fastest on a CUDA device
  magnets convert    make a checkpoint folder of a public model
  magnets info       print what magnets can use on this machine

magnets COMMAND --help (or -h) prints the options of a command, magnets --version the version.`;

/** The reader of the output may stop early, as in `magnets plan | head`, and the disk may be full. */
function endWithOutput(this: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit();
  if (this === process.stdout) console.error(`magnets: cannot write the output: ${error.message}`);
  process.exit(1);
}

const asksForHelp = (arg: string) => arg === '--help' || arg === '-h';

async function main([name, ...args]: string[]): Promise<void> {
  if (name === undefined || name === 'help' || asksForHelp(name)) return console.log(help);
  if (name === '--version') return console.log(packageVersion());
  if (!Object.hasOwn(commands, name)) {
    const names = Object.keys(commands).join(', ');
    throw new UsageError(`Expected a command (${names}) but received ${quote(name)}`);
  }
  const command = commands[name]!;
  const end = args.indexOf('--'); // what follows are no options
  if (args.slice(0, end < 0 ? args.length : end).some(asksForHelp)) {
    return console.log(command.help);
  }
  await command.run(args);
}

process.stdout.on('error', endWithOutput);
process.stderr.on('error', endWithOutput);
main(process.argv.slice(2)).catch((error: Error) => {
  endProgress();
  console.error(process.env.DEBUG ? error : `magnets: ${error.message}`);
  process.exitCode = 1;
  if (error instanceof UsageError) process.exitCode = 2;
  if (error instanceof Interrupted) process.exitCode = error.exitCode;
});
