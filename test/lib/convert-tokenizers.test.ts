/** Public tokenizers become checkpoint folders: every tensor where it belongs, and what the config says. */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { convert } from '../../lib/index.js';
import { configOf, files, stored, type Values, written } from './converting.js';
import { temporaryFolder } from './public-files.js';

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
