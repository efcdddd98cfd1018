/** Converted public models answer what their own code answered: logits, every greedy step, tokens and pixels. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import { convert, type GenerateOptions, info, load, type Model, Tensor } from '../../lib/index.js';
import { fullWidth } from '../../lib/plan/shape.js';
import { classId, maskId } from '../../lib/plan/vocabulary.js';
import { engineTensors, nativeGeneratorConfig } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { answersIn, publicFixture, relativeError } from './fixtures.js';
import { magnets } from './magnets.js';
import { readPng } from './png.js';
import { temporaryFolder } from './public-files.js';

// f32 rounds to 2^-24. Two layers chain about ten sums of up to 256 products; each loses at most sqrt(256) roundings
// typically, and norms rescale in between. The peers lose as much.
const f32Bound = 2 * 10 * Math.sqrt(256) * 2 ** -24;
// The tokenizers chain about twenty sums of 9 · 64 products.
const convBound = 2 * 20 * Math.sqrt(9 * 64) * 2 ** -24;
// TiTok's has as many before them: two layers of a transformer, and a mixture of 1024 codes.
const titokBound = convBound + 2 * 12 * Math.sqrt(1024) * 2 ** -24;

const folder = temporaryFolder(t);
const file = (name: string, of: string) => publicFixture(`${name}/${of}`);

const models = {
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

/** Logits of ids that `forward` cannot be asked for: of some tokens one half alone is masked. */
async function logitsOf(
  name: string,
  instructionSet: string,
  ids: Int32Array,
  classIds: Int32Array,
) {
  const { config, tensors } = await readCheckpoint(join(folder, name), engineTensors);
  const device = native().openCpu(2, instructionSet);
  const generator = await device.loadGenerator(nativeGeneratorConfig(config), tensors, 'f32');
  const { heads, hidden } = fullWidth(config);
  const { logits } = await generator.forward(ids, classIds, heads, hidden);
  generator.dispose();
  device.dispose();
  return logits;
}

for (const [name, [path, tokenizer, heads]] of Object.entries(models)) {
  await convert(path, { to: join(folder, name), tokenizer, heads });
}
// Its generator has other heads than its tokenizer.
const titokTokenizer = file('titok-tokenizer-tiny', 'model.safetensors');
await convert(titokTokenizer, { to: join(folder, 'titok', 'tokenizer'), heads: 4 });

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

const clipped = (value: number) => Math.min(1, Math.max(0, value));

/** [count, channels, height, width] in [least, 1] as [count, height, width, channels] in [0, 1], cut off there. */
function pictures(planes: Tensor<'float32'>, least: 0 | -1): Tensor<'float32'> {
  const [count, channels, height, width] = planes.dims as [number, number, number, number];
  const values = new Float32Array(planes.size);
  for (let i = 0; i < values.length; ++i) {
    const at = i % (height * width);
    const plane = Math.floor(i / (height * width));
    const to = (Math.floor(plane / channels) * height * width + at) * channels + (plane % channels);
    const value = planes.data[i]!;
    values[to] = clipped(least === 0 ? value : (value + 1) / 2);
  }
  return new Tensor('float32', values, [count, height, width, channels]);
}

async function checkTokenizer(
  t: Test,
  model: Model,
  expected: ReturnType<typeof answersIn>,
  toPictures: (planes: Tensor<'float32'>) => Tensor<'float32'>,
  bound = convBound,
) {
  const tokens = await model.tokenize(toPictures(expected.float('pixels')));
  t.same([...tokens.data], [...expected.int('tokens').data], 'tokens');
  const given = expected.int('given');
  const grid = new Tensor('int32', given.data, [given.dims[0]!, given.size / given.dims[0]!]);
  const pixels = await model.detokenize(grid);
  const want = toPictures(expected.float('decoded'));
  t.same(pixels.dims, want.dims);
  const error = relativeError(pixels.data, want.data);
  t.ok(error < bound, `pixels: error ${error} of ${bound}`);
}

