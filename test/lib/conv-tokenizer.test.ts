import t from 'tap';
import { latentShapeOf, parseTokenizerConfig, patchShapeOf } from '../../lib/checkpoint/config.js';
import type { ConvTokenizerConfig } from '../../lib/checkpoint/conv-tokenizer.js';
import { native } from '../../lib/runtime/native.js';
import { checkTokenizing } from './tokenizing.js';

const json = {
  model_type: 'magnets_tokenizer',
  kind: 'conv',
  sample_shape: [1, 12, 20],
  channels: 3,
  base_channels: 16,
  multipliers: [1, 1, 2],
  encoder_blocks: 1,
  decoder_blocks: 2,
  shortcut: 'none',
  downsample: 'mean',
  codebook_size: 50,
  codebook_dim: 6,
  code_channels: 6,
  norm_groups: 8,
};

const parse = (change: object) =>
  parseTokenizerConfig('config.json', { ...json, ...change }) as ConvTokenizerConfig;

const vq = {
  attention: true,
  shortcut: 'projection',
  downsample: 'conv',
  code_channels: 10,
  normalized_codes: true,
  encoder_output_kernel: 3,
  pixel_range: [-1, 1],
};
const bits = { code_type: 'bits', codebook_dim: 5, codebook_size: 32, code_channels: 5 };

t.test('a config says what there is', async (t) => {
  const config = parse({});
  t.same(latentShapeOf(config), [1, 3, 5]);
  t.same(patchShapeOf(config), [1, 4, 4]);
  t.match(config, {
    attention: false,
    quantizer: 'nearest',
    encoderOutputKernel: 1,
    normEps: 1e-6,
    signedPixels: false,
  });
  t.match(parse(vq), { attention: true, quantizer: 'cosine', signedPixels: true });
  t.equal(parse(bits).quantizer, 'bits');
  t.equal(parse({ pixel_range: [0, 1] }).signedPixels, false);
});

t.test('a config that cannot be is refused', async (t) => {
  for (const [key, change] of [
    ['kind', { kind: 'mlp' }],
    ['sample_shape', { sample_shape: [2, 12, 20] }],
    ['sample_shape', { sample_shape: [1, 12, 22] }],
    ['sample_shape', { sample_shape: [1, 4096, 4096], channels: 4, multipliers: [64] }],
    ['sample_shape', { sample_shape: [1, 2048, 2048] }],
    ['sample_shape', { sample_shape: [1, 4096, 4096], multipliers: Array(8).fill(64) }],
    ['multipliers', { multipliers: [] }],
    ['multipliers', { multipliers: [1, 0.5] }],
    ['multipliers', { multipliers: Array(9).fill(1) }],
    ['multipliers', { base_channels: 4096, multipliers: [1, 1, 64] }],
    ['norm_groups', { norm_groups: 3 }],
    ['attention', { attention: 1 }],
    ['shortcut', { shortcut: 'output' }],
    ['downsample', { downsample: 'max' }],
    ['encoder_output_kernel', { encoder_output_kernel: 2 }],
    ['pixel_range', { pixel_range: [0, 255] }],
    ['normalized_codes', { ...bits, normalized_codes: true }],
    ['codebook_size', { ...bits, codebook_size: 31 }],
    ['codebook_size', { codebook_size: 2 ** 20, codebook_dim: 2 ** 12 }],
    ['code_channels', { code_channels: 2 ** 20, base_channels: 512 }],
  ] as const) {
    t.throws(
      () => parse(change),
      { code: 'ERR_CHECKPOINT', message: new RegExp(`^config\\.json: expected .* for ${key} but`) },
      `${key}: ${JSON.stringify(change)}`,
    );
  }
});

t.test('the engine lists its tensors', async (t) => {
  const shapeOf = (change: object) =>
    new Map(
      native()
        .tokenizerTensors(parse(change))
        .map(({ name, shape }) => [name, shape]),
    );
  const plain = shapeOf({});
  t.same(plain.get('encoder.input.weight'), [16, 3, 3, 3]);
  t.same(plain.get('encoder.levels.2.blocks.0.conv1.weight'), [32, 3, 3, 16]);
  t.same(plain.get('encoder.output.weight'), [6, 32]);
  t.same(plain.get('decoder.levels.2.upsample.weight'), [32, 3, 3, 32]);
  t.same(plain.get('codebook.weight'), [50, 6]);
  for (const name of plain.keys()) t.notMatch(name, /shortcut|attentions|downsample|\.code\./);
  const full = shapeOf(vq);
  t.same(full.get('encoder.output.weight'), [10, 3, 3, 32]);
  t.same(full.get('encoder.code.weight'), [6, 10]);
  t.same(full.get('decoder.code.weight'), [10, 6]);
  t.same(full.get('encoder.levels.2.blocks.0.shortcut.weight'), [32, 16]);
  t.same(full.get('encoder.levels.1.downsample.weight'), [16, 3, 3, 16]);
  t.same(full.get('encoder.middle.1.query.weight'), [32, 32]);
  t.same(full.get('decoder.levels.2.attentions.1.norm.weight'), [32]);
  t.notOk(shapeOf(bits).has('codebook.weight'));

  // It multiplies sizes in 32 bits, in which these channels would be 16, so it checks them by itself.
  const large = {
    ...parse({}),
    baseChannels: 2 ** 28 + 1,
    multipliers: [16, 16, 16],
    normGroups: 1,
  };
  t.throws(() => native().tokenizerTensors(large), {
    code: 'ERR_CHECKPOINT',
    message: 'expected at most 2147483647 elements for channels',
  });
});

t.test('pictures to tokens and back, whatever else is in the batch', async (t) => {
  for (const change of [{}, vq, bits]) await checkTokenizing(t, parse(change), 15);
});
