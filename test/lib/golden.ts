/**
 * What the bundled models answer to a few requests, beside what test/fixtures/golden.json records of it. A version that
 * changes an answer on purpose records it anew, of every instruction set:
 *
 *     GOLDEN=record npx tap test/lib/golden.test.ts       # those of this processor
 *     GOLDEN=record npx tap test/prebuilds/run.test.ts    # NEON, of the prebuilt addon in QEMU
 */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { GenerateOptions, Model, Tensor } from '../../lib/index.js';

export interface Golden {
  readonly instructionSet: string;
  readonly weights: string;
  readonly model: string;
  readonly case: string;
  /** The first 16 hexadecimal digits of the SHA-256 of the values' bytes. */
  readonly tokens?: string;
  readonly pixels?: string;
  readonly logits?: string;
  readonly flops?: number;
}

const hash = ({ data }: Tensor) =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 16);

const requests: Record<string, GenerateOptions> = {
  paper: { labels: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], seed: 7, schedule: 'paper' },
  baseline: { labels: [3, null], count: 4, seed: 123456789, schedule: 'baseline', steps: 6 },
  'widths 1/4 and 1': {
    labels: [1, 2],
    count: 3,
    seed: 5,
    schedule: '1/4x2,1x3',
    guidance: 0,
    topK: 20,
    temperature: [1, 0.5],
  },
  budget: {
    labels: [1],
    count: 2,
    seed: 9,
    budget: 0.4,
    cache: true,
    guidance: 1.5,
    firstSample: 11,
  },
  'no cache': {
    labels: [1],
    count: 2,
    seed: 9,
    schedule: 'paper',
    cache: false,
    maskingSchedule: 'arccos',
  },
};

/** The requests that are recorded: the portable kernels take a minute for each, and QEMU takes longer for those of NEON. */
function casesOf(instructionSet: string, model: string): readonly string[] {
  if (instructionSet === 'portable') return ['paper'];
  if (instructionSet === 'neon') return model === 'fashion' ? ['budget'] : [];
  const all = Object.keys(requests);
  return model === 'fashion' ? all : all.filter((name) => name !== 'no cache');
}

const file = new URL('../fixtures/golden.json', import.meta.url);

export function readGolden(): Golden[] {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Writes the records, in place of those of the same instruction sets. */
export function writeGolden(records: readonly Golden[]): void {
  const sets = new Set(records.map(({ instructionSet }) => instructionSet));
  const kept = readGolden().filter(({ instructionSet }) => !sets.has(instructionSet));
  const lines = [...kept, ...records]
    .sort((a, b) => a.instructionSet.localeCompare(b.instructionSet)) // which keeps the order within a set
    .map(
      (one) =>
        `  {${Object.entries(one)
          .map(([key, value]) => `"${key}": ${JSON.stringify(value)}`)
          .join(', ')}}`,
    );
  writeFileSync(file, `[\n${lines.join(',\n')}\n]\n`);
}

/** What is recorded of an instruction set. */
export async function goldenOf(
  magnets: typeof import('../../lib/index.js'),
  instructionSet: string,
): Promise<Golden[]> {
  const found: Golden[] = [];
  for (const weights of ['f32', 'bf16', 'int8'] as const) {
    for (const name of ['fashion', 'moving-digits']) {
      const options = { device: 'cpu', instructionSet, weights, threads: 2 } as const;
      const model = await magnets.load(name, options);
      const all = await answers(magnets, model, casesOf(instructionSet, name));
      for (const [request, values] of Object.entries(all)) {
        found.push({ instructionSet, weights, model: name, case: request, ...values });
      }
      model.dispose();
    }
  }
  return found;
}

/** What the model answers to the requests of these names, to be compared with the records. */
export async function answers(
  { Tensor }: typeof import('../../lib/index.js'),
  model: Model,
  names: readonly string[],
): Promise<Record<string, Partial<Golden>>> {
  const found: Record<string, Partial<Golden>> = {};
  for (const [name, options] of Object.entries(requests)) {
    if (!names.includes(name)) continue;
    const { tokens, pixels, flops } = await model.generate(options).result();
    found[name] = { tokens: hash(tokens), pixels: hash(pixels), flops };
    if (name !== 'paper') continue;

    found.tokenize = { tokens: hash(await model.tokenize(pixels)) };
    const first = tokens.data.slice(0, 2 * model.tokenCount);
    const some = first.map((token, i) => (i % 3 ? token : -1));
    const logits = await model.forward({
      tokens: new Tensor('int32', some, [2, model.tokenCount]),
      labels: [0, 1],
      width: '1/2',
    });
    found.forward = { logits: hash(logits) };
    if (model.config.prediction === undefined) continue;

    const given = [model.config.prediction.frames, ...pixels.dims.slice(2)];
    const size = given.reduce((product, extent) => product * extent, 1);
    const frames = new Tensor('float32', pixels.data.slice(0, size), [1, ...given]);
    const prediction = await model.predict({ frames, count: 2, seed: 3 }).result();
    found.predict = {
      tokens: hash(prediction.tokens),
      pixels: hash(prediction.pixels),
      flops: prediction.flops,
    };
  }
  return found;
}
