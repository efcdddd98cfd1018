/** TiTok (PyTorch): the generators L-32 and B-64, BERT as Hugging Face names it, and the tokenizers. */

import { convDecoder, pytorch, reorder } from '../conv-tokenizer.js';
import {
  copied,
  type Hints,
  type MadeTensor,
  type Peer,
  third,
  type Weights,
} from '../translation.js';
import { foldedNote } from './maskgit.js';

const origin = {
  url: 'https://github.com/bytedance/1d-tokenizer',
  licence: 'Apache-2.0; its authors ask that the weights be used for research only',
};

const words = 'model.embeddings.word_embeddings.weight';
const positions = 'model.embeddings.position_embeddings.weight';
const head = 'model.lm_head.weight';

const releasedHiddenSize = 768;
const releasedHeads = 16;

/** How its authors sample from so many tokens (configs/infer). */
const steps = 8;
const recipes: Readonly<Record<number, { guidance: number; noise: number }>> = {
  32: { guidance: 4.5, noise: 9.5 },
  64: { guidance: 3, noise: 11 },
};

/**
 * The original divides the logits by a temperature of 0.5 + 0.8 (1 - r) when r of the steps are done, draws from them with
 * Gumbel noise of the scale a = noise (1 - r), and adds noise of that scale to the divided logit for the confidence. The
 * same tokens win, in the same order, where nothing is divided and both scales are temperature · a.
 */
function noiseOf(noise: number): number[] {
  return Array.from({ length: steps }, (_, t) => {
    const left = 1 - (t + 1) / steps;
    return (0.5 + 0.8 * left) * noise * left;
  });
}

function headsOf(weights: Weights, d: number, hints: Hints): number {
  const heads = hints.heads ?? (d === releasedHiddenSize ? releasedHeads : undefined);
  if (heads === undefined || d % heads !== 0) {
    const expected = `${releasedHiddenSize}, or --heads that divide it,`;
    return weights.refuse(`${words}: expected a hidden size of ${expected} but received ${d}`);
  }
  return heads;
}

function generator(weights: Weights, hints: Hints) {
  const [rows, hidden] = weights.shape(words, 2);
  const [positionRows] = weights.shape(positions, 2);
  const [outputs] = weights.shape(head, 2);
  const [units] = weights.shape('model.encoder.layer.0.intermediate.dense.weight', 2);
  const [vocabulary, sequence, codes, d, f] = [rows!, positionRows!, outputs!, hidden!, units!];
  const layers = weights.count((i) => `model.encoder.layer.${i}.intermediate.dense.weight`);
  const tokens = sequence - 1;
  if (tokens < 1) weights.refuse(`${positions}: expected more rows than the class's`);
  // The rows are the codes, the mask, the classes and "no class".
  const classes = vocabulary - codes - 2;
  if (classes < 1) weights.refuse(`${words}: expected more rows than the ${codes} codes and 2`);
  const heads = headsOf(weights, d, hints);
  const recipe = recipes[tokens] ?? recipes[64]!;
  const noise = noiseOf(recipe.noise);

  const layer = (to: string, from: string, shape: readonly number[]): MadeTensor[] => [
    copied(`${to}.weight`, shape, `${from}.weight`),
    copied(`${to}.bias`, [shape[0]!], `${from}.bias`),
  ];
  const block = (i: number): MadeTensor[] => {
    const [to, from] = [`layers.${i}`, `model.encoder.layer.${i}`];
    return [
      ...['query', 'key', 'value'].flatMap((part) =>
        layer(`${to}.attention.${part}`, `${from}.attention.self.${part}`, [d, d]),
      ),
      ...layer(`${to}.attention.output`, `${from}.attention.output.dense`, [d, d]),
      ...layer(`${to}.attention.norm`, `${from}.attention.output.LayerNorm`, [d]),
      ...layer(`${to}.mlp.up`, `${from}.intermediate.dense`, [f, d]),
      ...layer(`${to}.mlp.down`, `${from}.output.dense`, [d, f]),
      ...layer(`${to}.mlp.norm`, `${from}.output.LayerNorm`, [d]),
    ];
  };
  return {
    config: {
      model_type: 'magnets',
      hidden_size: d,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      intermediate_size: f,
      norm_position: 'post',
      layer_norm_eps: 1e-12,
      hidden_act: 'gelu',
      head: 'plain',
      tied: false,
      codebook_size: codes,
      num_classes: classes,
      latent_shape: [1, 1, tokens],
      widths: [{ name: '1', heads, hidden: f }],
      sampling: {
        steps,
        masking_schedule: 'arccos',
        guidance: recipe.guidance,
        guidance_schedule: 'linear',
        temperature: noise,
        choice_temperature: noise,
        confidence: 'logit',
      },
    },
    tensors: [
      {
        name: 'embeddings.word.weight',
        shape: [vocabulary, d],
        from: [{ name: words, shape: [vocabulary, d] }],
        // The mask becomes the last row.
        make: (target, values) => {
          target.set(values!.subarray(0, codes * d));
          target.set(values!.subarray((codes + 1) * d), codes * d);
          target.set(values!.subarray(codes * d, (codes + 1) * d), target.length - d);
        },
      },
      {
        // Every position is of the first of BERT's two segments.
        name: 'embeddings.position.weight',
        shape: [sequence, d],
        from: [
          { name: positions, shape: [sequence, d] },
          { name: 'model.embeddings.token_type_embeddings.weight', shape: [2, d] },
        ],
        make: (target, values, segments) =>
          target.forEach((_, i) => {
            target[i] = values![i]! + segments![i % d]!;
          }),
      },
      ...layer('embeddings.norm', 'model.embeddings.LayerNorm', [d]),
      ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
      copied('head.output.weight', [codes, d], head),
      copied('head.bias', [codes], 'model.lm_head.bias'),
    ] satisfies MadeTensor[],
  };
}

