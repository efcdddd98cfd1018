/** Public models become checkpoint folders: every tensor where it belongs, rounded as asked, or a refusal with its reason. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import { decode, round, unfit } from '../../lib/checkpoint/convert/numbers.js';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import { convert } from '../../lib/index.js';
import { engineTensors } from '../../lib/runtime/listing.js';
import { parseSafetensors, publicFixture } from './fixtures.js';
import { magnets } from './magnets.js';
import {
  type Pieces,
  Raw,
  sparseTorchFile,
  temporaryFolder,
  valuesOf,
  writePieces,
} from './public-files.js';

const files = {
  maskgit: publicFixture('maskgit-flax-tiny/maskgit_checkpoint'),
  maskgitTokenizer: publicFixture('maskgit-flax-tiny/tokenizer_checkpoint'),
  halton: publicFixture('halton-tiny/model.pth'),
  haltonOdd: publicFixture('halton-odd/model.pth'),
  vq16: publicFixture('vq16-tiny/model.pt'),
  port: publicFixture('maskgit-vqgan-tiny/pytorch_model.bin'),
  maskbit: publicFixture('maskbit-tiny/tokenizer.safetensors'),
  titok: publicFixture('titok-generator-tiny/model.safetensors'),
  titokTokenizer: publicFixture('titok-tokenizer-tiny/model.safetensors'),
};

function floatsOf({ dtype, data }: ReturnType<typeof parseSafetensors>[string]): Float32Array {
  if (dtype === 'I8') throw new TypeError('Expected a tensor of floats');
  const values = new Float32Array(data.byteLength / (dtype === 'F32' ? 4 : 2));
  decode(dtype, new Uint8Array(data), values);
  return values;
}

interface Values {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The tensors of a folder that was written. */
function written(folder: string): Map<string, Values> {
  const file = join(folder, 'model.safetensors');
  const tensors = parseSafetensors(file, readFileSync(file));
  return new Map(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      { shape: tensor.shape, values: floatsOf(tensor) },
    ]),
  );
}

/** The tensors of a public file. */
async function stored(path: string, group = ''): Promise<Map<string, Values>> {
  const source = await openSource(path);
  const tensors = new Map<string, Values>();
  for (const [name, tensor] of source.groups.get(group)!) {
    if (tensor.dtype.startsWith('I')) continue;
    tensors.set(name, { shape: tensor.shape, values: await valuesOf(tensor) });
  }
  await closeSource(source);
  return tensors;
}

/** The shapes of a public file. */
async function shapesOf(path: string): Promise<Record<string, readonly number[]>> {
  const source = await openSource(path);
  await closeSource(source);
  return Object.fromEntries([...source.groups.get('')!].map(([name, { shape }]) => [name, shape]));
}

/** Without what is undefined. */
function definedOf<T>(entries: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, T] => entry[1] !== undefined),
  );
}

const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

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

/** [out, height, width, in] of a PyTorch convolution, or [out, in] where it is of one pixel. */
function reordered({ shape, values }: Values): Values {
  const [out, inputs, height, width] = shape as [number, number, number, number];
  if (height === 1) return { shape: [out, inputs], values };
  const result = new Float32Array(values.length);
  for (let o = 0; o < out; ++o)
    for (let i = 0; i < inputs; ++i)
      for (let y = 0; y < height; ++y)
        for (let x = 0; x < width; ++x)
          result[((o * height + y) * width + x) * inputs + i] =
            values[((o * inputs + i) * height + y) * width + x]!;
  return { shape: [out, height, width, inputs], values: result };
}

/** Checks every tensor of a tokenizer against the PyTorch one that `rename` says; `special` are looked at elsewhere. */
function checkTokenizer(
  t: Test,
  tensors: Map<string, Values>,
  source: Map<string, Values>,
  rename: readonly (readonly [RegExp, string])[],
  special: readonly RegExp[],
) {
  const found = new Set<string>();
  for (const [name, tensor] of source) {
    if (special.some((pattern) => pattern.test(name))) continue;
    const ours = rename.reduce((text, [pattern, to]) => text.replace(pattern, to), name);
    const want = tensor.shape.length === 4 ? reordered(tensor) : tensor;
    const got = tensors.get(ours);
    t.same(got?.shape, want.shape, `${name} is ${ours}`);
    t.same(got?.values, want.values, ours);
    found.add(ours);
  }
  for (const [name, { values }] of tensors) {
    if (found.has(name) || /conv2\.weight$|^decoder\.output/.test(name)) continue;
    t.ok(name.endsWith('.bias') && values.every((value) => value === 0), `${name} is zero`);
  }
}

