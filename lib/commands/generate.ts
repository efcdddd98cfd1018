import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { contactSheet, stepStrip } from '../image.js';
import type { Label, MaskingSchedule } from '../index.js';
import { load, type Model } from '../model.js';
import { Tensor } from '../tensor.js';
import { formatFlops, parse, printJson, progress, toNumber, UsageError } from './arguments.js';

export const help = `magnets generate [LABEL...] [--model fashion] --out out.png

Generates pictures of the given classes (names, numbers or 'none'), in turn up to --count.

  --model NAME      a bundled model or a checkpoint folder (fashion)
  --count N         pictures (as many as labels)
  --steps N, --schedule S, --budget SHARE, --masking NAME, --no-cache    as for plan
  --guidance W      classifier-free guidance (the model's default)
  --temperature T, --choice-temperature T, --top-k K                     (the model's defaults)
  --seed N          (0)
  --device NAME, --threads N, --dtype NAME                               as for bench
  --out FILE        the pictures side by side, PNG
  --columns N       pictures in a row (as square as the count allows)
  --strip FILE      the first picture after every step, PNG
  --json            print JSON`;

/** Decodes tokens of which some are still masked; those become token 0, to be drawn over. */
async function decodePartly(model: Model, steps: Int32Array[]) {
  const tokens = Int32Array.from(steps.flatMap((step) => [...step]));
  const pixels = await model.decode(
    new Tensor(
      'int32',
      tokens.map((id) => Math.max(0, id)),
      [steps.length, model.tokens],
    ),
  );
  return { pixels, masked: Uint8Array.from(tokens, (id) => (id < 0 ? 1 : 0)) };
}

async function write(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(
    args,
    {
      model: { type: 'string', default: 'fashion' },
      count: { type: 'string' },
      steps: { type: 'string' },
      schedule: { type: 'string' },
      budget: { type: 'string' },
      masking: { type: 'string' },
      'no-cache': { type: 'boolean' },
      guidance: { type: 'string' },
      temperature: { type: 'string' },
      'choice-temperature': { type: 'string' },
      'top-k': { type: 'string' },
      seed: { type: 'string' },
      device: { type: 'string', default: 'auto' },
      threads: { type: 'string' },
      dtype: { type: 'string', default: 'auto' },
      out: { type: 'string' },
      columns: { type: 'string' },
      strip: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
    true,
  );
  if (values.out === undefined) throw new UsageError('Expected --out FILE');
  const labels = positionals.map((label): Label => {
    if (label === 'none') return null;
    return /^\d+$/.test(label) ? Number(label) : label;
  });
  const model = await load(values.model, {
    device: values.device as 'auto',
    threads: toNumber('threads', values.threads),
    dtype: values.dtype as 'auto',
  });
  try {
    const generation = model.generate({
      labels: labels.length > 0 ? labels : undefined,
      count: toNumber('count', values.count),
      steps: toNumber('steps', values.steps),
      schedule: values.schedule,
      budget: toNumber('budget', values.budget),
      maskingSchedule: values.masking as MaskingSchedule | undefined,
      cache: values['no-cache'] ? false : undefined,
      guidanceScale: toNumber('guidance', values.guidance),
      temperature: toNumber('temperature', values.temperature),
      choiceTemperature: toNumber('choice-temperature', values['choice-temperature']),
      topK: toNumber('top-k', values['top-k']),
      seed: toNumber('seed', values.seed),
    });
    const started = performance.now();
    let flops = 0;
    let tokens: Tensor<'int32'> | undefined;
    const first: Int32Array[] = [];
    for await (const step of generation) {
      progress('generate', step.step + 1, step.of);
      flops += step.flops;
      ({ tokens } = step);
      first.push(step.tokens.data.slice(0, model.tokens));
    }
    const seconds = (performance.now() - started) / 1000;
    const columns = toNumber('columns', values.columns);
    await write(values.out, contactSheet(await model.decode(tokens!), { columns }));
    if (values.strip !== undefined) {
      const { pixels, masked } = await decodePartly(model, first);
      const [, height, width] = model.config.latentShape;
      await write(values.strip, stepStrip(pixels, masked, [height, width]));
    }

    const { baselineFlops } = generation;
    const [{ schedule, steps }] = generation.plans as [(typeof generation.plans)[0]];
    const ratio = baselineFlops / flops;
    const count = generation.labels.length;
    if (values.json) {
      const files = { out: values.out, strip: values.strip };
      return printJson({
        model: model.config.name,
        count,
        steps,
        schedule,
        flops,
        baselineFlops,
        ratio,
        seconds,
        ...files,
      });
    }
    console.log(
      `${count} pictures in ${steps} steps (${schedule}) on ${model.backend}: ${values.out}`,
    );
    console.log(
      `${formatFlops(flops)} in ${seconds.toFixed(2)} s; the full-size baseline needs ${formatFlops(baselineFlops)}, ${ratio.toFixed(2)}x as many`,
    );
  } finally {
    model.dispose();
  }
}
