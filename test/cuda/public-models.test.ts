/**
 * Converted public models on the CUDA backend: logits and pixels are as near to what their own code answered as bf16
 * and f16 come, tokens the same but for near ties. The addon opens the emulated library of build/test; on a GPU
 * `MAGNETS_PREBUILD=$PWD npx tap test/cuda/public-models.test.ts` runs the same on the library beside the addon.
 */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import { load, type Model } from '../../lib/index.js';
import { native } from '../../lib/runtime/native.js';
import {
  answersOf,
  convertAll,
  haltonQuestion,
  inRows,
  latentAnswers,
  maskbitLogits,
  maskgitQuestion,
  type Question,
  titokQuestions,
  tokenizerAnswers,
} from '../lib/public-answers.js';
import { temporaryFolder, valuesOf } from '../lib/public-files.js';
import { emulated } from './emulated.js';

const folder = temporaryFolder(t);

process.env.MAGNETS_PREBUILD ??= emulated(folder);

await convertAll(folder);

const mean = (values: readonly number[]) =>
  values.reduce((sum, one) => sum + one, 0) / values.length;
const rootMeanSquare = (values: ArrayLike<number>) =>
  Math.sqrt(mean(Array.from(values, (value) => value ** 2)));
/** Root mean square of the error, relative to that of what is expected. */
function distance(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return rootMeanSquare(actual.map((value, i) => value - expected[i]!)) / rootMeanSquare(expected);
}

/** Half a unit in the last place, relative to the smallest number that has such a unit. */
const units = { bf16: 2 ** -8, f16: 2 ** -11 } as const;
type Compute = keyof typeof units;

/**
 * What so many roundings make of numbers that come through all of them. Sums are f32, so a value is rounded once by
 * each operation. That moves it by 0.42 units: the root mean square over a mantissa, whose logarithm is evenly spread.
 * Norms and sums keep the relative size of an error, and independent errors add up by their squares. Twice that, since
 * the count is not exact.
 */
const spread = (compute: Compute, { values, weights }: { values: number; weights: number }) =>
  // The weights are numbers that f16 holds exactly.
  2 * 0.42 * units[compute] * Math.sqrt(values + (compute === 'bf16' ? weights : 0));

/** Of a layer: what two norms give, query, key, value, probabilities, mixed values, gate, units, two residual sums. */
const transformerBound = (compute: Compute, layers: number) =>
  spread(compute, { values: 4 + 11 * layers, weights: 4 + 7 * layers });
/**
 * Of the tokenizers' encoders and decoders: six residual blocks with two normalized and two convolved pictures, two
 * layers before and after them, one to resample, and the code. Attention of VQ-16 lies beside the blocks.
 */
const convBound = (compute: Compute) => spread(compute, { values: 6 * 4 + 4, weights: 6 * 2 + 4 });

/** TiTok's has before them what goes into and comes out of a transformer of two layers, and a mixture of codes. */
const titokBound = (compute: Compute) =>
  Math.hypot(
    convBound(compute),
    transformerBound(compute, 2),
    spread(compute, { values: 4, weights: 3 }),
  );

const opened = async (t: Test, name: string, compute: Compute) => {
  const model = await load(join(folder, name), { device: 'cuda:0', compute });
  t.teardown(() => model.dispose());
  t.equal(model.backend, 'cuda:0');
  return model;
};

async function logitsOf(model: Model, { tokens, labels, known }: Question) {
  return known(await model.forward({ tokens, labels }));
}

async function checkLogits(t: Test, compute: Compute, model: Model, question: Question) {
  const error = distance(await logitsOf(model, question), question.want);
  const bound = transformerBound(compute, model.config.layers);
  t.ok(error < bound, `logits: error ${error} of ${bound}`);
  return error;
}

async function checkFlops(t: Test, model: Model) {
  const generation = model.generate({ labels: [1], steps: 2, seed: 1 });
  const { flops } = await generation.result({ pixels: false });
  t.equal(flops, generation.plannedFlops, 'counted FLOPs equal the formula');
}

/** What a tokenizer compares: latents and the codes of tokens, normalized where it takes the largest cosine. */
async function quantizerOf(model: Model, name: string) {
  const config = model.tokenizerConfig;
  if (config === undefined || config.kind === 'vit')
    throw new TypeError('Expected a public tokenizer');
  const { codebookDim: dim } = config;
  const quantizer = config.kind === 'titok' ? 'cosine' : config.quantizer;
  const seen = (vector: Float32Array) =>
    quantizer === 'cosine' ? vector.map((value) => value / Math.hypot(...vector)) : vector;
  if (quantizer === 'bits') {
    const sign = (token: number, bit: number) => ((token >> bit) & 1) * 2 - 1;
    const code = (token: number) =>
      Float32Array.from({ length: dim }, (_, bit) => sign(token, bit));
    return { dim, seen, code };
  }
  const source = await openSource(join(folder, name, 'tokenizer'));
  const codebook = await valuesOf(source.groups.get('')!.get('codebook.weight')!);
  await closeSource(source);
  return {
    dim,
    seen,
    code: (token: number) => seen(codebook.slice(token * dim, (token + 1) * dim)),
  };
}