const vqganNames: readonly (readonly [RegExp, string])[] = [
  [/\.(conv_in)\./, '.input.'],
  [/\.(norm_out)\./, '.norm.'],
  [/\.(conv_out)\./, '.output.'],
  [/\.(?:down|up)\.(\d+)\.(?:block|res_blocks)\.(\d+)\./, '.levels.$1.blocks.$2.'],
  [/\.mid\.(?:res_blocks\.)?(\d+)\./, '.middle.$1.'],
  [/\.up\.(\d+)\.upsample_conv\./, '.levels.$1.upsample.'],
  [/\.down\.(\d+)\.down_conv\./, '.levels.$1.downsample.'],
  [/^quantize\.embedding\./, 'codebook.'],
];

/** The second convolution of a block whose shortcut is folded in. */
function checkFolded(
  t: Test,
  tensors: Map<string, Values>,
  source: Map<string, Values>,
  ours: string,
  theirs: string,
) {
  const conv = reordered(source.get(`${theirs}.conv2.weight`)!);
  const shortcut = source.get(`${theirs}.nin_shortcut.weight`)!.values;
  const got = tensors.get(`${ours}.conv2.weight`)!;
  t.same(got.shape, conv.shape);
  const out = conv.shape[0]!;
  const columns = conv.values.length / out;
  let error = 0;
  for (let o = 0; o < out; ++o)
    for (let column = 0; column < columns; ++column) {
      let want = conv.values[o * columns + column]!;
      for (let i = 0; i < out; ++i)
        want += shortcut[o * out + i]! * conv.values[i * columns + column]!;
      error = Math.max(error, Math.abs(got.values[o * columns + column]! - want));
    }
  t.ok(error < 1e-6, `${ours}: (I + shortcut) conv2, error ${error}`);
}

t.test("MaskGIT's tokenizer in PyTorch, and in flax", async (t) => {
  const folder = temporaryFolder(t);
  const to = join(folder, 'port');
  const [part] = await convert(files.port, { to });
  t.equal(part?.part, 'tokenizer');
  const [tensors, source] = [written(to), await stored(files.port)];
  const special = [/nin_shortcut/, /(down\.1|up\.0)\.block\.0\.conv2/];
  checkTokenizer(t, tensors, source, vqganNames, special);
  checkFolded(t, tensors, source, 'encoder.levels.1.blocks.0', 'encoder.down.1.block.0');
  checkFolded(t, tensors, source, 'decoder.levels.0.blocks.0', 'decoder.up.0.block.0');
  const config = configOf(to);
  t.match(config, {
    model_type: 'magnets_tokenizer',
    kind: 'conv',
    sample_shape: [1, 32, 32],
    channels: 3,
    base_channels: 32,
    multipliers: [1, 2],
    encoder_blocks: 2,
    decoder_blocks: 2,
    attention: false,
    shortcut: 'none',
    downsample: 'mean',
    encoder_output_kernel: 1,
    codebook_size: 40,
    codebook_dim: 16,
    code_channels: 16,
    normalized_codes: false,
    code_type: 'vectors',
  });

  // The same network in flax: the same config, names and shapes.
  await convert(files.maskgitTokenizer, { to: join(folder, 'flax') });
  const flax = written(join(folder, 'flax'));
  const { origin, ...rest } = configOf(join(folder, 'flax'));
  t.same({ ...rest, origin: config.origin }, config);
  t.match(origin, { name: "MaskGIT's tokenizer", licence: 'Apache-2.0' });
  t.match(config.origin, { name: "MaskGIT's tokenizer in PyTorch", licence: 'Apache-2.0' });
  t.same(
    [...flax].map(([name, { shape }]) => [name, shape]),
    [...tensors].map(([name, { shape }]) => [name, shape]),
  );
  const theirs = await stored(files.maskgitTokenizer, 'params');
  const first = theirs.get('encoder/Conv_0/kernel')!.values; // [3, 3, 3, 32]
  const ours = flax.get('encoder.input.weight')!.values; // [32, 3, 3, 3]
  t.ok(
    ours.every((value, at) => value === first[(at % 27) * 32 + Math.floor(at / 27)]),
    'HWIO becomes OHWI',
  );
  const same = (name: string, from: string) =>
    t.same(flax.get(name)?.values, theirs.get(from)?.values, name);
  same('encoder.levels.1.blocks.1.norm2.weight', 'encoder/ResBlock_3/GroupNorm_1/scale');
  same('encoder.middle.1.norm1.bias', 'encoder/ResBlock_5/GroupNorm_0/bias');
  same('decoder.middle.0.norm1.weight', 'decoder/ResBlock_0/GroupNorm_0/scale');
  same('decoder.levels.1.blocks.0.norm1.weight', 'decoder/ResBlock_2/GroupNorm_0/scale');
  same('decoder.levels.0.blocks.1.norm2.bias', 'decoder/ResBlock_5/GroupNorm_1/bias');
  same('decoder.levels.1.upsample.bias', 'decoder/Conv_1/bias');
  same('decoder.output.bias', 'decoder/Conv_2/bias');
  same('codebook.weight', 'quantizer/codebook');
});

