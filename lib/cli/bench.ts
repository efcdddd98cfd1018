import { integer, number } from '../errors.js';
import { type BenchResult, type BenchRow, bench } from '../runtime/bench.js';
import { checkedOutCommit } from '../runtime/machine.js';
import { parse, shapeOf, toNumber, UsageError } from './arguments.js';
import { deviceArguments, deviceHelp, deviceOptions } from './device-options.js';
import { formatFlops, formatRatio, progress, table } from './output.js';
import { OutputFile } from './output-file.js';
import { samplingArguments, samplingHelp, samplingOptions } from './sampling-options.js';

export const help = `magnets bench --model L [--batch 1] [--steps 12] [--schedule paper] [--threads N] [--json] [--out FILE]

Measures FLOPs and time of a schedule, compared with the full-size baseline, with random weights. The two take turns.

  --model NAME      as for plan; default L
  --batch N,...     samples at once, or a list of such numbers, each of which is measured; default 1
  --steps N         decode steps; default: as many as the schedule has, else 12
  --schedule S      as for plan; default paper
  --guidance W      classifier-free guidance; above 0 both branches are computed; default 0
${samplingHelp}
${deviceHelp}
  --repeats N       timed runs of the schedule and of the baseline each; default 3
  --json            print the result file (bench/README.md) instead of tables
  --out FILE        write the result file`;

/** '1,8,64' -> [1, 8, 64] */
export function toBatches(text: string): number[] {
  return text.split(',').map((part) => {
    const batch = toNumber('batch', part);
    return integer('batch', batch, 1, 2 ** 16);
  });
}

/** The command line as a shell takes it. */
function commandLine(args: readonly string[]): string {
  const quoted = args.map((arg) =>
    /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`,
  );
  return ['npx', 'magnets', 'bench', ...quoted].join(' ');
}

/** The result file: one line for each row. */
function toFile({ device, rows, ...settings }: BenchResult, args: readonly string[]): string {
  const head = {
    device,
    commit: checkedOutCommit(),
    command: commandLine(args),
    date: new Date().toISOString().slice(0, 10),
    ...settings,
  };
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  return `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [\n${lines}\n  ]\n}\n`;
}

function formatTimes({ median, min, max }: BenchRow): string {
  const [middle, least, greatest] = [median, min, max].map((seconds) => seconds.toPrecision(3));
  return `${middle} s (${least} .. ${greatest})`;
}

/** The tables of one batch. */
function print(baseline: BenchRow, row: BenchRow): void {
  const parts = (['projections', 'attention', 'mlp', 'lmHead'] as const).map((part) => [
    part,
    formatFlops(row.parts[part]),
    formatFlops(baseline.parts[part]),
    formatRatio(baseline.parts[part] / row.parts[part]),
  ]);
  const flops = [row, baseline].map((one) => formatFlops(one.flops));
  const rates = [row, baseline].map((one) => `${formatFlops(one.flops / one.median)}/s`);
  const { model, batch, steps, guidance, weights, compute } = row;
  console.log(
    `${model}, batch ${batch}, ${steps} steps, guidance ${guidance}, weights ${weights}, compute ${compute}\n`,
  );
  const rows = [
    ...parts,
    ['all FLOPs, launched = formula', ...flops, formatRatio(row.flopsRatio)],
    ['time', formatTimes(row), formatTimes(baseline), formatRatio(row.timeRatio)],
    ['rate', ...rates, ''],
  ];
  console.log(`${table(['', row.schedule, 'baseline', 'ratio'], rows)}\n`);
}

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    batch: { type: 'string', default: '1' },
    steps: { type: 'string' },
    schedule: { type: 'string', default: 'paper' },
    guidance: { type: 'string', default: '0' },
    ...samplingOptions,
    ...deviceOptions,
    repeats: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  });
  const { out } = values;
  if (out === '') throw new UsageError('Expected a file for --out but received ""');
  const outFile = out === undefined ? undefined : await OutputFile.prepare('out', out);
  const result = await bench({
    ...deviceArguments(values),
    model: await shapeOf(values.model),
    batches: toBatches(values.batch),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    guidance: number('guidance', toNumber('guidance', values.guidance), 0),
    sampling: samplingArguments(values),
    repeats: integer('repeats', toNumber('repeats', values.repeats), 1, 1000),
    onProgress: (done, total) => progress('bench', done, total),
  });
  const file = toFile(result, args);
  await outFile?.write(file);
  if (values.json) {
    process.stdout.write(file);
    return;
  }
  const { name, backend, threads, peakFlopsPerSecond } = result.device;
  console.log(`${name}, ${backend}${threads === undefined ? '' : `, ${threads} threads`}\n`);
  for (const row of result.rows) {
    const baseline = result.rows.find((one) => one.name === 'baseline' && one.batch === row.batch);
    if (row !== baseline || values.schedule === 'baseline') print(baseline!, row);
  }
  const memory = `${(result.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `peak of the device ${formatFlops(peakFlopsPerSecond)}/s; most memory of the process ${memory}`,
  );
}
