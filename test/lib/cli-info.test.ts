/** `magnets info PATH`: what it says of checkpoints before and after their conversion. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { convert, load } from '../../lib/index.js';
import { publicFixture } from './fixtures.js';
import { magnets } from './magnets.js';
import { sparseTorchFile, temporaryFolder, writePieces } from './public-files.js';

const cpu = ['--device', 'cpu'];

function infoOf(...args: string[]) {
  const { status, stdout, stderr } = magnets('info', ...args, ...cpu, '--json');
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

t.test('a bundled model: sizes, and the memory that it takes when it is loaded', async (t) => {
  for (const weights of ['f32', 'bf16', 'int8'] as const) {
    const { parts, memory } = infoOf('fashion', '--count', '40', '--weights', weights);
    t.match(parts, [
      {
        part: 'generator',
        name: 'fashion',
        format: 'magnets',
        files: [{ name: 'model.safetensors', bytes: Number }],
        dtypes: ['F16'],
        values: 2817740,
        config: { layers: 6, widths: [{ name: '1/8' }, { name: '1/4' }, { name: '1/2' }, {}] },
      },
      { part: 'tokenizer', config: { kind: 'vit', sampleShape: [1, 28, 28] } },
    ]);
    const model = await load('fashion', { device: 'cpu', weights });
    const needs = model.memory({ labels: [0], count: 40 });
    model.dispose();
    for (const key of ['session', 'tokenizer', 'result'] as const) {
      t.equal(memory[key], needs[key], key);
    }
    // The device pads weights.
    const share = memory.weights / needs.weights;
    t.ok(share <= 1 && share > 0.99, `${weights}: ${share}`);
  }
  t.match(infoOf(join('models', 'fashion', 'tokenizer')), {
    parts: [{ part: 'tokenizer', name: 'tokenizer' }],
    memory: { session: 0, count: 1 },
  });
  const text = magnets('info', 'fashion', ...cpu).stdout;
  t.match(text, /^size: 6 layers, hidden size 192, 8 heads of 24, MLP 768$/m);
  t.match(text, /^widths: 1\/8 \(1 head, MLP 96\), .*1 \(8 heads, MLP 768\)$/m);
  t.match(text, /^parameters: 2\.818 million in 105 tensors, F16$/m);
  t.match(
    text,
    /^memory for 1 sample on cpu\/\w+, weights in f32: 18\.\d MB \(weights 16\.0 MB, /m,
  );
});

for (const [name, model, tokenizer, ...options] of [
  ['Halton-MaskGIT', 'halton-tiny/model.pth', 'vq16-tiny/model.pt', '--heads', '4'],
  ['MaskGIT', 'maskgit-flax-tiny/maskgit_checkpoint', 'maskgit-flax-tiny/tokenizer_checkpoint'],
  ['MaskBit', 'maskbit-tiny/maskbit_generator_6bit.bin', 'maskbit-tiny/tokenizer.safetensors'],
  ["TiTok's generator", 'titok-generator-tiny/model.safetensors', undefined, '--heads', '4'],
] as const) {
  t.test(`${name}: the same before and after its conversion`, async (t) => {
    const heads = name === 'MaskBit' ? ['--heads', '8'] : options;
    const path = publicFixture(model);
    const beside = tokenizer === undefined ? [] : ['--tokenizer', publicFixture(tokenizer)];
    const before = infoOf(path, ...beside, ...heads);
    t.match(before.parts[0], {
      part: 'generator',
      name,
      origin: { name, url: /^https:/, licence: /^(MIT|Apache-2\.0)/ },
      files: [{ name: model.split('/')[1] }],
    });
    t.not(before.parts[0].format, 'magnets');

    const to = join(temporaryFolder(t), 'to');
    const parts = await convert(path, {
      to,
      tokenizer: beside[1],
      heads: heads.length > 0 ? Number(heads[1]) : undefined,
    });
    t.same(before.parts[0].dropped, parts[0]!.dropped);
    const after = infoOf(to);
    t.same(after.memory, before.memory);
    for (const [i, part] of after.parts.entries()) {
      const { config, origin, values, tensors } = before.parts[i];
      t.same(
        { origin: part.origin, values: part.values, tensors: part.tensors, format: part.format },
        { origin, values, tensors, format: 'magnets' },
      );
      t.same({ ...part.config, name: '' }, { ...config, name: '' });
      t.same(part.dtypes, ['F32']);
    }
    const text = magnets('info', path, ...beside, ...heads).stdout;
    t.match(text, /^licence of the source: (MIT|Apache-2\.0)/m);
    t.match(text, /^converts to: config\.json and [\d.]+ MB of weights in f32/m);
    t.match(magnets('info', to).stdout, /^licence of the source: (MIT|Apache-2\.0)/m);
  });
}

t.test('what it refuses, and why', async (t) => {
  const folder = temporaryFolder(t);
  const refused = (stderr: RegExp, ...args: string[]) =>
    t.match(magnets('info', ...args), { status: 1, stdout: '', stderr });
  refused(/nothing: expected a readable file but there is none/, 'nothing');
  refused(/expected a file of torch\.save, of flax \(msgpack\) or of safetensors/, 'package.json');
  refused(/expected one file of weights but found none/, 'lib');
  refused(
    /expected a public model beside a tokenizer but it is a checkpoint folder/,
    ...['fashion', '--tokenizer', 'models/fashion/tokenizer'],
  );
  refused(/for count but received 0/, 'fashion', '--count', '0');
  const strange = writePieces(join(folder, 'x.pth'), sparseTorchFile({ a: [2], b: [3] }));
  refused(/expected a model that can be converted but found 2 tensors such as a, b/, strange);
  const origin = JSON.stringify({ model_type: 'magnets', origin: { name: 'a\nb' } });
  writeFileSync(join(folder, 'config.json'), origin);
  refused(/config\.json: expected a line of text for origin\.name but received "a/, folder);

  t.match(magnets('info', 'a', 'b'), { status: 2, stderr: /Expected one PATH/ });
  t.match(magnets('info', '--heads', '4'), { status: 2, stderr: /Expected a PATH with --heads/ });
});