t.test("LlamaGen's VQ-16: every tensor where it belongs, pixels in [0, 1]", async (t) => {
  const to = join(temporaryFolder(t), 'vq16');
  const [part] = await convert(files.vq16, { to });
  t.match(part?.dropped, [/^quantize\.codebook_used: /]);
  const [tensors, source] = [written(to), await stored(files.vq16, 'model')];
  checkTokenizer(
    t,
    tensors,
    source,
    [
      ...vqganNames,
      [/^encoder\.conv_blocks\.(\d+)\.res\./, 'encoder.levels.$1.blocks.'],
      [/^encoder\.conv_blocks\.(\d+)\.attn\./, 'encoder.levels.$1.attentions.'],
      [/^encoder\.conv_blocks\.(\d+)\.downsample\.conv\./, 'encoder.levels.$1.downsample.'],
      [/^decoder\.conv_blocks\.0\.res\./, 'decoder.levels.1.blocks.'],
      [/^decoder\.conv_blocks\.1\.res\./, 'decoder.levels.0.blocks.'],
      [/^decoder\.conv_blocks\.0\.attn\./, 'decoder.levels.1.attentions.'],
      [/^decoder\.conv_blocks\.0\.upsample\.conv\./, 'decoder.levels.1.upsample.'],
      [/\.nin_shortcut\./, '.shortcut.'],
      [/\.q\./, '.query.'],
      [/\.k\./, '.key.'],
      [/\.v\./, '.value.'],
      [/\.proj_out\./, '.output.'],
      [/^quant_conv\./, 'encoder.code.'],
      [/^post_quant_conv\./, 'decoder.code.'],
    ],
    [/codebook_used/, /^decoder\.conv_out/],
  );
  const last = reordered(source.get('decoder.conv_out.weight')!).values;
  t.same(
    tensors.get('decoder.output.weight')?.values,
    last.map((value) => value / 2),
  );
  const bias = source.get('decoder.conv_out.bias')!.values;
  t.same(
    tensors.get('decoder.output.bias')?.values,
    bias.map((value) => value / 2 + 0.5),
  );
  t.match(configOf(to), {
    multipliers: [1, 2],
    encoder_blocks: 2,
    decoder_blocks: 3,
    attention: true,
    shortcut: 'projection',
    downsample: 'conv',
    encoder_output_kernel: 3,
    codebook_size: 40,
    codebook_dim: 8,
    code_channels: 16,
    normalized_codes: true,
    pixel_range: [-1, 1],
  });
});

t.test(
  "MaskBit's tokenizer: the signs are the code, the coarsest level is the decoder's first",
  async (t) => {
    const to = join(temporaryFolder(t), 'maskbit');
    const [part] = await convert(files.maskbit, { to });
    t.equal(part?.dropped.length, 2);
    t.match(part?.origin.licence, /research only/);
    const [tensors, source] = [written(to), await stored(files.maskbit)];
    const reversed = new Map(
      [...source].map(([name, values]) => [
        name.replace(/\.up\.(\d)\./, (_, level) => `.up.${1 - Number(level)}.`),
        values,
      ]),
    );
    const special = [/nin_shortcut/, /(down\.1|up\.0)\.res_blocks\.0\.conv2/, /^quantize/];
    checkTokenizer(t, tensors, reversed, vqganNames, special);
    checkFolded(t, tensors, reversed, 'decoder.levels.0.blocks.0', 'decoder.up.0.res_blocks.0');
    t.match(configOf(to), {
      downsample: 'conv',
      code_type: 'bits',
      codebook_size: 64,
      codebook_dim: 6,
      code_channels: 6,
    });
    t.notOk(tensors.has('codebook.weight'));
  },
);

/** Our names of what TiTok's tokenizer stores in the same form. */
const titokNames: readonly (readonly [RegExp, string])[] = [
  [/^(encoder|decoder)\.ln_pre\./, '$1.input_norm.'],
  [/^(encoder|decoder)\.ln_post\./, '$1.norm.'],
  [/^(encoder|decoder)\.transformer\.(\d+)\.ln_1\./, '$1.layers.$2.attention.norm.'],
  [/^(encoder|decoder)\.transformer\.(\d+)\.ln_2\./, '$1.layers.$2.mlp.norm.'],
  [/^(encoder|decoder)\.transformer\.(\d+)\.attn\.out_proj\./, '$1.layers.$2.attention.output.'],
  [/^(encoder|decoder)\.transformer\.(\d+)\.mlp\.c_fc\./, '$1.layers.$2.mlp.up.'],
  [/^(encoder|decoder)\.transformer\.(\d+)\.mlp\.c_proj\./, '$1.layers.$2.mlp.down.'],
  [/^encoder\.conv_out\./, 'encoder.output.'],
  [/^decoder\.decoder_embed\./, 'decoder.input.'],
  [/^decoder\.ffn\.0\./, 'mixture.hidden.'],
  [/^decoder\.ffn\.2\./, 'mixture.scores.'],
  [/^quantize\.embedding\./, 'codebook.'],
  [/^pixel_quantize\.embedding\./, 'mixture.codebook.'],
  ...vqganNames,
  [/^pixel_decoder\./, 'pixels.'],
];

