import { integer } from '../errors.js';
import { plan } from '../plan/plan.js';
import { tokenCount } from '../plan/shape.js';
import { parse, shapeOf, toNumber } from './arguments.js';
import { formatFlops, formatRatio, printJson, table } from './output.js';
import {
  guidanceArguments,
  guidanceHelp,
  guidanceOptions,
  planArguments,
  planOptions,
  samplingHelp,
} from './sampling-options.js';

export const help = `magnets plan --model L [--steps 12] [--schedule paper | --budget 0.3] [--json]

Prints what each step of a schedule computes and what it costs, by formula, compared with the full-size baseline.

  --model NAME      B, L, XL (256 tokens), video-B, video-L (1024 tokens), a bundled model or a checkpoint folder; default L
  --steps N         decode steps; default: as many as the schedule has, else the model's, or 12
  --schedule S      '1/8x3,1/4x3,1/2x3,1x3' (width x steps, in order), 'paper' (equal shares, narrow to full), 'baseline'
                    (the full width at every step, nothing cached) or a name in the model's schedules.json; default paper
  --budget SHARE    instead of a schedule: the best ascending one of at most this share of the baseline's FLOPs
  --no-cache        every row through every layer and the LM head at every step
${samplingHelp}
${guidanceHelp}
  --batch N         samples; default 1
  --json            print the whole plan as JSON, the model's shape included`;

export async function run(args: string[]): Promise<void> {
  const { values } = parse(args, {
    model: { type: 'string', default: 'L' },
    ...planOptions,
    ...guidanceOptions,
    batch: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  });
  const model = await shapeOf(values.model);
  const samples = integer('batch', toNumber('batch', values.batch), 1, 2 ** 16);
  const result = plan({
    model,
    ...planArguments(values),
    ...guidanceArguments(values),
    masked: Array<number>(samples).fill(tokenCount(model)),
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
  const branches = result.branches > samples ? `, ${result.branches} branches` : '';
  console.log(
    `${model.name}, batch ${samples}${branches}, ${rows.length} steps, ${result.schedule}\n`,
  );
  console.log(table(header, rows));
  const [flops, baseline] = [result.flops, result.baselineFlops].map(formatFlops);
  console.log(`\n${flops}; baseline ${baseline}; ${formatRatio(result.flopsRatio)} fewer`);
}
