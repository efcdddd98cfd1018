import type { WeightFormat } from '../checkpoint/convert/numbers.js';
import { type ConvertedPart, convert } from '../runtime/convert.js';
import { parse, toNumber, UsageError } from './arguments.js';
import { abortWhenInterrupted } from './interrupts.js';
import { progress } from './output.js';

export const help = `magnets convert PATH --to FOLDER [--tokenizer PATH]

Converts a public model into a checkpoint folder, which --model of the other commands takes. PATH is a file, or a folder
with one; its contents say which model it is: MaskGIT (flax), Halton-MaskGIT, MaskBit, TiTok, or a tokenizer of theirs
alone.

  --to FOLDER       the folder to write; it must not exist yet
  --tokenizer PATH  its tokenizer: MaskGIT's (flax or PyTorch), LlamaGen's VQ-16, MaskBit's or TiTok's; without it no
                    pixels
  --weights FORMAT  f32, f16, bf16 or int8: how the weights are stored; default f32
  --heads N         attention heads of a Halton-MaskGIT, MaskBit or TiTok of another size than the released ones`;

function print({ part, origin, tensors, values, dropped }: ConvertedPart): void {
  const size = `${tensors} tensors, ${(values / 1e6).toPrecision(4)} million values`;
  console.log(`${part}: ${origin.name}, ${size}`);
  for (const what of dropped) console.log(`  left out: ${what}`);
  console.log(`  licence of the source: ${origin.licence}`);
}

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      to: { type: 'string' },
      tokenizer: { type: 'string' },
      weights: { type: 'string' },
      heads: { type: 'string' },
    },
    true,
  );
  if (positionals.length !== 1) throw new UsageError('Expected one PATH to convert');
  if (values.to === undefined) throw new UsageError('Expected --to FOLDER');
  // An interrupt leaves nothing half-written behind.
  const stop = new AbortController();
  const ignore = abortWhenInterrupted(stop);
  try {
    const parts = await convert(positionals[0]!, {
      to: values.to,
      tokenizer: values.tokenizer,
      weights: values.weights as WeightFormat | undefined,
      heads: toNumber('heads', values.heads),
      signal: stop.signal,
      onProgress: ({ done, total }) => progress('convert', done, total),
    });
    parts.forEach(print);
    if (parts[0]!.part === 'tokenizer') {
      console.log(`a tokenizer alone: place ${values.to} as tokenizer/ in a generator's folder`);
    }
  } finally {
    ignore();
  }
}