t.test("TiTok's tokenizer: every tensor where it belongs", async (t) => {
  const to = join(temporaryFolder(t), 'titok');
  const [part] = await convert(files.titokTokenizer, { to, heads: 4 });
  t.match(part, { part: 'tokenizer', origin: { name: "TiTok's tokenizer" } });
  const [all, source] = [written(to), await stored(files.titokTokenizer)];
  const theirs = (name: string) => source.get(name)!.values;
  const [d, patches, latents] = [32, 16, 12];
  const special =
    /nin_shortcut|up\.1\.block\.0\.conv2|latent_token|_embedding$|mask_token|patch_embed|in_proj/;
  const tensors = new Map(all);
  for (const half of ['encoder', 'decoder'] as const) {
    const position = tensors.get(`${half}.position.weight`)!;
    tensors.delete(`${half}.position.weight`);
    t.same(position.shape, [1 + patches + latents, d]);
    const [own, ofLatents] = ['positional_embedding', 'latent_token_positional_embedding'].map(
      (name) => theirs(`${half}.${name}`),
    );
    const classRow = theirs(`${half}.class_embedding`);
    const patch = theirs(half === 'encoder' ? 'encoder.patch_embed.bias' : 'decoder.mask_token');
    const latentRows = half === 'encoder' ? theirs('latent_tokens') : new Float32Array(latents * d);
    const want = Float32Array.from(position.values, (_, i) => {
      if (i < d) return own![i]! + classRow[i]!;
      if (i < own!.length) return own![i]! + patch[i % d]!;
      return ofLatents![i - own!.length]! + latentRows[i - own!.length]!;
    });
    t.same(position.values, want, `${half}.position.weight`);
    for (let layer = 0; layer < 2; ++layer) {
      for (const kind of ['weight', 'bias']) {
        const joined = ['query', 'key', 'value'].flatMap((name) => {
          const ours = `${half}.layers.${layer}.attention.${name}.${kind}`;
          const { values } = tensors.get(ours)!;
          tensors.delete(ours);
          return [...values];
        });
        t.same(joined, [...theirs(`${half}.transformer.${layer}.attn.in_proj_${kind}`)]);
      }
    }
  }
  const input = tensors.get('encoder.input.weight')!;
  tensors.delete('encoder.input.weight');
  t.same(input.shape, [d, 4 * 4 * 3], 'rows, columns, channels');
  t.same(input.values, reordered(source.get('encoder.patch_embed.weight')!).values);
  checkTokenizer(t, tensors, source, titokNames, [special]);
  checkFolded(t, all, source, 'pixels.levels.1.blocks.0', 'pixel_decoder.up.1.block.0');
  t.match(configOf(to), {
    kind: 'titok',
    sample_shape: [1, 16, 16],
    channels: 3,
    hidden_size: 32,
    num_attention_heads: 4,
    intermediate_size: 128,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-5,
    encoder_layers: 2,
    decoder_layers: 2,
    latent_tokens: 12,
    codebook_size: 40,
    codebook_dim: 12,
    pixel_decoder: {
      base_channels: 32,
      multipliers: [1, 1, 2],
      decoder_blocks: 2,
      shortcut: 'none',
      codebook_size: 1024,
      code_channels: 16,
    },
  });
});

