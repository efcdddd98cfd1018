/** Public generators become checkpoint folders: every tensor where it belongs, and what the config says. */

import { join } from 'node:path';
import t from 'tap';
import { convert } from '../../lib/index.js';
import { configOf, files, stored, written } from './converting.js';
import { publicFixture } from './fixtures.js';
import { temporaryFolder } from './public-files.js';

t.test('MaskGIT: as the same model was exported before, without the null class', async (t) => {
  const to = join(temporaryFolder(t), 'maskgit');
  const parts = await convert(files.maskgit, { to, tokenizer: files.maskgitTokenizer });
  t.same(
    parts.map(({ part, origin }) => [part, origin.name, origin.licence]),
    [
      ['generator', 'MaskGIT', 'Apache-2.0'],
      ['tokenizer', "MaskGIT's tokenizer", 'Apache-2.0'],
    ],
  );
  const exported = written(publicFixture('maskgit-flax-tiny/magnets'));
  const tensors = written(to);
  t.same([...tensors.keys()].sort(), [...exported.keys()].sort());
  for (const [name, { values, shape }] of tensors) {
    const before = exported.get(name)!;
    if (shape.join() === before.shape.join()) {
      t.same(values, before.values, name);
      continue;
    }
    // Row 45 was the null class, row 46 the mask.
    const columns = values.length / shape[0]!;
    const kept = new Float32Array(values.length);
    kept.set(before.values.subarray(0, 45 * columns));
    kept.set(before.values.subarray(46 * columns), 45 * columns);
    t.same(values, kept, name);
  }
  t.match(configOf(to), {
    model_type: 'magnets',
    hidden_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 8,
    head_dim: 6,
    intermediate_size: 96,
    norm_position: 'post',
    hidden_act: 'gelu_tanh',
    layer_norm_eps: 1e-12,
    codebook_size: 40,
    num_classes: 5,
    null_class: false,
    latent_shape: [1, 4, 4],
    widths: [{ name: '1', heads: 8, hidden: 96 }],
    sampling: { steps: 12, masking_schedule: 'cosine', choice_temperature: 4.5 },
  });
  t.same(configOf(join(to, 'tokenizer')).sample_shape, [1, 8, 8]);
});

/** Our names of what Halton-MaskGIT stores in the same form. */
const haltonNames: readonly (readonly [RegExp, string])[] = [
  [/^cls_emb\.weight$/, 'embeddings.class.weight'],
  [/^transformer\.layers\.(\d+)\.mlp\.1\.(.*)$/, 'layers.$1.modulation.$2'],
  [/^transformer\.layers\.(\d+)\.ln1\.weight$/, 'layers.$1.attention.norm.weight'],
  [/^transformer\.layers\.(\d+)\.attn\.wq\.weight$/, 'layers.$1.attention.query.weight'],
  [/^transformer\.layers\.(\d+)\.attn\.wk\.weight$/, 'layers.$1.attention.key.weight'],
  [/^transformer\.layers\.(\d+)\.attn\.wv\.weight$/, 'layers.$1.attention.value.weight'],
  [/^transformer\.layers\.(\d+)\.attn\.wo\.weight$/, 'layers.$1.attention.output.weight'],
  [/^transformer\.layers\.(\d+)\.ln2\.weight$/, 'layers.$1.mlp.norm.weight'],
  [/^transformer\.layers\.(\d+)\.ff\.w1\.weight$/, 'layers.$1.mlp.gate.weight'],
  [/^transformer\.layers\.(\d+)\.ff\.w3\.weight$/, 'layers.$1.mlp.up.weight'],
  [/^transformer\.layers\.(\d+)\.ff\.w2\.weight$/, 'layers.$1.mlp.down.weight'],
  [/^last_norm\.norm_final\.(.*)$/, 'norm.$1'],
  [/^last_norm\.mlp\.1\.(.*)$/, 'modulation.$1'],
];

