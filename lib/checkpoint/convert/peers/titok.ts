/** TiTok's generators L-32 and B-64 (PyTorch): BERT as Hugging Face names it. */

import { copied, copiedLayer } from '../made-tensors.js';
import type { Hints, MadeTensor, Peer, Weights } from '../translation.js';

export const origin = {
  url: 'https://github.com/bytedance/1d-tokenizer',
  licence: 'Apache-2.0; its authors ask that the weights be used for research only',
};

const words = 'model.embeddings.word_embeddings.weight';
const positions = 'model.embeddings.position_embeddings.weight';
const head = 'model.lm_head.weight';

const releasedHeads = { 768: 16 };

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

/** What the shapes of the weights say. */
function sizesOf(weights: Weights, hints: Hints) {
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
  const heads = weights.heads(words, d, releasedHeads, hints.heads);
  return { d, f, heads, layers, tokens, codes, classes };
}

type Sizes = ReturnType<typeof sizesOf>;

function configOf({ d, f, heads, layers, tokens, codes, classes }: Sizes) {
  const recipe = recipes[tokens] ?? recipes[64]!;
  const noise = noiseOf(recipe.noise);
  return {
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
  };
}

function blockOf(i: number, { d, f }: Sizes): MadeTensor[] {
  const [to, from] = [`layers.${i}`, `model.encoder.layer.${i}`];
  return [
    ...['query', 'key', 'value'].flatMap((part) =>
      copiedLayer(`${to}.attention.${part}`, [d, d], `${from}.attention.self.${part}`),
    ),
    ...copiedLayer(`${to}.attention.output`, [d, d], `${from}.attention.output.dense`),
    ...copiedLayer(`${to}.attention.norm`, [d], `${from}.attention.output.LayerNorm`),
    ...copiedLayer(`${to}.mlp.up`, [f, d], `${from}.intermediate.dense`),
    ...copiedLayer(`${to}.mlp.down`, [d, f], `${from}.output.dense`),
    ...copiedLayer(`${to}.mlp.norm`, [d], `${from}.output.LayerNorm`),
  ];
}

function tensorsOf(sizes: Sizes): MadeTensor[] {
  const { d, layers, tokens, codes, classes } = sizes;
  const vocabulary = codes + classes + 2;
  const sequence = tokens + 1;
  return [
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
    ...copiedLayer('embeddings.norm', [d], 'model.embeddings.LayerNorm'),
    ...Array.from({ length: layers }, (_, i) => blockOf(i, sizes)).flat(),
    copied('head.output.weight', [codes, d], head),
    copied('head.bias', [codes], 'model.lm_head.bias'),
  ];
}

export const titok: Peer = {
  part: 'generator',
  format: 'torch',
  recognizes: (names) => names.has(words) && names.has(head),
  translate: (weights, hints) => {
    const sizes = sizesOf(weights, hints);
    return {
      origin: { ...origin, name: "TiTok's generator" },
      tokens: 'TiTok',
      config: configOf(sizes),
      tensors: tensorsOf(sizes),
      dropped: ['model.embeddings.position_ids']
        .filter((name) => weights.has(name))
        .map((name) => ({ name, why: 'the numbers of the positions' })),
      same: [],
      notes: [
        'The mask is the last id of the vocabulary, and the row of the first segment a part of the positions.',
      ],
    };
  },
};
