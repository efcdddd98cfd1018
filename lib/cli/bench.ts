import { integer, number } from '../errors.js';
import { bench } from '../runtime/bench.js';
import { formatFlops, parse, printJson, progress, shapeOf, table, toNumber } from './arguments.js';

export const help = `magnets bench --model L [--batch 1] [--steps 12] [--schedule paper] [--threads N] [--json]

FLOPs and time beside the full-size baseline: random weights, the two interleaved, medians.

  --model NAME      as for plan
  --batch N         samples at once (1)
  --steps N         decode steps (the schedule's own, else 12)
  --schedule S      as for plan ('paper')
  --guidance W      classifier-free guidance; above 0 both halves run (0)
  --device NAME     auto, cpu, cuda or cuda:N (auto)
  --threads N       threads of the CPU that compute (all that the process may use)
  --weights NAME    format of the weights: f32 or bf16 on the CPU (f32), that of --compute on a CUDA device
  --compute NAME    f32 on the CPU, bf16 or f16 on a CUDA device (bf16)
  --repeats N       timed runs of each (3)
  --json            print JSON`;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    batch: { type: 'string', default: '1' },
    steps: { type: 'string' },
    schedule: { type: 'string', default: 'paper' },
    guidance: { type: 'string', default: '0' },
    device: { type: 'string', default: 'auto' },
    threads: { type: 'string' },
    weights: { type: 'string', default: 'auto' },
    compute: { type: 'string', default: 'auto' },
    repeats: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  });
  const result = await bench({
    model: await shapeOf(values.model),
    batch: integer('batch', toNumber('batch', values.batch), 1, 65536),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    guidance: number('guidance', toNumber('guidance', values.guidance), 0),
    threads: toNumber('threads', values.threads),
    device: values.device as 'auto',
    weights: values.weights as 'auto',
    compute: values.compute as 'auto',
    repeats: integer('repeats', toNumber('repeats', values.repeats), 1, 1000),
    onProgress: (done, of) => progress('bench', done, of),
  });
  if (values.json) return printJson(result);

  const { parts, baselineParts, seconds, baselineSeconds } = result;
  const column = (name: keyof typeof parts) => [
    name,
    formatFlops(parts[name]),
    formatFlops(baselineParts[name]),
    `${(baselineParts[name] / parts[name]).toFixed(2)}x`,
  ];
  const spread = (one: typeof seconds) =>
    `${one.median.toFixed(3)} s (${one.min.toFixed(3)} .. ${one.max.toFixed(3)})`;
  console.log(
    `${result.model}, batch ${result.batch}, ${result.steps} steps, guidance ${result.guidance}, ` +
      `${result.backend}, ${result.threads} threads, ${result.weights}\n`,
  );
  console.log(
    table(
      ['', result.schedule, 'full-size baseline', 'ratio'],
      [
        column('projections'),
        column('attention'),
        column('mlp'),
        column('lmHead'),
        [
          'all FLOPs, counted = formula',
          formatFlops(result.flops),
          formatFlops(result.baselineFlops),
          `${result.flopsRatio.toFixed(2)}x`,
        ],
        ['time', spread(seconds), spread(baselineSeconds), `${result.timeRatio.toFixed(2)}x`],
        ['GFLOP/s', result.gflops.toFixed(1), result.baselineGflops.toFixed(1), ''],
      ],
    ),
  );
  console.log(
    `\npeak ${result.peakGflops.toFixed(1)} GFLOP/s, memory ${(result.rssBytes / 2 ** 20).toFixed(0)} MiB`,
  );
}
