/** Converted public models answer what their own code answered: logits, every greedy step, tokens and pixels. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type GenerateOptions, info, load, type Model, Tensor } from '../../lib/index.js';
import { native } from '../../lib/runtime/native.js';
import { relativeError } from './fixtures.js';
import { magnets } from './magnets.js';
import { readPng } from './png.js';
import {
  answersOf,
  convBound,
  convertAll,
  f32Bound,
  haltonQuestion,
  latentAnswers,
  maskbitLogits,
  maskgitQuestion,
  type PublicModel,
  type Question,
  titokQuestions,
  tokenizerAnswers,
} from './public-answers.js';
import { temporaryFolder } from './public-files.js';

// TiTok's tokenizer has as many sums before those of convolutions: two layers of a transformer, and a mixture of 1024 codes.
const titokBound = convBound + 2 * 12 * Math.sqrt(1024) * 2 ** -24;

const folder = temporaryFolder(t);
await convertAll(folder);

/** Every step's newly known tokens are those that the peer drew in it, `steps` being [count, T, N]. */
async function checkSteps(
  t: Test,
  model: Model,
  options: GenerateOptions,
  steps: Tensor<'int32'>,
  last: Tensor<'int32'>,
) {
  const [count, stepCount] = steps.dims as [number, number];
  const size = steps.size / count / stepCount;
  const known = new Int32Array(count * size).fill(-1);
  const plain = { schedule: 'baseline', cache: false, steps: stepCount } as const;
  const generation = model.generate({ ...options, ...plain });
  for await (const { step, tokens } of generation) {
    const wrong = tokens.data.findIndex((token, i) => {
      if (token < 0) return known[i]! >= 0;
      if (known[i]! >= 0) return token !== known[i];
      const drawn = Math.floor(i / size) * stepCount * size + step * size + (i % size);
      return token !== steps.data[drawn];
    });
    t.equal(wrong, -1, `step ${step}`);
    known.set(tokens.data);
  }
  const result = await generation.result();
  t.same([...result.tokens.data], [...last.data], 'at the end');
}

async function checkLogits(t: Test, model: Model, { tokens, labels, known, want }: Question) {
  const error = relativeError(known(await model.forward({ tokens, labels })), want);
  t.ok(error < f32Bound, `logits: error ${error} of ${f32Bound}`);
}

async function checkTokenizer(
  t: Test,
  model: Model,
  name: PublicModel,
  of: string,
  bound = convBound,
) {
  const device = native().openCpu(2, model.backend.replace('cpu/', ''));
  t.teardown(() => device.dispose());
  const encoded = await latentAnswers(join(folder, name), device, 'f32', of);
  const distance = relativeError(encoded.latents, encoded.want);
  t.ok(distance < bound, `latents: error ${distance} of ${bound}`);
  t.same([...encoded.tokens], [...encoded.wantTokens], 'tokens of its own latents');

  const { tokens, wantTokens, pixels, wantPixels } = await tokenizerAnswers(model, of);
  t.same([...tokens.data], [...wantTokens.data], 'tokens');
  t.same(pixels.dims, wantPixels.dims);
  const error = relativeError(pixels.data, wantPixels.data);
  t.ok(error < bound, `pixels: error ${error} of ${bound}`);
}

