import type { Label } from '../runtime/request.js';
import { parse, toNumber, valuesOf } from './arguments.js';
import { decodeToFiles, decodingArguments, decodingHelp, decodingOptions } from './decoding.js';

export const help = `magnets generate [LABEL...] [--model fashion] --out out.png

Generates pictures or videos of the given classes (names, numbers or 'none'), in turn up to --count.

  --model NAME      a bundled model or a checkpoint folder (fashion)
  --label LABEL     the same as LABEL alone; may be repeated
  --count N         samples (as many as labels)
  --guidance W      classifier-free guidance (the model's default)
${decodingHelp}`;

export async function run(args: string[]): Promise<void> {
  const options = {
    ...decodingOptions,
    label: { type: 'string', multiple: true },
    guidance: { type: 'string' },
  } as const;
  const { values, tokens } = parse(args, options, true);
  const labels = valuesOf(tokens, 'label').map((label): Label => {
    if (label === 'none') return null;
    return /^\d+$/.test(label) ? Number(label) : label;
  });
  await decodeToFiles(values, (model) =>
    model.generate({
      ...decodingArguments(values),
      labels: labels.length > 0 ? labels : undefined,
      guidance: toNumber('guidance', values.guidance),
    }),
  );
}