t.test('rounding', async (t) => {
  const halves = Uint16Array.from({ length: 2 ** 16 }, (_, half) => half);
  const values = new Float32Array(2 ** 16);
  decode('F16', new Uint8Array(halves.buffer), values);
  const finite = halves.filter((_, i) => Number.isFinite(values[i]));
  const back = (format: 'f16' | 'bf16', numbers: Float32Array) => {
    const rounded = new Uint16Array(numbers.length);
    round(format, numbers, rounded);
    return rounded;
  };
  t.same(back('f16', values.filter(Number.isFinite)), finite, 'every f16 stays itself');
  t.ok(Number.isNaN(values[0x7c01]!) && back('f16', Float32Array.of(Number.NaN))[0]! > 0x7c00);

  // Between two neighbours: the middle goes to the even one, everything else to the nearer one.
  for (const format of ['f16', 'bf16'] as const) {
    const dtype = format === 'f16' ? 'F16' : 'BF16';
    // Of a subnormal bf16 nothing is near in f32.
    const lows = [0x80, 0x3ff, 0x400, 0x3c00, 0x3c01, 0x7bfe, 0x4049];
    if (format === 'f16') lows.push(0, 1, 2);
    for (const low of lows) {
      const pair = new Float32Array(2);
      decode(dtype, new Uint8Array(Uint16Array.of(low, low + 1).buffer), pair);
      const middle = (pair[0]! + pair[1]!) / 2;
      const near = middle * 2 ** -20;
      const numbers = Float32Array.of(middle, middle - near, middle + near, -middle);
      const even = low + (low % 2);
      t.same([...back(format, numbers)], [even, low, low + 1, 0x8000 | even], `${format} ${low}`);
    }
  }
  const fits = (format: 'f32' | 'f16' | 'bf16', value: number) =>
    unfit(format, Float32Array.of(0, value)) === undefined;
  t.ok(fits('f16', 65519) && !fits('f16', -65520) && fits('bf16', 65520));
  t.ok(fits('bf16', 3.39e38) && !fits('bf16', 3.4e38) && fits('f32', 3.4e38));
  t.notOk(fits('f32', Number.POSITIVE_INFINITY) || fits('f32', Number.NaN));

  const folder = temporaryFolder(t);
  await convert(files.haltonOdd, { to: join(folder, 'f32'), heads: 6 });
  const exact = written(join(folder, 'f32'));
  for (const weights of ['f16', 'bf16'] as const) {
    await convert(files.haltonOdd, { to: join(folder, weights), heads: 6, weights });
    const bound = weights === 'f16' ? 2 ** -11 : 2 ** -8;
    for (const [name, { values }] of written(join(folder, weights))) {
      const wrong = values.findIndex((value, i) => {
        const want = exact.get(name)!.values[i]!;
        return Math.abs(value - want) > Math.abs(want) * bound + 2 ** -25;
      });
      t.equal(wrong, -1, `${weights}: ${name}`);
    }
  }
});

/** A small Halton-MaskGIT of zeros, with some tensors changed. */
function haltonShapes(changes: Record<string, number[] | undefined> = {}) {
  const layer = 'transformer.layers.0';
  const shapes: Record<string, number[] | undefined> = {
    'cls_emb.weight': [6, 48],
    'tok_emb.weight': [41, 48],
    'pos_emb.weight': [16, 48],
    'reg_tokens.weight': [1, 48],
    [`${layer}.mlp.1.weight`]: [288, 48],
    [`${layer}.mlp.1.bias`]: [288],
    [`${layer}.ln1.weight`]: [48],
    [`${layer}.ln2.weight`]: [48],
    [`${layer}.attn.wq.weight`]: [48, 48],
    [`${layer}.attn.wk.weight`]: [48, 48],
    [`${layer}.attn.wv.weight`]: [48, 48],
    [`${layer}.attn.wo.weight`]: [48, 48],
    [`${layer}.ff.w1.weight`]: [64, 48],
    [`${layer}.ff.w2.weight`]: [48, 64],
    [`${layer}.ff.w3.weight`]: [64, 48],
    'last_norm.norm_final.weight': [48],
    'last_norm.norm_final.bias': [48],
    'last_norm.mlp.1.weight': [96, 48],
    'last_norm.mlp.1.bias': [96],
    'head.weight': [41, 48],
    'head.bias': [41],
    ...changes,
  };
  return definedOf(shapes);
}

