/** The public models of test/fixtures/public: how each is converted, what it is asked, and what its own code answered. */

import { join } from 'node:path';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import type { GeneratorConfig } from '../../lib/checkpoint/config.js';
import { convert, type Model, Tensor } from '../../lib/index.js';
import { fullWidth } from '../../lib/plan/shape.js';
import { classId, maskId } from '../../lib/plan/vocabulary.js';
import {
  engineTensors,
  nativeGeneratorConfig,
  nativeTokenizerConfig,
} from '../../lib/runtime/listing.js';
import type { NativeDevice, NativeFormat } from '../../lib/runtime/native.js';
import { answersIn, publicFixture } from './fixtures.js';

const file = (name: string, of: string) => publicFixture(`${name}/${of}`);

/** Transformer, tokenizer, and heads where the file does not say them. */
const sources = {
  maskgit: [
    file('maskgit-flax-tiny', 'maskgit_checkpoint'),
    file('maskgit-flax-tiny', 'tokenizer_checkpoint'),
  ],
  port: [
    file('maskgit-flax-tiny', 'maskgit_checkpoint'),
    file('maskgit-vqgan-tiny', 'pytorch_model.bin'),
  ],
  halton: [file('halton-tiny', 'model.pth'), file('vq16-tiny', 'model.pt'), 4],
  'halton-odd': [file('halton-odd', 'model.pth'), undefined, 6],
  maskbit: [
    file('maskbit-tiny', 'maskbit_generator_6bit.bin'),
    file('maskbit-tiny', 'tokenizer.safetensors'),
    8,
  ],
  titok: [file('titok-generator-tiny', 'model.safetensors'), undefined, 8],
} as const;

export type PublicModel = keyof typeof sources;

/** Converts them to folders of their names. */
export async function convertAll(to: string): Promise<void> {
  for (const [name, [path, tokenizer, heads]] of Object.entries(sources)) {
    await convert(path, { to: join(to, name), tokenizer, heads });
  }
  // TiTok's generator has other heads than its tokenizer.
  const tokenizer = file('titok-tokenizer-tiny', 'model.safetensors');
  await convert(tokenizer, { to: join(to, 'titok', 'tokenizer'), heads: 4 });
}

export const answersOf = (of: string) => answersIn(file(of, 'expected.safetensors'));
export type Answers = ReturnType<typeof answersOf>;

/**
 * Of logits and of rows. f32 rounds to 2^-24. Two layers chain about ten sums of up to 256 products; each loses at most
 * sqrt(256) roundings typically, and norms rescale in between. The peers lose as much.
 */
export const f32Bound = 2 * 10 * Math.sqrt(256) * 2 ** -24;
/** The tokenizers chain about twenty sums of 9 · 64 products. */
export const convBound = 2 * 20 * Math.sqrt(9 * 64) * 2 ** -24;

/** What `forward` is asked, which of its logits the peer has, and these. */
export interface Question {
  readonly tokens: Tensor<'int32'>;
  readonly labels: readonly (number | null)[];
  readonly known: (logits: Tensor<'float32'>) => Float32Array;
  readonly want: Float32Array;
}

export function maskgitQuestion(answers: Answers): Question {
  // The first of 17 positions is the class, 40 + k; -1 is the mask.
  const rows = answers.int('sequence');
  return {
    tokens: new Tensor(
      'int32',
      rows.data.filter((_, i) => i % 17 !== 0),
      [3, 16],
    ),
    labels: [0, 1, 2].map((sample) => rows.data[17 * sample]! - 40),
    known: ({ data }) => data,
    want: answers.float('logits').data.filter((_, i) => Math.floor(i / 46) % 17 !== 0),
  };
}

export function haltonQuestion(answers: Answers): Question {
  const code = answers.int('code').data;
  const dropped = answers.int('drop_label').data;
  return {
    tokens: new Tensor(
      'int32',
      code.map((id) => (id === 40 ? -1 : id)),
      [4, 16],
    ),
    labels: [...answers.int('labels').data].map((label, i) => (dropped[i] ? null : label)),
    // Columns are the codes, the register and the mask; theirs have no register.
    known: ({ data }) => data.filter((_, i) => i % 42 !== 40),
    want: answers.float('logits').data,
  };
}

