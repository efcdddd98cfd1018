/** Halton-MaskGIT (PyTorch), of 256 or 384 pixels. */

import { copied } from '../made-tensors.js';
import type { Hints, MadeTensor, Peer, Weights } from '../translation.js';

/** Attention heads and guidance of the released sizes, which the weights alone do not tell. */
const released: Readonly<Record<number, { readonly heads: number; readonly guidance: number }>> = {
  384: { heads: 6, guidance: 1.5 },
  512: { heads: 6, guidance: 1 },
  768: { heads: 12, guidance: 0.7 },
  1024: { heads: 16, guidance: 0.5 },
};

const layer = (index: number) => `transformer.layers.${index}`;

/** Rows of two tensors in the order: the first but its last, the second, the last of the first. */
function withRegister(name: string, rows: number, d: number): MadeTensor {
  return {
    name,
    shape: [rows + 1, d],
    from: [
      { name: 'tok_emb.weight', shape: [rows, d] },
      { name: 'reg_tokens.weight', shape: [1, d] },
    ],
    make: (target, words, register) => {
      target.set(words!);
      target.copyWithin(rows * d, (rows - 1) * d, rows * d);
      target.set(register!, (rows - 1) * d);
    },
  };
}

function headsOf(weights: Weights, d: number, inner: number, hints: Hints): number {
  const heads = hints.heads ?? released[d]?.heads;
  const query = `${layer(0)}.attn.wq.weight`;
  if (heads === undefined) {
    const known = Object.keys(released).join(', ');
    return weights.refuse(
      `${query}: expected a hidden size of ${known}, or --heads, but received ${d}`,
    );
  }
  if (heads * Math.floor(d / heads) !== inner) {
    weights.refuse(`${query}: expected rows for ${heads} heads but received ${inner}`);
  }
  return heads;
}

/** What the shapes of the weights say. */
function sizesOf(weights: Weights, hints: Hints) {
  const [rows, hidden] = weights.shape('tok_emb.weight', 2);
  const [classRows] = weights.shape('cls_emb.weight', 2);
  const [tokens] = weights.shape('pos_emb.weight', 2);
  const [inner] = weights.shape(`${layer(0)}.attn.wq.weight`, 2);
  const [units] = weights.shape(`${layer(0)}.ff.w1.weight`, 2);
  const layers = weights.count((i) => `${layer(i)}.attn.wq.weight`);
  const [d, a] = [hidden!, inner!];
  const heads = headsOf(weights, d, a, hints);
  const side = weights.side('pos_emb.weight', tokens!);
  // The last row of the tokens is the mask, the last class "no class".
  return { d, a, f: units!, heads, layers, side, codes: rows! - 1, classes: classRows! - 1 };
}

type Sizes = ReturnType<typeof sizesOf>;

function configOf({ d, f, heads, layers, side, codes, classes }: Sizes) {
  return {
    model_type: 'magnets',
    hidden_size: d,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    head_dim: Math.floor(d / heads),
    intermediate_size: f,
    norm_position: 'pre',
    norm_type: 'rms_norm',
    layer_norm_eps: 1e-5,
    hidden_act: 'silu',
    mlp_gate: 'multiply',
    qk_norm: 'rms',
    modulation: 'class',
    bias: false,
    embedding_norm: false,
    head: 'plain',
    codebook_size: codes,
    num_classes: classes,
    latent_shape: [1, side, side],
    widths: [{ name: '1', heads, hidden: f }],
    sampling: {
      steps: 32,
      masking_schedule: 'arccos',
      order: 'halton',
      temperature: 1,
      guidance: released[d]?.guidance ?? 1,
    },
  };
}

function blockOf(i: number, { d, a, f }: Sizes): MadeTensor[] {
  const [to, from] = [`layers.${i}`, layer(i)];
  return [
    copied(`${to}.modulation.weight`, [6 * d, d], `${from}.mlp.1.weight`),
    copied(`${to}.modulation.bias`, [6 * d], `${from}.mlp.1.bias`),
    copied(`${to}.attention.norm.weight`, [d], `${from}.ln1.weight`),
    copied(`${to}.attention.query.weight`, [a, d], `${from}.attn.wq.weight`),
    copied(`${to}.attention.key.weight`, [a, d], `${from}.attn.wk.weight`),
    copied(`${to}.attention.value.weight`, [a, d], `${from}.attn.wv.weight`),
    copied(`${to}.attention.output.weight`, [d, a], `${from}.attn.wo.weight`),
    copied(`${to}.mlp.norm.weight`, [d], `${from}.ln2.weight`),
    copied(`${to}.mlp.gate.weight`, [f, d], `${from}.ff.w1.weight`),
    copied(`${to}.mlp.up.weight`, [f, d], `${from}.ff.w3.weight`),
    copied(`${to}.mlp.down.weight`, [d, f], `${from}.ff.w2.weight`),
  ];
}

function tensorsOf(sizes: Sizes): MadeTensor[] {
  const { d, layers, side, codes, classes } = sizes;
  const tokens = side ** 2;
  const rows = codes + 1;
  return [
    withRegister('embeddings.word.weight', rows, d),
    {
      // The register has no position.
      name: 'embeddings.position.weight',
      shape: [1 + tokens, d],
      from: [{ name: 'pos_emb.weight', shape: [tokens, d] }],
      make: (target, values) => {
        target.fill(0, 0, d);
        target.set(values!, d);
      },
    },
    copied('embeddings.class.weight', [classes + 1, d], 'cls_emb.weight'),
    ...Array.from({ length: layers }, (_, i) => blockOf(i, sizes)).flat(),
    copied('norm.weight', [d], 'last_norm.norm_final.weight'),
    copied('norm.bias', [d], 'last_norm.norm_final.bias'),
    copied('modulation.weight', [2 * d, d], 'last_norm.mlp.1.weight'),
    copied('modulation.bias', [2 * d], 'last_norm.mlp.1.bias'),
    {
      // The register's column means nothing.
      name: 'head.bias',
      shape: [rows + 1],
      from: [{ name: 'head.bias', shape: [rows] }],
      make: (target, values) => {
        target.set(values!);
        target[rows - 1] = 0;
        target[rows] = values![rows - 1]!;
      },
    },
  ];
}

export const halton: Peer = {
  part: 'generator',
  format: 'torch',
  recognizes: (names) =>
    names.has('cls_emb.weight') &&
    names.has('reg_tokens.weight') &&
    names.has('last_norm.mlp.1.weight'),
  translate: (weights, hints) => {
    const sizes = sizesOf(weights, hints);
    return {
      origin: {
        name: 'Halton-MaskGIT',
        url: 'https://github.com/valeoai/Halton-MaskGIT',
        licence: 'MIT',
      },
      tokens: "LlamaGen's VQ-16",
      config: configOf(sizes),
      tensors: tensorsOf(sizes),
      dropped: [],
      same: weights.has('head.weight') ? [['tok_emb.weight', 'head.weight'] as const] : [],
      notes: [
        'The original may draw the id of [MASK], which it replaces at the end; here only codes are drawn.',
      ],
    };
  },
};
