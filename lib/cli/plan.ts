import type { MaskingSchedule } from '../plan/masking.js';
import { plan } from '../plan/plan.js';
import { formatFlops, parse, printJson, shapeOf, table, toNumber } from './arguments.js';

export const help = `magnets plan --model L [--steps 12] [--schedule paper | --budget 0.3] [--json]

What a schedule costs, by formula, beside the full-size baseline.

  --model NAME      B, L, XL (256 tokens), video-B, video-L (1024), a bundled model or a checkpoint folder
  --steps N         decode steps (the schedule's own, else 12)
  --schedule S      '1/8x3,1/4x3,1/2x3,1x3', 'paper' (equal shares, narrow to full), 'baseline' or a name in
                    the model's schedules.json
  --budget SHARE    instead: the best ascending schedule of at most this share of the baseline's FLOPs
  --masking NAME    cosine (default), linear, square, cubic, arccos
  --no-cache        refresh at every step
  --json            print JSON`;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    steps: { type: 'string' },
    schedule: { type: 'string' },
    budget: { type: 'string' },
    masking: { type: 'string' },
    'no-cache': { type: 'boolean' },
    json: { type: 'boolean', default: false },
  });
  const result = plan({
    model: await shapeOf(values.model),
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    budget: toNumber('budget', values.budget),
    maskingSchedule: values.masking as MaskingSchedule | undefined,
    cache: values['no-cache'] ? false : undefined,
  });
  if (values.json) return printJson(result);

  const rows = result.steps.map((row) => [
    row.step,
    row.width.name,
    row.width.heads,
    row.width.hidden,
    row.refresh ? 'yes' : '',
    row.activeRows,
    row.masked,
    row.masked - row.maskedAfter[0]!,
    formatFlops(row.flops),
  ]);
  const header = [
    'step',
    'width',
    'heads',
    'hidden',
    'refresh',
    'rows',
    'masked',
    'reveal',
    'FLOPs',
  ];
  console.log(`${result.model.name}, ${result.steps.length} steps, ${result.schedule}\n`);
  console.log(table(header, rows));
  console.log(
    `\n${formatFlops(result.flops)}; baseline ${formatFlops(result.baselineFlops)}; ${result.flopsRatio.toFixed(2)}x fewer`,
  );
}
