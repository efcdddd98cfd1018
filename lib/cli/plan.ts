import { integer, number } from '../errors.js';
import type { MaskingSchedule } from '../plan/masking.js';
import { plan } from '../plan/plan.js';
import { tokenCount } from '../plan/shape.js';
import { parse, shapeOf, toNumber } from './arguments.js';
import { formatFlops, formatRatio, printJson, table } from './output.js';

export const help = `magnets plan --model L [--steps 12] [--schedule paper | --budget 0.3] [--json]

Prints what each step of a schedule computes and what it costs, by formula, compared with the full-size baseline.

  --model NAME      B, L, XL (256 tokens), video-B, video-L (1024 tokens), a bundled model or a checkpoint folder; default L
  --steps N         decode steps; default: as many as the schedule has, else 12
  --schedule S      '1/8x3,1/4x3,1/2x3,1x3' (width x steps, in order), 'paper' (equal shares, narrow to full), 'baseline'
                    (the full width at every step, nothing cached) or a name in the model's schedules.json; default paper
  --budget SHARE    instead of a schedule: the best ascending one of at most this share of the baseline's FLOPs
  --masking NAME    cosine, linear, square, cubic or arccos; default cosine
  --no-cache        refresh the cache at every step
  --batch N         samples; default 1
  --guidance W      classifier-free guidance; above 0 the unconditional branches are counted too; default 0
  --json            print the whole plan as JSON, the model's shape included`;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    steps: { type: 'string' },
    schedule: { type: 'string' },
    budget: { type: 'string' },
    masking: { type: 'string' },
    'no-cache': { type: 'boolean' },
    batch: { type: 'string', default: '1' },
    guidance: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  });
  const model = await shapeOf(values.model);
  const samples = integer('batch', toNumber('batch', values.batch), 1, 2 ** 16);
  const guidance = number('guidance', toNumber('guidance', values.guidance), 0);
  const result = plan({
    model,
    steps: toNumber('steps', values.steps),
    schedule: values.schedule,
    budget: toNumber('budget', values.budget),
    maskingSchedule: values.masking as MaskingSchedule | undefined,
    cache: values['no-cache'] ? false : undefined,
    masked: Array<number>(samples).fill(tokenCount(model)),
    guidance,
  });
  if (values.json) return printJson(result);

  const header = ['step', 'width', 'heads', 'hidden', 'refresh'];
  header.push('active rows', 'masked', 'masked after', 'FLOPs');
  const rows = result.steps.map((step) => [
    step.step,
    step.width.name,
    step.width.heads,
    step.width.hidden,
    step.refresh ? 'yes' : '',
    step.activeRows,
    step.masked,
    step.maskedAfter.reduce((sum, count) => sum + count, 0),
    formatFlops(step.flops),
  ]);
  const batch = `batch ${samples}${guidance > 0 ? `, guidance ${guidance}` : ''}`;
  console.log(`${model.name}, ${batch}, ${rows.length} steps, ${result.schedule}\n`);
  console.log(table(header, rows));
  const [flops, baseline] = [result.flops, result.baselineFlops].map(formatFlops);
  console.log(`\n${flops}; baseline ${baseline}; ${formatRatio(result.flopsRatio)} fewer`);
}
