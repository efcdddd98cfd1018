/** Numbers that overflow end in ERR_NUMERIC, and never in a picture. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { load, Tensor } from '../../lib/index.js';
import { copyOf } from './fixtures.js';
import { magnets } from './magnets.js';
import { temporaryFolder } from './public-files.js';

/** Writes f32 values into a tensor of a file, from an element on. */
function poke(file: string, name: string, first: number, values: readonly number[]): void {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start));
  const [begin] = header[name].data_offsets;
  values.forEach((value, i) => {
    bytes.writeFloatLE(value, start + begin + 4 * (first + i));
  });
  writeFileSync(file, bytes);
}

const numeric = (message: RegExp) => ({ name: 'MagnetsError', code: 'ERR_NUMERIC', message });

t.test('weights that overflow', async (t) => {
  for (const weights of ['f32', 'bf16'] as const) {
    const { folder } = copyOf('post', t);
    const file = join(folder, 'model.safetensors');
    // Past the first eighth of the hidden units, so that the smallest width does not meet it.
    poke(file, 'layers.1.mlp.down.weight', 40, [1e38, -1e38, 1e38, 1e38]);
    poke(file, 'layers.1.mlp.up.bias', 40, [1e38, 1e38, 1e38, 1e38]);
    const model = await load(folder, { device: 'cpu', weights });
    const options = { labels: ['a', 'b'], schedule: '1/8x2,1x2', seed: 1 } as const;
    const message =
      /: expected finite logits but some of sample 0 are not, at step 2 of 4 at width 1 /;
    await t.rejects(model.generate(options).result(), numeric(message), 'found at the end');
    let steps = 0;
    const watched = model.generate(options).result({ onStep: () => ++steps });
    await t.rejects(watched, numeric(message));
    t.equal(steps, 2, 'where steps are looked at, it ends at once');
    const small = { ...options, schedule: '1/8x4' } as const;
    t.ok((await model.generate(small).result()).tokens, 'the width that does not overflow works');
    const { data } = await model.forward({
      tokens: new Tensor('int32', new Int32Array(12).fill(-1), [1, 12]),
      labels: ['a'],
    });
    t.ok(
      data.some((value) => Number.isNaN(value)),
      'a single pass shows what there is',
    );
    model.dispose();
  }
});

t.test('a class that overflows', async (t) => {
  const { folder } = copyOf('post', t);
  const { codebookSize, classLabels, hiddenSize, vocabSize } = (await load(folder)).config;
  const file = join(folder, 'model.safetensors');
  const row = codebookSize + classLabels.indexOf('b');
  t.ok(row < vocabSize);
  poke(file, 'embeddings.word.weight', row * hiddenSize, [3e38, 3e38, 3e38]);
  const model = await load(folder, { device: 'cpu' });
  t.ok(await model.generate({ labels: ['a', 'a'], steps: 3 }).result());
  await t.rejects(
    model.generate({ labels: ['a', 'b', 'a'], steps: 3 }).result(),
    numeric(/some of sample 1 are not, at step 0 of 3 /),
    'the sample is named',
  );
  await t.rejects(
    model.generate({ labels: ['a', 'a', 'b'], steps: 3, batchSize: 2 }).result(),
    numeric(/some of sample 2 are not/),
    'in the second batch, too',
  );
  const options = { steps: 3, seed: 4 } as const;
  const alone = await model.generate({ ...options, labels: ['a'] }).result();
  const [sound, wrong] = await Promise.allSettled([
    model.generate({ ...options, labels: ['a'] }).result(),
    model.generate({ ...options, labels: ['b'] }).result(),
  ]);
  t.match(wrong, { status: 'rejected', reason: { code: 'ERR_NUMERIC' } });
  t.match(sound, { status: 'fulfilled', value: { tokens: { data: alone.tokens.data } } });
  // The second batch fails while the pixels of the first are still being made.
  const out = join(temporaryFolder(t), '%d.png');
  const args = ['--steps', '3', '--batch-size', '1', '--device', 'cpu', '--out', out];
  const failed = magnets('generate', 'a', 'b', '--model', folder, ...args);
  t.match(failed, { status: 1, stderr: /^magnets: .*some of sample 0 are not/ });
  model.dispose();
});

t.test('guidance that overflows', async (t) => {
  const { folder } = copyOf('post', t);
  const file = join(folder, 'model.safetensors');
  poke(file, 'head.bias', 3, [1e20]);
  const model = await load(folder, { device: 'cpu' });
  t.ok(await model.generate({ labels: ['a'], steps: 2, guidance: 1 }).result());
  await t.rejects(
    model.generate({ labels: ['a'], steps: 2, guidance: 1e30 }).result(),
    numeric(/ and guidance 1e\+30: /),
  );
  model.dispose();
});

t.test('a tokenizer that overflows', async (t) => {
  const { folder } = copyOf('post', t);
  const file = join(folder, 'tokenizer', 'model.safetensors');
  poke(file, 'decoder.norm.weight', 0, [3e38, 3e38]);
  poke(file, 'decoder.output.weight', 0, [1e5, 1e5]);
  poke(file, 'encoder.norm.weight', 0, [3e38, 3e38]);
  poke(file, 'encoder.output.weight', 0, [1e5, 1e5]);
  const model = await load(folder, { device: 'cpu' });
  const tokens = new Tensor('int32', new Int32Array(24).fill(1), [2, 12]);
  await t.rejects(model.detokenize(tokens), numeric(/expected finite pixels but some of sample 0/));
  const { sampleShape, channels } = model.tokenizerConfig!;
  const dims = [1, ...sampleShape.slice(1), channels];
  const size = dims.reduce((product, extent) => product * extent, 1);
  const pixels = new Tensor('float32', new Float32Array(size).fill(0.5), dims);
  await t.rejects(model.tokenize(pixels), numeric(/expected finite latents but those of token 0/));
  model.dispose();
});
