/** MaskBit's generator (PyTorch): a token is a word of bits, drawn in two halves. */

import { copied, copiedLayer, projections } from '../made-tensors.js';
import type { Hints, MadeTensor, Peer, Weights } from '../translation.js';

/** How its authors sample from each number of bits (configs/generator). */
const recipes: Readonly<Record<number, { guidance: number; power: number; noise: number }>> = {
  10: { guidance: 6.4, power: 2.5, noise: 10.5 },
  12: { guidance: 7.1, power: 3, noise: 8.2 },
  14: { guidance: 7.1, power: 3, noise: 7.8 },
  16: { guidance: 6.5, power: 2.5, noise: 7.5 },
  18: { guidance: 5.7, power: 2.5, noise: 8.5 },
};

const releasedHeads = { 1024: 16 };
const halves = 2;

/**
 * The original multiplies the bits of a token, each -1 or 1, the least first, with a matrix, where a half that is masked
 * has zeros. So a half's row is its bits times its columns, and that of [MASK] is zeros.
 */
function words(input: string, bits: number, digits: number, d: number, classes: number) {
  const half = bits / halves;
  return {
    name: 'embeddings.word.weight',
    shape: [halves * digits + classes + 1, d],
    from: [
      { name: `${input}.weight`, shape: [d, bits] },
      { name: 'class_emb.weight', shape: [classes, d] },
    ],
    make: (target, matrix, classRows) => {
      target.fill(0);
      for (let row = 0; row < halves * digits; ++row) {
        const [part, digit] = [Math.floor(row / digits), row % digits];
        for (let i = 0; i < d; ++i) {
          let sum = 0;
          for (let bit = 0; bit < half; ++bit) {
            const sign = (digit >> bit) & 1 ? 1 : -1;
            sum += sign * matrix![i * bits + part * half + bit]!;
          }
          target[row * d + i] = sum;
        }
      }
      target.set(classRows!, halves * digits * d);
    },
  } satisfies MadeTensor;
}

/** The class is the last of the original's positions, and the bits' matrix has a bias that the class has not. */
function positions(input: string, tokens: number, d: number): MadeTensor {
  return {
    name: 'embeddings.position.weight',
    shape: [1 + tokens, d],
    from: [
      { name: 'pos_emb', shape: [1, tokens + 1, d] },
      { name: `${input}.bias`, shape: [d] },
    ],
    make: (target, values, bias) => {
      target.set(values!.subarray(tokens * d));
      for (let i = 0; i < tokens * d; ++i) target[d + i] = values![i]! + bias![i % d]!;
    },
  };
}

/** What the shapes of the weights say. */
function sizesOf(weights: Weights, hints: Hints) {
  const input = weights.has('token_emb.weight') ? 'token_emb' : 'input_proj';
  const [hidden, inputs] = weights.shape(`${input}.weight`, 2);
  const [classRows] = weights.shape('class_emb.weight', 2);
  const [, rows] = weights.shape('pos_emb', 3);
  const [units] = weights.shape('transformer.layers.0.1.net.0.weight', 2);
  const layers = weights.count((i) => `transformer.layers.${i}.0.mha.in_proj_weight`);
  const [d, bits, f] = [hidden!, inputs!, units!];
  if (bits % halves !== 0 || bits > 24) {
    weights.refuse(
      `${input}.weight: expected an even number of at most 24 bits but received ${bits}`,
    );
  }
  const digits = 2 ** (bits / halves);
  const heads = weights.heads('first_layer.0.weight', d, releasedHeads, hints.heads);
  const side = weights.side('pos_emb', rows! - 1);
  return { input, d, f, heads, layers, side, bits, digits, classRows: classRows! };
}

type Sizes = ReturnType<typeof sizesOf>;

function configOf({ d, f, heads, layers, side, bits, classRows }: Sizes) {
  const recipe = recipes[bits] ?? recipes[14]!;
  return {
    model_type: 'magnets',
    hidden_size: d,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: f,
    norm_position: 'post',
    layer_norm_eps: 1e-12,
    hidden_act: 'gelu',
    tied: false,
    codebook_size: 2 ** bits,
    sub_tokens: halves,
    num_classes: classRows - 1,
    latent_shape: [1, side, side],
    widths: [{ name: '1', heads, hidden: f }],
    sampling: {
      steps: 64,
      masking_schedule: 'arccos',
      guidance: recipe.guidance,
      guidance_schedule: 'cosine',
      guidance_power: recipe.power,
      choice_temperature: recipe.noise,
    },
  };
}

function blockOf(i: number, { d, f }: Sizes): MadeTensor[] {
  const [to, from] = [`layers.${i}`, `transformer.layers.${i}`];
  return [
    ...projections(`${to}.attention`, d, `${from}.0.mha`),
    ...copiedLayer(`${to}.attention.output`, [d, d], `${from}.0.mha.out_proj`),
    ...copiedLayer(`${to}.attention.norm`, [d], `${from}.0.norm`),
    ...copiedLayer(`${to}.mlp.up`, [f, d], `${from}.1.net.0`),
    ...copiedLayer(`${to}.mlp.down`, [d, f], `${from}.1.net.2`),
    ...copiedLayer(`${to}.mlp.norm`, [d], `${from}.1.norm`),
  ];
}

function tensorsOf(sizes: Sizes): MadeTensor[] {
  const { input, d, layers, side, bits, digits, classRows } = sizes;
  return [
    words(input, bits, digits, d, classRows),
    positions(input, side ** 2, d),
    ...copiedLayer('embeddings.norm', [d], 'first_layer.0'),
    ...Array.from({ length: layers }, (_, i) => blockOf(i, sizes)).flat(),
    ...copiedLayer('head.dense', [d, d], 'last_layer.0'),
    ...copiedLayer('head.norm', [d], 'last_layer.2'),
    copied('head.output.weight', [halves * digits, d], 'prediction_layer.weight'),
    copied('head.bias', [halves * digits], 'prediction_layer.bias'),
  ];
}

export const maskbit: Peer = {
  part: 'generator',
  format: 'torch',
  recognizes: (names) =>
    names.has('first_layer.0.weight') &&
    names.has('prediction_layer.weight') &&
    names.has('pos_emb'),
  translate: (weights, hints) => {
    const sizes = sizesOf(weights, hints);
    return {
      origin: {
        name: "MaskBit's generator",
        url: 'https://github.com/markweberdev/maskbit',
        licence: 'Apache-2.0; its authors ask that the weights be used for research only',
      },
      tokens: "MaskBit's VQGAN+",
      config: configOf(sizes),
      tensors: tensorsOf(sizes),
      dropped: weights.has('bits_to_indices')
        ? [{ name: 'bits_to_indices', why: 'a table that follows from the number of bits' }]
        : [],
      same: [],
      notes: [
        'Bits times a matrix became rows of a table, one for each half of a token, and the bias of the matrix a part of the positions.',
      ],
    };
  },
};
