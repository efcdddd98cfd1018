/** What can be seen of a generation that is under way: previews, and the stream of its steps. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { type GenerationStep, load, type Pixels, Tensor } from '../../lib/index.js';
import { copyOf, fixtureFolder } from './fixtures.js';

const model = await load(fixtureFolder('post'), { threads: 2 });
t.teardown(() => model.dispose());

const base = { labels: ['a', 3, null], count: 5, steps: 8, seed: 11 } as const;

/** Compares every pixel with what detokenizing says, or with gray where its token is masked. */
function isPreview(
  preview: Pixels,
  detokenized: Pixels,
  masked: (sample: number, frame: number, y: number, x: number) => boolean,
): boolean {
  const { dims } = preview;
  const [count, frames, height, width, channels] =
    dims.length === 4 ? [dims[0]!, 1, ...dims.slice(1)] : dims;
  let pixel = 0;
  for (let sample = 0; sample < count!; ++sample) {
    for (let frame = 0; frame < frames!; ++frame) {
      for (let y = 0; y < height!; ++y) {
        for (let x = 0; x < width!; ++x) {
          for (let channel = 0; channel < channels!; ++channel, ++pixel) {
            const expected = masked(sample, frame, y, x) ? 0.5 : detokenized.data[pixel];
            if (preview.data[pixel] !== expected) return false;
          }
        }
      }
    }
  }
  return pixel === preview.data.length;
}

t.test('a preview shows what is known, and gray where tokens are masked', async (t) => {
  const generation = model.generate(base);
  let last: Pixels | undefined;
  for await (const step of generation) {
    const before = step.tokens.data.slice();
    last = await generation.preview(step);
    t.same(last.dims, [5, 6, 8, 3]);
    t.same(step.tokens.data, before, 'the step is as it was');
    const shown = step.tokens.data.map((token) => Math.max(token, 0));
    const detokenized = await model.detokenize(new Tensor('int32', shown, [5, 12]));
    // A grid of 3 x 4 tokens over 6 x 8 pixels.
    const masked = (sample: number, _: number, y: number, x: number) =>
      before[sample * 12 + (y >> 1) * 4 + (x >> 1)]! < 0;
    t.ok(isPreview(last, detokenized, masked), `step ${step.step}`);
  }
  t.same(last?.data, (await generation.result()).pixels.data, 'the last one is the result');
});

t.test('previews of videos', async (t) => {
  const video = await load(fixtureFolder('video'), { threads: 2 });
  t.teardown(() => video.dispose());
  const { latentShape } = video.config;
  const [slices, rows, columns] = latentShape;
  const [frames, height, width] = video.tokenizerConfig!.sampleShape;
  const generation = video.generate({ count: 2, steps: 4, seed: 3 });
  for await (const step of generation) {
    const { tokens } = step;
    const shown = tokens.data.map((token) => Math.max(token, 0));
    const detokenized = await video.detokenize(new Tensor('int32', shown, tokens.dims));
    const masked = (sample: number, frame: number, y: number, x: number) => {
      const slice = sample * slices + frame / (frames / slices);
      const row = Math.floor(slice) * rows + Math.floor(y / (height / rows));
      return tokens.data[row * columns + Math.floor(x / (width / columns))]! < 0;
    };
    t.ok(isPreview(await generation.preview(step), detokenized, masked), `step ${step.step}`);
  }
});

t.test('wrong previews', async (t) => {
  const generation = model.generate(base);
  const preview = (step: unknown) => generation.preview(step as GenerationStep);
  await t.rejects(preview(undefined), {
    name: 'TypeError',
    message: "Expected one of this generation's steps for step but received undefined",
  });
  await t.rejects(preview({ tokens: new Tensor('int32', new Int32Array(12), [1, 12]) }), {
    name: 'RangeError',
    message: /an int32 tensor \[5,12\]/,
  });
  const { folder } = copyOf('post', t);
  rmSync(join(folder, 'tokenizer'), { recursive: true });
  const bare = await load(folder);
  t.teardown(() => bare.dispose());
  const blind = bare.generate(base);
  for await (const step of blind) {
    await t.rejects(blind.preview(step), { code: 'ERR_UNSUPPORTED', message: /no tokenizer/ });
    break;
  }
});

t.test('a stream of steps', async (t) => {
  const generation = model.generate(base);
  const seen: string[] = [];
  const names = new Transform({
    objectMode: true,
    transform: ({ width }: GenerationStep, _, done) => done(null, width),
  });
  const sink = new Writable({
    objectMode: true,
    write(width: string, _, done) {
      seen.push(width);
      done();
    },
  });
  await pipeline(generation.toStream(), names, sink);
  t.same(seen, ['1/8', '1/8', '1/4', '1/4', '1/2', '1/2', '1', '1']);
  const { tokens } = await generation.result();
  t.same(tokens.data, (await model.generate(base).result()).tokens.data);
});

t.test('a stream runs no further ahead than one step', async (t) => {
  const controller = new AbortController();
  const generation = model.generate({ ...base, signal: controller.signal });
  const stream = generation.toStream();
  stream.once('readable', () => undefined); // reads ahead, but takes nothing
  await new Promise((resolve) => setTimeout(resolve, 200)); // all eight steps take a few milliseconds
  t.equal(stream.readableLength, 1);
  const steps: GenerationStep[] = [];
  await t.rejects(
    (async () => {
      for await (const step of stream) {
        controller.abort();
        steps.push(step);
      }
    })(),
    { name: 'AbortError' },
  );
  t.ok(steps.length <= 2, `${steps.length} steps were run`);
});

t.test('destroying the stream ends the generation', async (t) => {
  const generation = model.generate(base);
  const stream = generation.toStream();
  for await (const { step } of stream) {
    t.equal(step, 0);
    break; // destroys it
  }
  await t.rejects(generation.result(), { code: 'ERR_STATE', message: /left before its last step/ });
  const second = generation.toStream();
  await t.rejects(second.toArray(), { code: 'ERR_STATE', message: /it runs once/ });
});
