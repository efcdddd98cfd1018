import t from 'tap';
import { latentShapeOf, parseTokenizerConfig, patchShapeOf } from '../../lib/checkpoint/config.js';
import type { TitokTokenizerConfig } from '../../lib/checkpoint/titok-tokenizer.js';
import { native } from '../../lib/runtime/native.js';
import { checkTokenizing } from './tokenizing.js';

const pixelDecoder = {
  base_channels: 16,
  multipliers: [1, 2, 2],
  decoder_blocks: 1,
  shortcut: 'none',
  codebook_size: 23,
  code_channels: 9,
  norm_groups: 8,
};

const json = {
  model_type: 'magnets_tokenizer',
  kind: 'titok',
  sample_shape: [1, 12, 20],
  channels: 3,
  hidden_size: 24,
  num_attention_heads: 3,
  intermediate_size: 40,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-5,
  encoder_layers: 1,
  decoder_layers: 2,
  latent_tokens: 7,
  codebook_size: 50,
  codebook_dim: 6,
  pixel_decoder: pixelDecoder,
};

const parse = (change: object) =>
  parseTokenizerConfig('config.json', { ...json, ...change }) as TitokTokenizerConfig;

t.test('a config says what there is', async (t) => {
  const config = parse({});
  t.same(latentShapeOf(config), [1, 1, 7]);
  t.same(patchShapeOf(config), [1, 4, 4]);
  t.match(config, {
    hiddenSize: 24,
    headDim: 8,
    latents: 7,
    pixelDecoder: { codebookSize: 23, codeChannels: 9, attention: false, normEps: 1e-6 },
  });
});

t.test('a config that cannot be is refused', async (t) => {
  const pixels = (change: object) => ({ pixel_decoder: { ...pixelDecoder, ...change } });
  for (const [key, change] of [
    ['sample_shape', { sample_shape: [2, 12, 20] }],
    ['sample_shape', { sample_shape: [1, 12, 22] }],
    ['sample_shape', { sample_shape: [1, 2048, 2048] }],
    ['latent_tokens', { latent_tokens: 0 }],
    ['latent_tokens', { latent_tokens: 2 ** 17 }],
    ['num_attention_heads', { num_attention_heads: 5 }],
    ['encoder_layers', { encoder_layers: 0 }],
    ['codebook_dim', { codebook_dim: 2 ** 20, hidden_size: 3 * 2 ** 10 }],
    ['codebook_size', { codebook_size: 2 ** 20, codebook_dim: 2 ** 12 }],
    ['codebook_size', { codebook_size: 2 ** 20, latent_tokens: 2 ** 11 }],
    ['pixel_decoder.codebook_size', pixels({ codebook_size: 0 })],
    ['pixel_decoder.codebook_size', pixels({ codebook_size: 2 ** 20, code_channels: 2 ** 13 })],
    ['pixel_decoder.multipliers', pixels({ multipliers: [] })],
    ['pixel_decoder.norm_groups', pixels({ norm_groups: 3 })],
    ['pixel_decoder.shortcut', pixels({ shortcut: 'output' })],
  ] as const) {
    t.throws(
      () => parse(change),
      { code: 'ERR_CHECKPOINT', message: new RegExp(`^config\\.json: expected .* for ${key} but`) },
      `${key}: ${JSON.stringify(change)}`,
    );
  }
  t.throws(() => parse({ pixel_decoder: 3 }), { message: /an object for pixel_decoder/ });
});

t.test('the engine lists its tensors', async (t) => {
  const listed = native().tokenizerTensors(parse({}));
  const shapes = new Map(listed.map(({ name, shape }) => [name, shape]));
  t.same(shapes.get('encoder.input.weight'), [24, 48]);
  t.notOk(shapes.has('encoder.input.bias'), 'which is a part of the positions');
  t.same(shapes.get('encoder.position.weight'), [1 + 15 + 7, 24]);
  t.same(shapes.get('decoder.input_norm.bias'), [24]);
  t.same(shapes.get('codebook.weight'), [50, 6]);
  t.same(shapes.get('mixture.scores.weight'), [23, 48]);
  t.same(shapes.get('mixture.codebook.weight'), [23, 9]);
  t.same(shapes.get('pixels.input.weight'), [32, 3, 3, 9]);
  t.same(shapes.get('pixels.levels.2.upsample.weight'), [32, 3, 3, 32]);
});

/** FLOPs of a sample: layers over every row, what is before and after them, and of pixels every convolution. */
function formula(config: TitokTokenizerConfig) {
  const { hiddenSize: d, intermediateSize: f, latents, codebookSize, codebookDim } = config;
  const [, height, width] = config.sampleShape;
  const side = config.patchShape[1];
  const patches = (height / side) * (width / side);
  const rows = 1 + patches + latents;
  const layer = 4 * 2 * rows * d * d + 4 * rows * rows * d + 2 * 2 * rows * d * f;
  const input = 2 * rows * side * side * config.channels * d;
  const codes = 2 * latents * codebookDim * (d + codebookSize);
  const { baseChannels, multipliers, codebookSize: mixed, codeChannels } = config.pixelDecoder;
  const mixture = 2 * patches * (2 * d * d + 2 * d * mixed + mixed * codeChannels);
  const channelsOf = (level: number) => baseChannels * multipliers[level]!;
  const coarsest = multipliers.length - 1;
  const convolution = (level: number, out: number, inputs: number, taps = 9) =>
    2 * ((height * width) / 4 ** level) * taps * out * inputs;
  const block = (level: number, inputs: number) =>
    convolution(level, channelsOf(level), inputs) +
    convolution(level, channelsOf(level), channelsOf(level));
  let pixels = convolution(coarsest, channelsOf(coarsest), codeChannels);
  pixels += 2 * block(coarsest, channelsOf(coarsest));
  for (let level = coarsest; level >= 0; --level) {
    pixels += block(level, channelsOf(Math.min(level + 1, coarsest)));
    // Of the four kernels that an upsampled pixel meets, each has four taps.
    if (level > 0) pixels += convolution(level - 1, channelsOf(level), channelsOf(level), 4);
  }
  pixels += convolution(0, config.channels, baseChannels);
  return {
    tokenize: config.encoderLayers * layer + input + codes,
    detokenize: config.decoderLayers * layer + mixture + pixels,
  };
}

t.test('pictures to tokens and back, whatever else is in the batch', async (t) => {
  t.same(await checkTokenizing(t, parse({}), 7), formula(parse({})));
});