/** With classes, and without. */
export function titokQuestions(answers: Answers): readonly [Question, Question] {
  const ids = answers.int('ids');
  const masked = ids.data.map((id) => (id === 40 ? -1 : id));
  const labels = [...answers.int('labels').data];
  const question = (labels: Question['labels'], name: string): Question => ({
    tokens: new Tensor('int32', masked, ids.dims),
    labels,
    known: ({ data }) => data,
    want: answers.float(name).data,
  });
  return [
    question(labels, 'logits'),
    question(
      labels.map(() => null),
      'logits.dropped',
    ),
  ];
}

/** MaskBit's question, in ids: `forward` cannot be asked it, because of some tokens one half alone is masked. */
export function maskbitIds(config: GeneratorConfig, answers: Answers) {
  // Halves of 8 digits, 8 is the mask; in the vocabulary the second half's come after the first's.
  const ids = answers
    .int('code')
    .data.map((digit, i) => (digit === 8 ? maskId(config) : digit + (i % 2) * 8));
  const dropped = answers.int('drop_label').data;
  const classIds = answers
    .int('labels')
    .data.map((label, i) => classId(config, dropped[i] ? null : label));
  return { ids, classIds };
}

/** What a converted MaskBit answers to it. */
export async function maskbitLogits(
  folder: string,
  device: NativeDevice,
  format: NativeFormat,
  answers: Answers,
): Promise<Float32Array> {
  const { config, tensors } = await readCheckpoint(folder, engineTensors);
  const { ids, classIds } = maskbitIds(config, answers);
  const generator = await device.loadGenerator(nativeGeneratorConfig(config), tensors, format);
  const { heads, hidden } = fullWidth(config);
  const { logits } = await generator.forward(ids, classIds, heads, hidden);
  generator.dispose();
  return logits;
}

/** [count, channels, height, width] as [count, height, width, channels]. */
function fromPlanes(planes: Tensor<'float32'>): Tensor<'float32'> {
  const [count, channels, height, width] = planes.dims as [number, number, number, number];
  const values = new Float32Array(planes.size);
  for (let i = 0; i < values.length; ++i) {
    const at = i % (height * width);
    const plane = Math.floor(i / (height * width));
    const to = (Math.floor(plane / channels) * height * width + at) * channels + (plane % channels);
    values[to] = planes.data[i]!;
  }
  return new Tensor('float32', values, [count, height, width, channels]);
}

/** A tokenizer's pictures or latents, in its own numbers, as [count, height, width, channels]. */
export function inRows(of: string, values: Tensor<'float32'>): Tensor<'float32'> {
  return of === 'maskgit-flax-tiny' ? values : fromPlanes(values);
}

/** In [0, 1], cut off there. */
function pictures(of: string, values: Tensor<'float32'>): Tensor<'float32'> {
  const { data, dims } = inRows(of, values);
  const shown = of === 'vq16-tiny' ? data.map((value) => (value + 1) / 2) : data;
  const clipped = shown.map((value) => Math.min(1, Math.max(0, value)));
  return new Tensor('float32', clipped, dims);
}

/** What a tokenizer's encoder makes of pictures, which tokens its own code's latents get, and what that made of both. */
export async function latentAnswers(
  folder: string,
  device: NativeDevice,
  format: NativeFormat,
  of: string,
) {
  const { tokenizer } = await readCheckpoint(folder, engineTensors);
  const { config, tensors } = tokenizer!;
  const native = await device.loadTokenizer(nativeTokenizerConfig(config), tensors, format);
  const answers = answersOf(of);
  const seen = pictures(of, answers.float('pixels'));
  const want = inRows(of, answers.float('z')).data;
  const { latents } = await native.encode(seen.data, seen.dims[0]!);
  const { tokens } = await native.quantize(want, seen.dims[0]!);
  native.dispose();
  return { latents, want, tokens, wantTokens: answers.int('tokens').data };
}

/** What a tokenizer makes of pictures and of tokens, and what its own code made of them. */
export async function tokenizerAnswers(model: Model, of: string) {
  const answers = answersOf(of);
  const given = answers.int('given');
  const grid = new Tensor('int32', given.data, [given.dims[0]!, given.size / given.dims[0]!]);
  return {
    answers,
    tokens: await model.tokenize(pictures(of, answers.float('pixels'))),
    wantTokens: answers.int('tokens'),
    pixels: await model.detokenize(grid),
    wantPixels: pictures(of, answers.float('decoded')),
  };
}
