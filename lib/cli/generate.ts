import type { Label } from '../runtime/request.js';
import { parse, valuesOf } from './arguments.js';
import {
  generateToFiles,
  sharedArguments,
  sharedHelp,
  sharedOptions,
} from './generate-to-files.js';
import { guidanceArguments, guidanceHelp, guidanceOptions } from './sampling-options.js';

export const help = `magnets generate [LABEL...] [--model fashion] --out out.png

Generates pictures or videos of the given classes. A label is a class name, a class number or 'none'; with a larger
--count the labels repeat in turn.

  --model NAME      a bundled model or a checkpoint folder; default fashion
  --label LABEL     the same as LABEL alone; may be repeated
  --count N         samples; default: as many as labels
${guidanceHelp}
${sharedHelp}`;

export async function run(args: string[]): Promise<void> {
  const options = {
    ...sharedOptions,
    label: { type: 'string', multiple: true },
    ...guidanceOptions,
  } as const;
  const { values, tokens } = parse(args, options, true);
  const labels = valuesOf(tokens, 'label').map((label): Label => {
    if (label === 'none') return null;
    return /^\d+$/.test(label) ? Number(label) : label;
  });
  await generateToFiles(
    values,
    (model) =>
      model.generate({
        ...sharedArguments(values),
        labels: labels.length > 0 ? labels : undefined,
        ...guidanceArguments(values),
      }),
    (result) => result.pixels,
  );
}