t.test('refusals', async (t) => {
  const folder = temporaryFolder(t);
  const to = join(folder, 'to');
  const file = (pieces: Pieces) => writePieces(join(folder, 'model.pth'), pieces);
  const refused = async (
    name: string,
    path: string,
    message: RegExp,
    options: Partial<Parameters<typeof convert>[1]> = {},
  ) => {
    await t.rejects(
      convert(path, { to, heads: 4, ...options }),
      { code: 'ERR_CHECKPOINT', message },
      name,
    );
    t.notOk(
      readdirSync(folder).some((name) => name.startsWith('to')),
      `${name}: leaves nothing`,
    );
  };
  const changed = (name: string, changes: Record<string, number[] | undefined>, message: RegExp) =>
    refused(name, file(sparseTorchFile(haltonShapes(changes))), message);

  await changed(
    'a missing tensor',
    { 'cls_emb.bias': [1], 'last_norm.norm_final.bias': undefined },
    /model\.pth: last_norm\.norm_final\.bias: expected a tensor \[48\] but received nothing/,
  );
  await changed(
    'another shape',
    { 'transformer.layers.0.attn.wo.weight': [48, 47] },
    /attn\.wo\.weight: expected a tensor \[48,48\] but received \[48,47\]/,
  );
  await changed(
    'another rank',
    { 'tok_emb.weight': [41, 4, 12] },
    /tok_emb\.weight: expected a tensor of 2 dimensions but received \[41,4,12\]/,
  );
  await changed(
    'more tensors',
    { 'transformer.layers.0.attn.wq.bias': [48] },
    /attn\.wq\.bias: expected no such tensor in Halton-MaskGIT/,
  );
  await changed(
    'two registers',
    { 'reg_tokens.weight': [2, 48] },
    /reg_tokens\.weight: expected a tensor \[1,48\]/,
  );
  await changed(
    'no square',
    { 'pos_emb.weight': [17, 48] },
    /pos_emb\.weight: expected positions of a square/,
  );
  await changed(
    'a head of its own',
    { 'head.weight': [41, 40] },
    /head\.weight: expected the same as tok_emb\.weight/,
  );
  await changed(
    'too many heads',
    { 'transformer.layers.0.attn.wq.weight': [44, 48] },
    /expected rows for 4 heads but received 44/,
  );
  await changed(
    'nothing known',
    { 'cls_emb.weight': undefined },
    /expected a model that can be converted but found 20 tensors such as tok_emb\.weight/,
  );
  await refused(
    'unknown heads',
    file(sparseTorchFile(haltonShapes())),
    /384, 512, 768, 1024, or --heads, but received 48/,
    { heads: undefined },
  );
  await refused(
    'whole numbers',
    file(sparseTorchFile(haltonShapes(), undefined, 'LongStorage')),
    /tok_emb\.weight: .*received I64|expected floating-point numbers but received I64/,
  );
  await refused(
    'two models',
    file(
      sparseTorchFile(haltonShapes(), (state) => ({ a: state, b: new Raw('}'), c: { ...state } })),
    ),
    /expected one model but found (a, c|c, a)/,
  );
  await refused(
    'a tokenizer of TiTok without a decoder of pixels',
    file(sparseTorchFile({ latent_tokens: [4, 4] })),
    /it looks like a tokenizer of TiTok or TA-TiTok without MaskGIT's decoder of pixels/,
  );
  const latentTokens = async (changes: Record<string, number[] | undefined>) =>
    file(sparseTorchFile(definedOf({ ...(await shapesOf(files.titokTokenizer)), ...changes })));
  await refused(
    'a tokenizer of TiTok of another size, without --heads',
    files.titokTokenizer,
    /latent_tokens: expected a hidden size of 512, 768, 1024, or --heads that divide it, but received 32/,
    { heads: undefined },
  );
  await refused(
    'patches of another size than what is made of them',
    await latentTokens({ 'encoder.patch_embed.weight': [32, 3, 8, 8] }),
    /patch_embed\.weight: expected patches of the 3 x 4 x 4 values .* but received 3 x 8 x 8/,
  );
  await refused(
    'patches that are no square',
    await latentTokens({ 'encoder.positional_embedding': [18, 32] }),
    /encoder\.positional_embedding: expected positions of a square/,
  );
  await refused(
    'another mask',
    await latentTokens({ 'decoder.mask_token': [1, 2, 32] }),
    /decoder\.mask_token: expected a tensor \[1,1,32\] but received \[1,2,32\]/,
  );
  await refused(
    'other latents in the decoder',
    await latentTokens({ 'decoder.latent_token_positional_embedding': [11, 32] }),
    /decoder\.latent_token_positional_embedding: expected a tensor \[12,32\]/,
  );
  await refused(
    'more in the decoder',
    await latentTokens({ 'decoder.conv_out.weight': [3, 3, 3, 3] }),
    /decoder\.conv_out\.weight: expected no such tensor in TiTok's tokenizer/,
  );
  await refused(
    'no levels of pixels',
    await latentTokens({ 'pixel_decoder.up.0.block.0.conv1.weight': undefined }),
    /expected levels of residual blocks/,
  );
  await refused(
    'a MaskBit of another size, without --heads',
    publicFixture('maskbit-tiny/maskbit_generator_6bit.bin'),
    /expected a hidden size of 1024, or --heads that divide it, but received 48/,
    { heads: undefined },
  );
  await refused(
    'a TiTok of another size, without --heads',
    files.titok,
    /word_embeddings\.weight: expected a hidden size of 768, or --heads that divide it, but received 48/,
    { heads: undefined },
  );
  const bert = async (changes: Record<string, number[] | undefined>) => {
    return file(sparseTorchFile(definedOf({ ...(await shapesOf(files.titok)), ...changes })));
  };
  await refused(
    'a TiTok of more codes than ids',
    await bert({ 'model.lm_head.weight': [46, 48] }),
    /word_embeddings\.weight: expected more rows than the 46 codes and 2/,
  );
  await refused(
    'a TiTok with one segment',
    await bert({ 'model.embeddings.token_type_embeddings.weight': [1, 48] }),
    /token_type_embeddings\.weight: expected a tensor \[2,48\] but received \[1,48\]/,
  );
  await refused(
    'a TiTok of the class alone',
    await bert({ 'model.embeddings.position_embeddings.weight': [1, 48] }),
    /position_embeddings\.weight: expected more rows than the class's/,
  );
  await refused(
    'a BERT with a pooler',
    await bert({ 'model.pooler.dense.weight': [48, 48] }),
    /model\.pooler\.dense\.weight: expected no such tensor in TiTok's generator/,
  );
  await refused(
    'a U-ViT of TiTok',
    file(sparseTorchFile({ 'in_blocks.0.norm1.weight': [4] })),
    /it looks like the generator of TiTok S-128, a U-ViT/,
  );
  await refused(
    'a tokenizer for a generator',
    files.vq16,
    /expected a generator but it is a tokenizer/,
    { tokenizer: files.vq16 },
  );
  await refused(
    'a generator for a tokenizer',
    files.halton,
    /expected a tokenizer but it is a generator/,
    { tokenizer: files.halton },
  );
  await refused(
    'a tokenizer of other codes',
    files.halton,
    /expected 40 codes, as the generator has, but it has 64/,
    { tokenizer: files.maskbit },
  );
  await refused(
    'a tokenizer of as many codes that are others',
    files.halton,
    /expected a tokenizer for tokens of LlamaGen's VQ-16, .* but it is for those of MaskGIT's VQGAN/,
    { tokenizer: files.port },
  );
  await refused('MaskGIT of unknown codes', files.maskgit, /expected 2025 rows, or a tokenizer/);
  await refused(
    'MaskGIT of fewer ids than codes',
    files.maskgit,
    /expected more rows than the 64 codes/,
    { tokenizer: files.maskbit },
  );
  await refused('no file', join(folder, 'none'), /expected a readable file/);

  // Values.
  const value = (number: number) => {
    const pieces = sparseTorchFile(haltonShapes({ 'head.weight': undefined }));
    const path = file(pieces);
    const bytes = readFileSync(path);
    // The bias of the head is the last storage.
    const at = bytes.lastIndexOf(Buffer.from('archive/data/19'));
    t.ok(at > 0);
    const names = Object.keys(haltonShapes({ 'head.weight': undefined }));
    t.equal(names[19], 'head.bias');
    const local = bytes.indexOf(Buffer.from('archive/data/19'));
    bytes.writeFloatLE(number, local + 15 + bytes.readUInt16LE(local - 2));
    writeFileSync(path, bytes);
    return path;
  };
  await refused(
    'not a number',
    value(Number.NaN),
    /head\.bias: expected finite values but received NaN/,
  );
  await refused('infinite', value(Number.NEGATIVE_INFINITY), /head\.bias: .* received -Infinity/);
  await refused(
    'too large for f16',
    value(70000),
    /head\.bias: expected values of at most 65504, as f16 has, but received 70000/,
    { weights: 'f16' },
  );
  await convert(value(70000), { to: join(folder, 'bf16'), heads: 4, weights: 'bf16' });

  // A head that is tied in shape alone.
  const untied = {
    ...haltonShapes(),
    'tok_emb.weight': [41, 48],
  };
  const path = file(sparseTorchFile(untied));
  const bytes = readFileSync(path);
  const local = bytes.indexOf(Buffer.from('archive/data/1')); // tok_emb.weight
  bytes.writeFloatLE(3, local + 14 + bytes.readUInt16LE(local - 2));
  writeFileSync(path, bytes);
  await refused(
    'an untied head',
    path,
    /head\.weight: expected the same values as tok_emb\.weight/,
  );
});