for (const [name, file, heads, headDim] of [
  ['halton-tiny', files.halton, 4, 12],
  ['halton-odd', files.haltonOdd, 6, 8],
] as const) {
  t.test(`${name}: every tensor where it belongs`, async (t) => {
    const to = join(temporaryFolder(t), 'halton');
    await convert(file, { to, heads });
    const tensors = written(to);
    const source = await stored(file, 'model_state_dict');
    const left = new Set(tensors.keys());
    const theirs = (key: string) =>
      (source.get(key) ?? source.get(`module._orig_mod.${key}`))!.values;
    for (const [key, { values, shape }] of source) {
      const plain = key.replace('module._orig_mod.', '');
      const rule = haltonNames.find(([pattern]) => pattern.test(plain));
      if (rule === undefined) continue;
      const ours = plain.replace(rule[0], rule[1]);
      t.same(tensors.get(ours), { shape, values }, ours);
      left.delete(ours);
    }
    t.same(
      [...left].sort(),
      ['embeddings.position.weight', 'embeddings.word.weight', 'head.bias'],
      'all others',
    );
    const words = theirs('tok_emb.weight');
    const d = words.length / 41;
    const word = tensors.get('embeddings.word.weight')!;
    t.same(word.shape, [42, d], 'codes, the register, the mask');
    t.same(word.values.subarray(0, 40 * d), words.subarray(0, 40 * d));
    t.same(word.values.subarray(40 * d, 41 * d), theirs('reg_tokens.weight'));
    t.same(word.values.subarray(41 * d), words.subarray(40 * d));
    const position = tensors.get('embeddings.position.weight')!;
    t.same(position.shape, [17, d]);
    t.same(position.values.subarray(0, d), new Float32Array(d), 'the register has no position');
    t.same(position.values.subarray(d), theirs('pos_emb.weight'));
    const bias = [...theirs('head.bias')];
    t.same([...tensors.get('head.bias')!.values], [...bias.slice(0, 40), 0, bias[40]]);
    t.match(configOf(to), {
      num_attention_heads: heads,
      head_dim: headDim,
      intermediate_size: 256,
      norm_position: 'pre',
      norm_type: 'rms_norm',
      hidden_act: 'silu',
      mlp_gate: 'multiply',
      qk_norm: 'rms',
      modulation: 'class',
      bias: false,
      embedding_norm: false,
      head: 'plain',
      layer_norm_eps: 1e-5,
      codebook_size: 40,
      num_classes: 5,
      latent_shape: [1, 4, 4],
      sampling: { steps: 32, masking_schedule: 'arccos', order: 'halton', guidance: 1 },
    });
  });
}

/** Our names of what Hugging Face's BERT stores in the same form. */
const bertNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.lm_head\.weight$/, 'head.output.weight'],
  [/^model\.lm_head\.bias$/, 'head.bias'],
  [/^model\.embeddings\.LayerNorm\./, 'embeddings.norm.'],
  [/^model\.encoder\.layer\.(\d+)\.attention\.self\./, 'layers.$1.attention.'],
  [/^model\.encoder\.layer\.(\d+)\.attention\.output\.dense\./, 'layers.$1.attention.output.'],
  [/^model\.encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\./, 'layers.$1.attention.norm.'],
  [/^model\.encoder\.layer\.(\d+)\.intermediate\.dense\./, 'layers.$1.mlp.up.'],
  [/^model\.encoder\.layer\.(\d+)\.output\.dense\./, 'layers.$1.mlp.down.'],
  [/^model\.encoder\.layer\.(\d+)\.output\.LayerNorm\./, 'layers.$1.mlp.norm.'],
];

t.test("TiTok's generator: every tensor where it belongs, and its recipe", async (t) => {
  const to = join(temporaryFolder(t), 'titok');
  await convert(files.titok, { to, heads: 8 });
  const tensors = written(to);
  const source = await stored(files.titok);
  const left = new Set(tensors.keys());
  for (const [name, { values, shape }] of source) {
    const rule = bertNames.find(([pattern]) => pattern.test(name));
    if (rule === undefined) continue;
    const ours = name.replace(rule[0], rule[1]);
    t.same(tensors.get(ours), { shape, values }, ours);
    left.delete(ours);
  }
  t.same([...left].sort(), ['embeddings.position.weight', 'embeddings.word.weight']);
  const embedding = (name: string) => source.get(`model.embeddings.${name}_embeddings.weight`)!;
  const words = embedding('word').values;
  const d = 48;
  const word = tensors.get('embeddings.word.weight')!;
  t.same(word.shape, [47, d], 'codes, classes and none, the mask');
  t.same(word.values.subarray(0, 40 * d), words.subarray(0, 40 * d));
  t.same(word.values.subarray(40 * d, 46 * d), words.subarray(41 * d));
  t.same(word.values.subarray(46 * d), words.subarray(40 * d, 41 * d));
  const segments = embedding('token_type').values;
  const position = tensors.get('embeddings.position.weight')!;
  t.same(
    position.values,
    embedding('position').values.map((value, i) => value + segments[i % d]!),
  );
  const config = configOf(to);
  t.match(config, {
    num_attention_heads: 8,
    intermediate_size: 96,
    norm_position: 'post',
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    head: 'plain',
    tied: false,
    codebook_size: 40,
    num_classes: 5,
    latent_shape: [1, 1, 12],
    sampling: {
      steps: 8,
      masking_schedule: 'arccos',
      guidance: 3,
      guidance_schedule: 'linear',
      confidence: 'logit',
    },
  });
  // Its own two temperatures of a step, multiplied.
  const { temperature, choice_temperature: choice } = config.sampling;
  t.equal(temperature.length, 8);
  t.same(choice, temperature);
  for (const [step, ratio] of [0.125, 0.5, 1].map((ratio) => [8 * ratio - 1, ratio] as const)) {
    const want = (0.5 + 0.8 * (1 - ratio)) * (11 * (1 - ratio));
    t.ok(Math.abs(temperature[step] - want) < 1e-12, `step ${step}: ${temperature[step]}`);
  }
});
