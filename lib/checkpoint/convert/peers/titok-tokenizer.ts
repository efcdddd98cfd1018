/** TiTok's tokenizers (PyTorch): transformers as CLIP names them, and MaskGIT's decoder of pixels. */

import { reorder } from '../conv-maker.js';
import { pytorch } from '../conv-names.js';
import { convDecoder } from '../conv-tokenizer.js';
import { copied, copiedLayer, projections } from '../made-tensors.js';
import type { Hints, MadeTensor, Peer, Weights } from '../translation.js';
import { foldedNote } from './maskgit.js';
import { origin } from './titok.js';

/** Attention heads of the released tokenizers by their hidden sizes: S, B and L. */
const releasedHeads = { 512: 8, 768: 12, 1024: 16 };

/** The vectors that MaskGIT's decoder makes pixels of. */
const pixelCodebook = 'pixel_quantize.embedding.weight';

/**
 * The positions of the class, the patches and the latents, each with what is added to its row whatever the picture is:
 * the class, `patch` (a bias, or the mask) and in the encoder the latent tokens.
 */
function sequencePositions(
  half: 'encoder' | 'decoder',
  d: number,
  patches: number,
  latents: number,
  patch: MadeTensor['from'][number],
  latentRows?: MadeTensor['from'][number],
): MadeTensor {
  return {
    name: `${half}.position.weight`,
    shape: [1 + patches + latents, d],
    from: [
      { name: `${half}.class_embedding`, shape: [1, d] },
      { name: `${half}.positional_embedding`, shape: [1 + patches, d] },
      patch,
      { name: `${half}.latent_token_positional_embedding`, shape: [latents, d] },
      ...(latentRows === undefined ? [] : [latentRows]),
    ],
    make: (target, classRow, own, patchRow, latentOwn, latentValues) => {
      target.set(own!);
      target.set(latentOwn!, own!.length);
      for (let i = 0; i < own!.length; ++i) {
        target[i] = target[i]! + (i < d ? classRow![i]! : patchRow![i % d]!);
      }
      latentValues?.forEach((value, i) => {
        target[own!.length + i] = target[own!.length + i]! + value;
      });
    },
  };
}

/** Blocks as CLIP names them. */
function clip(half: 'encoder' | 'decoder', i: number, d: number, f: number): MadeTensor[] {
  const [to, from] = [`${half}.layers.${i}`, `${half}.transformer.${i}`];
  const layer = (ours: string, theirs: string, shape: readonly number[]) =>
    copiedLayer(`${to}.${ours}`, shape, `${from}.${theirs}`);
  return [
    ...projections(`${to}.attention`, d, `${from}.attn`),
    ...layer('attention.norm', 'ln_1', [d]),
    ...layer('attention.output', 'attn.out_proj', [d, d]),
    ...layer('mlp.norm', 'ln_2', [d]),
    ...layer('mlp.up', 'mlp.c_fc', [f, d]),
    ...layer('mlp.down', 'mlp.c_proj', [d, f]),
  ];
}

/** From rows of the patches to pixels. */
function pixelDecoder(weights: Weights) {
  const up = (level: number) => `pixel_decoder.up.${level}`;
  return convDecoder(
    weights,
    pytorch,
    'pixels',
    {
      input: 'pixel_decoder.conv_in',
      block: (level, at) => `${up(level)}.block.${at}`,
      resample: (level) => `${up(level)}.upsample_conv`,
      middle: ['pixel_decoder.mid.0', 'pixel_decoder.mid.1'],
      norm: 'pixel_decoder.norm_out',
      output: 'pixel_decoder.conv_out',
    },
    { biases: false, shortcut: 'folded', pixels: [0, 1] },
  );
}

/** What the shapes of the weights say. */
function sizesOf(weights: Weights, hints: Hints) {
  const [latents, hidden] = weights.shape('latent_tokens', 2);
  const [positionRows] = weights.shape('encoder.positional_embedding', 2);
  const [units] = weights.shape('encoder.transformer.0.mlp.c_fc.weight', 2);
  const [codes, dim] = weights.shape('quantize.embedding.weight', 2);
  const [mixed, mixedSize] = weights.shape(pixelCodebook, 2);
  const heads = weights.heads('latent_tokens', hidden!, releasedHeads, hints.heads);
  const patches = positionRows! - 1;
  const side = weights.side('encoder.positional_embedding', patches);
  if (hints.grid !== undefined && hints.grid.join() !== `1,${latents}`) {
    weights.refuse(`expected tokens of [1,${latents}] but the generator has [${hints.grid}]`);
  }
  const layers = (half: string) => weights.count((i) => `${half}.transformer.${i}.mlp.c_fc.weight`);
  return {
    d: hidden!,
    f: units!,
    heads,
    encoderLayers: layers('encoder'),
    decoderLayers: layers('decoder'),
    latents: latents!,
    codes: codes!,
    dim: dim!,
    side,
    mixed: mixed!,
    mixedSize: mixedSize!,
  };
}

