import { number } from '../errors.js';
import type { DeviceOptions } from '../runtime/device.js';
import { checkedOutCommit } from '../runtime/machine.js';
import { tunedFile } from '../runtime/tiles.js';
import { type TuneResult, tune } from '../runtime/tune.js';
import { parse, shapeOf, toNumber, UsageError } from './arguments.js';
import { toBatches } from './bench.js';
import { progress, table } from './output.js';
import { OutputFile } from './output-file.js';

export const help = `magnets tune --model L [--batch 1,8,64] [--steps 12] [--schedule paper] [--guidance 2] [--device cuda] [--out FILE]

Measures which kernels multiply fastest on a CUDA device, for the products of a schedule and of the baseline. Models that are
loaded from then on use what it found; samples stay the same. It is kept in the user's cache folder, for this device, driver
and version of magnets alone, until the next run; without the file kernels are chosen as before.

  --model NAME      as for plan; default L
  --batch N,...     numbers of samples at once that will be asked for; default 1,8,64
  --steps N         decode steps; default: as many as the schedule has, else 12
  --schedule S      as for plan; default paper
  --guidance W      above 0 both branches are computed, which doubles the rows; default 2
  --device NAME     cuda or cuda:N; default cuda
  --compute TYPE    bf16 or f16; default bf16. What is found is used for both
  --out FILE        write the file there instead, where nothing uses it`;

/** The file: one line for each product. */
function toFile({ device, version, compute, rows }: TuneResult, args: readonly string[]): string {
  const head = {
    device,
    commit: checkedOutCommit(),
    command: ['npx', 'magnets', 'tune', ...args].join(' '),
    date: new Date().toISOString().slice(0, 10),
    version,
    compute,
  };
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  return `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [\n${lines}\n  ]\n}\n`;
}

const microseconds = (seconds: number) => (1e6 * seconds).toFixed(1);

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    batch: { type: 'string', default: '1,8,64' },
    steps: { type: 'string' },
    schedule: { type: 'string', default: 'paper' },
    guidance: { type: 'string', default: '2' },
    device: { type: 'string', default: 'cuda' },
    compute: { type: 'string' },
    out: { type: 'string' },
  });
  if (values.out === '') throw new UsageError('Expected a file for --out but received ""');
  const elsewhere =
    values.out === undefined ? undefined : await OutputFile.prepare('out', values.out);
  const result = await tune({
    device: values.device as DeviceOptions['device'],
    compute: values.compute as DeviceOptions['compute'],
    model: await shapeOf(values.model),
    batches: toBatches(values.batch),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    guidance: number('guidance', toNumber('guidance', values.guidance), 0),
    onProgress: (done, total) => progress('tune', done, total),
  });
  const path = values.out ?? tunedFile(result.on);
  await (elsewhere ?? (await OutputFile.prepare('out', path))).write(toFile(result, args));
  const better = result.rows.filter(({ tile, formula }) => tile !== formula);
  const cells = better.map(({ rows, out, in: inputs, products, tile, formula, medians }) => [
    `${rows} x ${products === 1 ? '' : `${products} * `}${out} x ${inputs}`,
    `${tile}, ${microseconds(medians[tile]!)} us`,
    `${formula}, ${microseconds(medians[formula]!)} us`,
  ]);
  if (better.length > 0) console.log(table(['product', 'fastest', 'by formula'], cells));
  const all = `${better.length} of ${result.rows.length} products have a faster kernel than by formula`;
  console.log(`${result.device.name}: ${all}; written to ${path}`);
}