export const titok: Peer = {
  part: 'generator',
  format: 'torch',
  recognizes: (names) => names.has(words) && names.has(head),
  translate: (weights, hints) => ({
    origin: { ...origin, name: "TiTok's generator" },
    ...generator(weights, hints),
    dropped: ['model.embeddings.position_ids']
      .filter((name) => weights.has(name))
      .map((name) => ({ name, why: 'the numbers of the positions' })),
    same: [],
    notes: [
      'The mask is the last id of the vocabulary, and the row of the first segment a part of the positions.',
    ],
  }),
};

/** Attention heads of the released tokenizers by their hidden sizes: S, B and L. */
const tokenizerHeads: Readonly<Record<number, number>> = { 512: 8, 768: 12, 1024: 16 };

/** From the head of the decoder to the vectors that the pixels are decoded from. */
const mixtures = { hidden: 'decoder.ffn.0', scores: 'decoder.ffn.2' };
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

function tokenizerHeadsOf(weights: Weights, d: number, hints: Hints): number {
  const heads = hints.heads ?? tokenizerHeads[d];
  if (heads === undefined || d % heads !== 0) {
    const known = Object.keys(tokenizerHeads).join(', ');
    return weights.refuse(
      `latent_tokens: expected a hidden size of ${known}, or --heads that divide it, but received ${d}`,
    );
  }
  return heads;
}

/** Blocks as CLIP names them. */
function clip(half: 'encoder' | 'decoder', i: number, d: number, f: number): MadeTensor[] {
  const [to, from] = [`${half}.layers.${i}`, `${half}.transformer.${i}`];
  const layer = (ours: string, theirs: string, shape: readonly number[]): MadeTensor[] => [
    copied(`${to}.${ours}.weight`, shape, `${from}.${theirs}.weight`),
    copied(`${to}.${ours}.bias`, [shape[0]!], `${from}.${theirs}.bias`),
  ];
  const projections = ['query', 'key', 'value'].flatMap((name, part) => [
    third(`${to}.attention.${name}.weight`, [d, d], `${from}.attn.in_proj_weight`, part),
    third(`${to}.attention.${name}.bias`, [d], `${from}.attn.in_proj_bias`, part),
  ]);
  return [
    ...projections,
    ...layer('attention.norm', 'ln_1', [d]),
    ...layer('attention.output', 'attn.out_proj', [d, d]),
    ...layer('mlp.norm', 'ln_2', [d]),
    ...layer('mlp.up', 'mlp.c_fc', [f, d]),
    ...layer('mlp.down', 'mlp.c_proj', [d, f]),
  ];
}