t.test('arguments', async (t) => {
  const folder = temporaryFolder(t);
  const wrong = (path: unknown, options: unknown, error: Parameters<Test['rejects']>[1] & object) =>
    t.rejects(convert(path as string, options as Parameters<typeof convert>[1]), error);
  await wrong(files.halton, undefined, TypeError);
  await wrong(files.halton, {}, { name: 'TypeError', message: /a path for to/ });
  await wrong(3, { to: 'x' }, { name: 'TypeError', message: /a path for path/ });
  await wrong(files.halton, { to: '' }, { name: 'RangeError', message: /a path for to/ });
  await wrong(files.halton, { to: 'x', dtype: 'f16' }, { message: /options among to, tokenizer/ });
  await wrong(
    files.halton,
    { to: 'x', weights: 'int4' },
    { message: /one of f32, f16, bf16, int8/ },
  );
  await wrong(files.halton, { to: 'x', heads: 0 }, { name: 'RangeError', message: /for heads/ });
  await wrong(files.halton, { to: 'x', tokenizer: 3 }, { message: /a path for tokenizer/ });
  await wrong(files.halton, { to: folder }, { name: 'RangeError', message: /does not exist yet/ });
  for (const [to, reason] of [
    [join(files.halton, 'to'), /a folder that can be written but ENOTDIR/],
    [join(folder, 'x'.repeat(256)), /a folder that can be written but ENAMETOOLONG/],
    [join(folder, 'a\0b'), /a folder that can be written but .* null bytes/],
  ] as const) {
    await wrong(files.halton, { to }, { code: 'ERR_CHECKPOINT', message: reason });
  }
  await t.rejects(convert(files.vq16, { to: '/proc/to' }), {
    code: 'ERR_CHECKPOINT',
    message: /^\/proc\/to: expected a folder that can be written but ENOENT/,
  });

  const aborted = AbortSignal.abort(new Error('enough'));
  const to = join(folder, 'to');
  await wrong(files.halton, { to, heads: 4, signal: aborted }, { message: 'enough' });
  const later = new AbortController();
  const onProgress = ({ done }: { done: number }) => done === 5 && later.abort();
  await wrong(
    files.halton,
    { to, heads: 4, signal: later.signal, onProgress },
    { name: 'AbortError' },
  );
  t.same(readdirSync(folder), [], 'nothing is left');

  const seen: number[] = [];
  await convert(files.halton, {
    to: join(folder, 'new', 'to'),
    heads: 4,
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  t.equal(seen.at(-1), 1);
  t.same(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  t.same(readdirSync(join(folder, 'new')), ['to']);
});

t.test('moving averages and the rest of a training file', async (t) => {
  const folder = temporaryFolder(t);
  const file = writePieces(
    join(folder, 'model.pth'),
    sparseTorchFile(haltonShapes(), (state) => ({
      iter: 3,
      model_state_dict: state,
      ema_state_dict: Object.fromEntries(
        Object.entries(state).map(([name, tensor]) => [`module.${name}`, tensor]),
      ),
      optimizer_state_dict: {
        state: { 0: { exp_avg: Object.values(state)[0], step: 4 } },
        param_groups: [{ lr: 1e-4, betas: [0.9, 0.999], foreach: null }],
      },
      'strange\n': { a: Object.values(state)[0] },
    })),
  );
  const [part] = await convert(file, { to: join(folder, 'to'), heads: 4 });
  t.same(part?.dropped, [
    'head.weight: the same as tok_emb.weight',
    "strange\\u{a}: 1 tensors that are not the model's",
    "optimizer_state_dict: 1 tensors that are not the model's",
    "model_state_dict: 21 tensors that are not the model's",
  ]);
  const card = readFileSync(join(folder, 'to', 'README.md'), 'utf8');
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  t.match(card, /^# Halton-MaskGIT, converted\n/);
  t.match(card, /Source: https:\/\/github\.com\/valeoai\/Halton-MaskGIT\n/);
  t.match(card, /Licence of the source: MIT\n/);
  t.ok(card.includes(`\`model.pth\`, SHA-256 \`${sha256}\``));
  t.match(card, /Left out: optimizer_state_dict: 1 tensors/);
});

t.test('the command line', async (t) => {
  const folder = temporaryFolder(t);
  const to = join(folder, 'to');
  const { status, stdout, stderr } = magnets(
    'convert',
    files.halton,
    '--to',
    to,
    '--tokenizer',
    files.vq16,
    '--heads',
    '4',
    '--weights',
    'bf16',
  );
  t.equal(stderr, '', 'no bar in a pipe');
  t.equal(status, 0);
  t.match(stdout, /^generator: Halton-MaskGIT, 30 tensors, /);
  t.match(stdout, /\n {2}left out: head\.weight: the same as tok_emb\.weight\n/);
  t.match(stdout, /\ntokenizer: LlamaGen's VQ-16, /);
  t.match(stdout, /licence of the source: MIT/);
  t.same(readdirSync(to).sort(), ['README.md', 'config.json', 'model.safetensors', 'tokenizer']);
  t.ok(await readCheckpoint(to, engineTensors));
  t.match(magnets('convert', files.halton, '--to', to), {
    status: 1,
    stderr: /does not exist yet/,
  });
  t.match(magnets('convert', '--to', to), { status: 2, stderr: /Expected one PATH/ });
  t.match(magnets('convert', 'a', 'b', '--to', to), { status: 2, stderr: /Expected one PATH/ });
  t.match(magnets('convert', files.halton), { status: 2, stderr: /Expected --to FOLDER/ });
  const alone = magnets('convert', files.port, '--to', join(folder, 'alone'));
  t.match(alone.stdout, /a tokenizer alone: place .*alone as tokenizer\/ in a generator's folder/);
});