const squaredDistance = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);

async function checkTokenizer(
  t: Test,
  compute: Compute,
  model: Model,
  name: string,
  of: string,
  bound = convBound(compute),
) {
  const found = await tokenizerAnswers(model, of);
  const { tokens, wantTokens, pixels, wantPixels } = found;
  const error = rootMeanSquare(pixels.data.map((value, i) => value - wantPixels.data[i]!));
  const most = bound * rootMeanSquare(wantPixels.data);
  const decibels = (of: number) => (-20 * Math.log10(of)).toFixed(1);
  t.ok(error < most, `pixels: PSNR ${decibels(error)} dB, at least ${decibels(most)}`);

  const device = native().openCuda(0, compute, []);
  t.teardown(() => device.dispose());
  const encoded = await latentAnswers(join(folder, name), device, compute, of);
  const off = distance(encoded.latents, encoded.want);
  t.ok(off < bound, `latents: error ${off} of ${bound}`);

  const { dim, seen, code } = await quantizerOf(model, name);
  const latents = inRows(of, found.answers.float('z')).data;
  /** A latent may have crossed the plane between two codes where it lies as near to that as its error reaches. */
  const checkTokens = (what: string, actual: Int32Array, error: number) =>
    actual.forEach((token, i) => {
      const expected = wantTokens.data[i]!;
      if (token === expected) return;
      const latent = seen(latents.slice(i * dim, (i + 1) * dim));
      const [near, far] = [code(expected), code(token)];
      const beyond = squaredDistance(latent, far) - squaredDistance(latent, near);
      const plane = beyond / (2 * Math.sqrt(squaredDistance(near, far)));
      const reach = 2 * error * rootMeanSquare(latent);
      t.ok(plane < reach, `${what} ${i}: ${plane} of ${reach} from the plane`);
    });
  checkTokens('token', tokens.data, bound);
  // The latents and the codes are rounded, and nothing else.
  checkTokens(
    'token of its own latent',
    encoded.tokens,
    spread(compute, { values: 1, weights: 1 }),
  );
}

for (const compute of ['bf16', 'f16'] as const) {
  t.test(`MaskGIT, ${compute}`, async (t) => {
    const model = await opened(t, 'maskgit', compute);
    await checkLogits(t, compute, model, maskgitQuestion(answersOf('maskgit-flax-tiny')));
    await checkFlops(t, model);
    await checkTokenizer(t, compute, model, 'maskgit', 'maskgit-flax-tiny');
  });

  t.test(`MaskBit, ${compute}`, async (t) => {
    const answers = answersOf('maskbit-tiny');
    const device = native().openCuda(0, compute, []);
    t.teardown(() => device.dispose());
    const logits = await maskbitLogits(join(folder, 'maskbit'), device, compute, answers);
    const error = distance(logits, answers.float('logits').data);
    const model = await opened(t, 'maskbit', compute);
    const bound = transformerBound(compute, model.config.layers);
    t.ok(error < bound, `logits: error ${error} of ${bound}`);
    await checkFlops(t, model);
    await checkTokenizer(t, compute, model, 'maskbit', 'maskbit-tiny');
  });

  for (const [name, of] of [
    ['halton', 'halton-tiny'],
    ['halton-odd', 'halton-odd'],
  ] as const) {
    t.test(`${of}, ${compute}`, async (t) => {
      const answers = answersOf(of);
      const model = await opened(t, name, compute);
      const error = await checkLogits(t, compute, model, haltonQuestion(answers));
      await checkFlops(t, model);
      if (compute !== 'bf16') return;
      // PyTorch's autocast rounds what goes into products and what comes out of them, the logits too; its residual
      // stays f32. We round the residual and normalized rows, but no logits. About as many roundings of the same size.
      const peer = distance(answers.float('logits_bf16').data, answers.float('logits').data);
      t.ok(error > peer / 2 && error < 2 * peer, `error ${error}, of PyTorch's bf16 ${peer}`);
    });
  }

  t.test(`TiTok, ${compute}`, async (t) => {
    const model = await opened(t, 'titok', compute);
    for (const question of titokQuestions(answersOf('titok-generator-tiny'))) {
      await checkLogits(t, compute, model, question);
    }
    await checkFlops(t, model);
    await checkTokenizer(t, compute, model, 'titok', 'titok-tokenizer-tiny', titokBound(compute));
  });

  t.test(`VQ-16, ${compute}`, async (t) => {
    const model = await opened(t, 'halton', compute);
    await checkTokenizer(t, compute, model, 'halton', 'vq16-tiny');
  });
}