for (const instructionSet of info().cpu.instructionSets) {
  const opened = async (t: Test, name: keyof typeof models) => {
    const model = await load(join(folder, name), { instructionSet, threads: 2 });
    t.teardown(() => model.dispose());
    return model;
  };

  t.test(`MaskGIT, ${instructionSet}`, async (t) => {
    const expected = answersIn(publicFixture('maskgit-flax-tiny/expected.safetensors'));
    const model = await opened(t, 'maskgit');
    // The first of 17 positions is the class, 40 + k; -1 is the mask.
    const rows = expected.int('sequence');
    const labels = [0, 1, 2].map((sample) => rows.data[17 * sample]! - 40);
    const tokens = new Tensor(
      'int32',
      rows.data.filter((_, i) => i % 17 !== 0),
      [3, 16],
    );
    const logits = await model.forward({ tokens, labels });
    const all = expected.float('logits');
    const want = all.data.filter((_, i) => Math.floor(i / 46) % 17 !== 0);
    const error = relativeError(logits.data, want);
    t.ok(error < f32Bound, `logits: error ${error} of ${f32Bound}`);

    const greedy = { labels, temperature: 0, choiceTemperature: 0, seed: 1 };
    await checkSteps(t, model, greedy, expected.int('greedy.steps'), expected.int('greedy'));
    await checkTokenizer(t, model, expected, ({ data, dims }) => {
      return new Tensor('float32', data.map(clipped), dims);
    });
    t.throws(() => model.generate({ labels: [0], guidance: 1 }), { message: /guidance/ });
  });

  t.test(`MaskGIT's tokenizer in PyTorch, ${instructionSet}`, async (t) => {
    const expected = answersIn(publicFixture('maskgit-vqgan-tiny/expected.safetensors'));
    await checkTokenizer(t, await opened(t, 'port'), expected, (planes) => pictures(planes, 0));
  });

  t.test(`MaskBit, ${instructionSet}`, async (t) => {
    const expected = answersIn(file('maskbit-tiny', 'expected.safetensors'));
    const model = await opened(t, 'maskbit');
    await checkTokenizer(t, model, expected, (planes) => pictures(planes, 0));

    // Halves of 8 digits, 8 is the mask; in the vocabulary the second half's come after the first's.
    const ids = expected
      .int('code')
      .data.map((digit, i) => (digit === 8 ? maskId(model.config) : digit + (i % 2) * 8));
    const dropped = expected.int('drop_label').data;
    const classes = [...expected.int('labels').data];
    const classIds = classes.map((label, i) => classId(model.config, dropped[i] ? null : label));
    const logits = await logitsOf('maskbit', instructionSet, ids, Int32Array.from(classIds));
    const error = relativeError(logits, expected.float('logits').data);
    t.ok(error < f32Bound, `logits: error ${error} of ${f32Bound}`);

    const greedy = { labels: classes, temperature: 0, choiceTemperature: 0, seed: 1 };
    const forms = {
      greedy: { guidance: 2, guidanceSchedule: 'cosine', guidancePower: 3 },
      'greedy.linear': { guidance: 2, guidanceSchedule: 'linear' },
      'greedy.none': { guidance: 0 },
    } as const;
    for (const [form, guidance] of Object.entries(forms)) {
      const generation = model.generate({
        ...greedy,
        ...guidance,
        schedule: 'baseline',
        cache: false,
        steps: 8,
      });
      const { tokens } = await generation.result({ pixels: false });
      t.same([...tokens.data], [...expected.int(form).data], form);
    }
  });

  t.test(`TiTok, ${instructionSet}`, async (t) => {
    const expected = answersIn(file('titok-generator-tiny', 'expected.safetensors'));
    const model = await opened(t, 'titok');
    const ids = expected.int('ids');
    const tokens = new Tensor(
      'int32',
      ids.data.map((id) => (id === 40 ? -1 : id)),
      ids.dims,
    );
    const classes = [...expected.int('labels').data];
    for (const [name, labels] of [
      ['logits', classes],
      ['logits.dropped', classes.map(() => null)],
    ] as const) {
      const logits = await model.forward({ tokens, labels });
      const error = relativeError(logits.data, expected.float(name).data);
      t.ok(error < f32Bound, `${name}: error ${error} of ${f32Bound}`);
    }
    const forms = {
      'greedy.linear': { guidance: 3, guidanceSchedule: 'linear' },
      'greedy.constant': { guidance: 1.5, guidanceSchedule: 'constant' },
      // Its scale of 4 is of conditional and unconditional: u + 4 (c - u) = c + 3 (c - u).
      'greedy.power-cosine': { guidance: 3, guidanceSchedule: 'cosine', guidancePower: 3 },
    } as const;
    for (const [form, guidance] of Object.entries(forms)) {
      const generation = model.generate({
        labels: classes,
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
    const pixels = answersIn(file('titok-tokenizer-tiny', 'expected.safetensors'));
    await checkTokenizer(t, model, pixels, (planes) => pictures(planes, 0), titokBound);
  });

  t.test(`VQ-16, ${instructionSet}`, async (t) => {
    const expected = answersIn(publicFixture('vq16-tiny/expected.safetensors'));
    await checkTokenizer(t, await opened(t, 'halton'), expected, (planes) => pictures(planes, -1));
  });

  for (const [name, of] of [
    ['halton', 'halton-tiny'],
    ['halton-odd', 'halton-odd'],
  ] as const) {
    t.test(`${of}, ${instructionSet}`, async (t) => {
      const expected = answersIn(publicFixture(`${of}/expected.safetensors`));
      const model = await opened(t, name);
      const code = expected.int('code');
      const tokens = new Tensor(
        'int32',
        code.data.map((id) => (id === 40 ? -1 : id)),
        [4, 16],
      );
      const classes = [...expected.int('labels').data];
      const dropped = expected.int('drop_label').data;
      const labels = classes.map((label, i) => (dropped[i] ? null : label));
      const logits = await model.forward({ tokens, labels });
      // Columns are the codes, the register and the mask; theirs have no register.
      const columns = logits.data.filter((_, i) => i % 42 !== 40);
      const error = relativeError(columns, expected.float('logits').data);
      t.ok(error < f32Bound, `logits: error ${error} of ${f32Bound}`);
      const greedy = {
        labels: classes,
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