for (const instructionSet of info().cpu.instructionSets) {
  const opened = async (t: Test, name: PublicModel) => {
    const model = await load(join(folder, name), { instructionSet, threads: 2 });
    t.teardown(() => model.dispose());
    return model;
  };

  t.test(`MaskGIT, ${instructionSet}`, async (t) => {
    const expected = answersOf('maskgit-flax-tiny');
    const model = await opened(t, 'maskgit');
    const question = maskgitQuestion(expected);
    await checkLogits(t, model, question);
    const greedy = { labels: question.labels, temperature: 0, choiceTemperature: 0, seed: 1 };
    await checkSteps(t, model, greedy, expected.int('greedy.steps'), expected.int('greedy'));
    await checkTokenizer(t, model, 'maskgit', 'maskgit-flax-tiny');
    t.throws(() => model.generate({ labels: [0], guidance: 1 }), { message: /guidance/ });
  });

  t.test(`MaskGIT's tokenizer in PyTorch, ${instructionSet}`, async (t) => {
    await checkTokenizer(t, await opened(t, 'port'), 'port', 'maskgit-vqgan-tiny');
  });

  t.test(`MaskBit, ${instructionSet}`, async (t) => {
    const expected = answersOf('maskbit-tiny');
    const model = await opened(t, 'maskbit');
    await checkTokenizer(t, model, 'maskbit', 'maskbit-tiny');

    const device = native().openCpu(2, instructionSet);
    t.teardown(() => device.dispose());
    const logits = await maskbitLogits(join(folder, 'maskbit'), device, 'f32', expected);
    const error = relativeError(logits, expected.float('logits').data);
    t.ok(error < f32Bound, `logits: error ${error} of ${f32Bound}`);

    const greedy = {
      labels: [...expected.int('labels').data],
      temperature: 0,
      choiceTemperature: 0,
      seed: 1,
    };
    const forms = {
      greedy: { guidance: 2, guidanceSchedule: 'cosine', guidancePower: 3 },
      'greedy.linear': { guidance: 2, guidanceSchedule: 'linear' },
      'greedy.none': { guidance: 0 },
    } as const;
    for (const [form, guidance] of Object.entries(forms)) {
      // A token is known, and shown, when both of its halves are.
      const { data, dims } = expected.int(`${form}.steps`);
      const drawn = Int32Array.from(
        { length: data.length / 2 },
        (_, i) => data[2 * i]! + 8 * data[2 * i + 1]!,
      );
      const steps = new Tensor('int32', drawn, dims.slice(0, 3));
      await checkSteps(t, model, { ...greedy, ...guidance }, steps, expected.int(form));
    }
  });

  t.test(`TiTok, ${instructionSet}`, async (t) => {
    const expected = answersOf('titok-generator-tiny');
    const model = await opened(t, 'titok');
    const [question, dropped] = titokQuestions(expected);
    await checkLogits(t, model, question);
    await checkLogits(t, model, dropped);
    const forms = {
      'greedy.linear': { guidance: 3, guidanceSchedule: 'linear' },
      'greedy.constant': { guidance: 1.5, guidanceSchedule: 'constant' },
      // Its scale of 4 is of conditional and unconditional: u + 4 (c - u) = c + 3 (c - u).
      'greedy.power-cosine': { guidance: 3, guidanceSchedule: 'cosine', guidancePower: 3 },
    } as const;
    for (const [form, guidance] of Object.entries(forms)) {
      const generation = model.generate({
        labels: question.labels,
        temperature: 0,
        choiceTemperature: 0,
        seed: 1,
        schedule: 'baseline',
        cache: false,
        steps: 6,
        ...guidance,
      });
      const { tokens } = await generation.result({ pixels: false });
      t.same([...tokens.data], [...expected.int(form).data], form);
    }
    await checkTokenizer(t, model, 'titok', 'titok-tokenizer-tiny', titokBound);
  });

  t.test(`VQ-16, ${instructionSet}`, async (t) => {
    await checkTokenizer(t, await opened(t, 'halton'), 'halton', 'vq16-tiny');
  });

  for (const [name, of] of [
    ['halton', 'halton-tiny'],
    ['halton-odd', 'halton-odd'],
  ] as const) {
    t.test(`${of}, ${instructionSet}`, async (t) => {
      const expected = answersOf(of);
      const model = await opened(t, name);
      await checkLogits(t, model, haltonQuestion(expected));
      const greedy = {
        labels: [...expected.int('labels').data],
        guidance: 1.5,
        inverseTemperature: [1, 1.2],
        topK: 1,
        order: 'halton',
        maskingSchedule: 'arccos',
        seed: 1,
      } as const;
      const [steps, last] = [expected.int('halton.greedy.steps'), expected.int('halton.greedy')];
      await checkSteps(t, model, greedy, steps, last);
    });
  }
}

t.test('pictures of tokens without a grid, by the command line', async (t) => {
  const out = join(folder, 'titok.png');
  const generate = ['generate', '3', '--model', join(folder, 'titok'), '--seed', '1', '--out', out];
  t.match(magnets(...generate), { status: 0 });
  // 16 pixels are shown three times as large.
  t.match(readPng(readFileSync(out)), { width: 16 * 3, height: 16 * 3 });
  t.match(magnets(...generate, '--strip', join(folder, 'strip.png')), {
    status: 2,
    stderr: /a model whose tokens lie on a grid for --strip/,
  });
});
