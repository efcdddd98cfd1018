/** What `magnets info PATH` prints of a model. */

import { latentShapeOf, type TokenizerConfig } from '../checkpoint/config.js';
import type {
  InspectedGenerator,
  InspectedPart,
  InspectedTokenizer,
  Inspection,
} from '../runtime/inspect.js';
import { inMegabytes } from '../runtime/memory.js';

const formats = {
  magnets: 'a checkpoint of magnets',
  torch: 'a file of torch.save',
  flax: 'a file of flax (msgpack)',
  safetensors: 'safetensors',
} as const;

function grid([frames, height, width]: readonly [number, number, number]): string {
  return frames === 1 ? `${height} x ${width}` : `${frames} x ${height} x ${width}`;
}

/** Norm, gate and the like, where they are not those of BERT. */
function blocksOf({ config }: InspectedGenerator): string {
  return [
    `${config.normPlace}-norm${config.normKind === 'rms_norm' ? ' (RMS)' : ''}`,
    config.activation,
    ...(config.mlpGate === 'multiply' ? ['gated MLP'] : []),
    ...(config.qkNorm === 'rms' ? ['norms of queries and keys'] : []),
    ...(config.modulation === 'class' ? ['modulated by the class'] : []),
  ].join(', ');
}

function recipeOf({ config: { sampling, nullClass } }: InspectedGenerator): string {
  const { steps, maskingSchedule, order, guidance, guidanceSchedule } = sampling;
  const curve = guidanceSchedule === 'constant' ? '' : ` (${guidanceSchedule})`;
  const guided = nullClass ? `guidance ${guidance}${curve}` : 'no guidance: it has no null class';
  return `${steps} steps, ${maskingSchedule} masking, order by ${order}, ${guided}`;
}

function generatorLines(part: InspectedGenerator): string[] {
  const { config } = part;
  const { hiddenSize, heads, headDim, intermediateSize } = config;
  const widths = config.widths.map(
    ({ name, heads, hidden }) =>
      `${name} (${heads === 1 ? '1 head' : `${heads} heads`}, MLP ${hidden})`,
  );
  return [
    `size: ${config.layers} layers, hidden size ${hiddenSize}, ${heads} heads of ${headDim}, MLP ${intermediateSize}`,
    `blocks: ${blocksOf(part)}`,
    `widths: ${widths.join(', ')}`,
    `tokens: ${grid(config.latentShape)} of ${config.codebookSize} codes, ${config.classes} classes`,
    `recipe: ${recipeOf(part)}`,
  ];
}

const kinds: Readonly<Record<TokenizerConfig['kind'], string>> = {
  vit: 'a vision transformer',
  conv: 'convolutions',
  titok: 'a vision transformer and convolutions, tokens on a line',
};

function tokenizerLines({ config }: InspectedTokenizer): string[] {
  const { sampleShape, channels, codebookSize, codebookDim } = config;
  return [
    `kind: ${kinds[config.kind]}`,
    `samples: ${grid(sampleShape)} pixels of ${channels} ${channels === 1 ? 'channel' : 'channels'}`,
    `tokens: ${grid(latentShapeOf(config))} of ${codebookSize} codes of ${codebookDim} numbers`,
  ];
}

function partLines(part: InspectedPart): string[] {
  const { name, format, origin, files, tensors, values, dtypes, dropped } = part;
  const file = files.map(({ name, bytes }) => `${name} (${inMegabytes(bytes)})`).join(', ');
  const publicLines =
    format === 'magnets'
      ? []
      : [
          ...dropped.map((what) => `left out: ${what}`),
          `converts to: config.json and ${inMegabytes(4 * values)} of weights in f32, half as much in f16 or bf16`,
        ];
  return [
    `${part.part}: ${name}, ${formats[format]}`,
    `file: ${file}`,
    ...(origin === undefined
      ? []
      : [`source: ${origin.name}, ${origin.url}`, `licence of the source: ${origin.licence}`]),
    ...(part.part === 'generator' ? generatorLines(part) : tokenizerLines(part)),
    `parameters: ${(values / 1e6).toPrecision(4)} million in ${tensors} tensors, ${dtypes.join(', ')}`,
    ...publicLines,
  ];
}

/** Lines of text. */
export function describe({ parts, memory }: Inspection): string[] {
  const { backend, format, count, total, weights, session, tokenizer, result } = memory;
  const samples = count === 1 ? '1 sample' : `${count} samples`;
  const shares = Object.entries({ weights, batch: session, tokenizer, result })
    .map(([name, bytes]) => `${name} ${inMegabytes(bytes)}`)
    .join(', ');
  return [
    ...parts.flatMap((part) => [...partLines(part), '']),
    `memory for ${samples} on ${backend}, weights in ${format}: ${inMegabytes(total)} (${shares})`,
  ];
}
