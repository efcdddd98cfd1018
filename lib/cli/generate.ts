import type { Label } from '../runtime/ids.js';
import type { Model } from '../runtime/model.js';
import { parse, valuesOf } from './arguments.js';
import { generateToFiles } from './generate-to-files.js';
import { guidanceArguments, guidanceHelp, guidanceOptions } from './sampling-options.js';
import { sharedArguments, sharedHelp, sharedOptions } from './shared-options.js';

export const help = `magnets generate [LABEL...] [--model fashion] --out out.png

Generates pictures or videos of the given classes. A label is a class name, a class number or 'none'; with a larger
--count the labels repeat in turn. Where a class is called by digits or none, the name comes first.

  --model NAME      a bundled model or a checkpoint folder; default fashion
  --label LABEL     the same as LABEL alone; may be repeated
  --count N         samples; default: as many as labels
${guidanceHelp}
${sharedHelp}`;

/** A name of the model's own comes first: a class may be called 3, or none. */
function toLabel(text: string, { config }: Model): Label {
  if (config.classLabels.includes(text)) return text;
  if (text === 'none') return null;
  return /^\d+$/.test(text) ? Number(text) : text;
}

export async function run(args: string[]): Promise<void> {
  const options = {
    ...sharedOptions,
    label: { type: 'string', multiple: true },
    ...guidanceOptions,
  } as const;
  const { values, tokens } = parse(args, options, true);
  const given = valuesOf(tokens, 'label');
  await generateToFiles(
    values,
    (model, part) => {
      const labels = given.map((text) => toLabel(text, model));
      const shared = { ...sharedArguments(values), ...part };
      const { firstSample = 0 } = shared; // sample N has the label that is N-th in turn
      const turned = labels.map((_, i) => labels.at((firstSample + i) % labels.length)!);
      return model.generate({
        ...shared,
        labels: labels.length > 0 ? turned : undefined,
        ...guidanceArguments(values),
      });
    },
    (result) => result.pixels,
  );
}