type Sizes = ReturnType<typeof sizesOf>;
type PixelDecoder = ReturnType<typeof pixelDecoder>;

/** The side of the patches that the encoder reads: what the decoder makes of a row. */
function patchOf(weights: Weights, { config, channels }: PixelDecoder): number {
  const [, received, patch] = weights.shape('encoder.patch_embed.weight', 4);
  const scale = 2 ** (config.multipliers.length - 1);
  if (patch !== scale || received !== channels) {
    weights.refuse(
      `encoder.patch_embed.weight: expected patches of the ${channels} x ${scale} x ${scale} values that the decoder makes of one but received ${received} x ${patch} x ${patch}`,
    );
  }
  return patch;
}

function configOf(sizes: Sizes, pixels: PixelDecoder, patch: number) {
  const { d, f, heads, encoderLayers, decoderLayers, latents, codes, dim, side, mixed } = sizes;
  return {
    model_type: 'magnets_tokenizer',
    kind: 'titok',
    sample_shape: [1, side * patch, side * patch],
    channels: pixels.channels,
    hidden_size: d,
    num_attention_heads: heads,
    intermediate_size: f,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-5,
    encoder_layers: encoderLayers,
    decoder_layers: decoderLayers,
    latent_tokens: latents,
    codebook_size: codes,
    codebook_dim: dim,
    pixel_decoder: { codebook_size: mixed, ...pixels.config },
  };
}

/** A product, stored as a convolution of one pixel or as a linear layer. */
function product(
  to: string,
  from: string,
  out: number,
  inputs: number,
  dimensions: 2 | 4,
): MadeTensor[] {
  const shape = dimensions === 4 ? [out, inputs, 1, 1] : [out, inputs];
  return [
    { ...copied(`${to}.weight`, shape, `${from}.weight`), shape: [out, inputs] },
    copied(`${to}.bias`, [out], `${from}.bias`),
  ];
}

function tensorsOf(sizes: Sizes, pixels: PixelDecoder, patch: number): MadeTensor[] {
  const { d, f, encoderLayers, decoderLayers, latents, codes, dim, mixed, mixedSize } = sizes;
  const patches = sizes.side ** 2;
  const blocks = (half: 'encoder' | 'decoder', layers: number) =>
    Array.from({ length: layers }, (_, i) => clip(half, i, d, f)).flat();
  return [
    {
      name: 'encoder.input.weight',
      shape: [d, patch * patch * pixels.channels],
      from: [{ name: 'encoder.patch_embed.weight', shape: [d, pixels.channels, patch, patch] }],
      make: reorder('OIHW', patch, d, pixels.channels),
    },
    sequencePositions(
      'encoder',
      d,
      patches,
      latents,
      { name: 'encoder.patch_embed.bias', shape: [d] },
      { name: 'latent_tokens', shape: [latents, d] },
    ),
    ...copiedLayer('encoder.input_norm', [d], 'encoder.ln_pre'),
    ...blocks('encoder', encoderLayers),
    ...copiedLayer('encoder.norm', [d], 'encoder.ln_post'),
    ...product('encoder.output', 'encoder.conv_out', dim, d, 4),
    copied('codebook.weight', [codes, dim], 'quantize.embedding.weight'),
    ...product('decoder.input', 'decoder.decoder_embed', d, dim, 2),
    sequencePositions('decoder', d, patches, latents, {
      name: 'decoder.mask_token',
      shape: [1, 1, d],
    }),
    ...copiedLayer('decoder.input_norm', [d], 'decoder.ln_pre'),
    ...blocks('decoder', decoderLayers),
    ...copiedLayer('decoder.norm', [d], 'decoder.ln_post'),
    ...product('mixture.hidden', 'decoder.ffn.0', 2 * d, d, 4),
    ...product('mixture.scores', 'decoder.ffn.2', mixed, 2 * d, 4),
    copied('mixture.codebook.weight', [mixed, mixedSize], pixelCodebook),
    ...pixels.tensors,
  ];
}

export const titokTokenizer: Peer = {
  part: 'tokenizer',
  format: 'torch',
  recognizes: (names) => names.has('latent_tokens') && names.has(pixelCodebook),
  translate: (weights, hints) => {
    const sizes = sizesOf(weights, hints);
    const pixels = pixelDecoder(weights);
    const patch = patchOf(weights, pixels);
    return {
      origin: { ...origin, name: "TiTok's tokenizer" },
      tokens: 'TiTok',
      config: configOf(sizes, pixels, patch),
      tensors: tensorsOf(sizes, pixels, patch),
      dropped: [],
      same: [],
      notes: [
        'What is added to every class, mask, latent token and patch became a part of the positions.',
        foldedNote,
      ],
    };
  },
};