function tokenizer(weights: Weights, hints: Hints) {
  const [latentRows, hidden] = weights.shape('latent_tokens', 2);
  const [positionRows] = weights.shape('encoder.positional_embedding', 2);
  const [, channels, patchSide] = weights.shape('encoder.patch_embed.weight', 4);
  const [units] = weights.shape('encoder.transformer.0.mlp.c_fc.weight', 2);
  const [codes, dim] = weights.shape('quantize.embedding.weight', 2);
  const [mixed, mixedSize] = weights.shape(pixelCodebook, 2);
  const [latents, d, f, patch] = [latentRows!, hidden!, units!, patchSide!];
  const heads = tokenizerHeadsOf(weights, d, hints);
  const patches = positionRows! - 1;
  const side = weights.side('encoder.positional_embedding', patches);
  if (hints.grid !== undefined && hints.grid.join() !== `1,${latents}`) {
    weights.refuse(`expected tokens of [1,${latents}] but the generator has [${hints.grid}]`);
  }
  const up = (level: number) => `pixel_decoder.up.${level}`;
  const pixels = convDecoder(
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
  const scale = 2 ** (pixels.config.multipliers.length - 1);
  if (patch !== scale || channels !== pixels.channels) {
    weights.refuse(
      `encoder.patch_embed.weight: expected patches of the ${pixels.channels} x ${scale} x ${scale} values that the decoder makes of one but received ${channels} x ${patch} x ${patch}`,
    );
  }

  const pair = (to: string, from: string, size: number): MadeTensor[] => [
    copied(`${to}.weight`, [size], `${from}.weight`),
    copied(`${to}.bias`, [size], `${from}.bias`),
  ];
  /** A product, stored as a convolution of one pixel or as a linear layer. */
  const product = (to: string, from: string, out: number, inputs: number, dimensions: 2 | 4) => {
    const shape = dimensions === 4 ? [out, inputs, 1, 1] : [out, inputs];
    return [
      { ...copied(`${to}.weight`, shape, `${from}.weight`), shape: [out, inputs] },
      copied(`${to}.bias`, [out], `${from}.bias`),
    ];
  };
  const countOf = (half: string) =>
    weights.count((i) => `${half}.transformer.${i}.mlp.c_fc.weight`);
  const blocks = (half: 'encoder' | 'decoder') =>
    Array.from({ length: countOf(half) }, (_, i) => clip(half, i, d, f)).flat();
  return {
    config: {
      model_type: 'magnets_tokenizer',
      kind: 'titok',
      sample_shape: [1, side * scale, side * scale],
      channels,
      hidden_size: d,
      num_attention_heads: heads,
      intermediate_size: f,
      hidden_act: 'gelu',
      layer_norm_eps: 1e-5,
      encoder_layers: countOf('encoder'),
      decoder_layers: countOf('decoder'),
      latent_tokens: latents,
      codebook_size: codes,
      codebook_dim: dim,
      pixel_decoder: { codebook_size: mixed, ...pixels.config },
    },
    tensors: [
      {
        name: 'encoder.input.weight',
        shape: [d, patch * patch * channels!],
        from: [{ name: 'encoder.patch_embed.weight', shape: [d, channels!, patch, patch] }],
        make: reorder('OIHW', patch, d, channels!),
      },
      sequencePositions(
        'encoder',
        d,
        patches,
        latents,
        { name: 'encoder.patch_embed.bias', shape: [d] },
        { name: 'latent_tokens', shape: [latents, d] },
      ),
      ...pair('encoder.input_norm', 'encoder.ln_pre', d),
      ...blocks('encoder'),
      ...pair('encoder.norm', 'encoder.ln_post', d),
      ...product('encoder.output', 'encoder.conv_out', dim!, d, 4),
      copied('codebook.weight', [codes!, dim!], 'quantize.embedding.weight'),
      ...product('decoder.input', 'decoder.decoder_embed', d, dim!, 2),
      sequencePositions('decoder', d, patches, latents, {
        name: 'decoder.mask_token',
        shape: [1, 1, d],
      }),
      ...pair('decoder.input_norm', 'decoder.ln_pre', d),
      ...blocks('decoder'),
      ...pair('decoder.norm', 'decoder.ln_post', d),
      ...product('mixture.hidden', mixtures.hidden, 2 * d, d, 4),
      ...product('mixture.scores', mixtures.scores, mixed!, 2 * d, 4),
      copied('mixture.codebook.weight', [mixed!, mixedSize!], pixelCodebook),
      ...pixels.tensors,
    ] satisfies MadeTensor[],
  };
}

export const titokTokenizer: Peer = {
  part: 'tokenizer',
  format: 'torch',
  recognizes: (names) => names.has('latent_tokens') && names.has(pixelCodebook),
  translate: (weights, hints) => ({
    origin: { ...origin, name: "TiTok's tokenizer" },
    ...tokenizer(weights, hints),
    dropped: [],
    same: [],
    notes: [
      'What is added to every class, mask, latent token and patch became a part of the positions.',
      foldedNote,
    ],
  }),
};
