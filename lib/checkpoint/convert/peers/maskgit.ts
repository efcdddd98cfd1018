/** MaskGIT's own files (flax): the transformer and the tokenizer, of 256 or 512 pixels. */

import { flax } from '../conv-names.js';
import { convTokenizer } from '../conv-tokenizer.js';
import { copied, transposed } from '../made-tensors.js';
import type { Hints, MadeTensor, Peer, Weights } from '../translation.js';

const origin = {
  name: 'MaskGIT',
  url: 'https://github.com/google-research/maskgit',
  licence: 'Apache-2.0',
};

const words = 'Embed_0/word_embeddings/embedding';
const positions = 'Embed_0/position_embeddings/embedding';
const layer = (index: number) => `TransformerLayer_${index}`;

/** The released vocabulary, where no tokenizer says how many of its ids are codes. */
const released = { vocabulary: 2025, codes: 1024 };

function codesOf(weights: Weights, vocabulary: number, { codebookSize }: Hints): number {
  if (codebookSize !== undefined) return codebookSize;
  if (vocabulary !== released.vocabulary) {
    weights.refuse(
      `${words}: expected ${released.vocabulary} rows, or a tokenizer that says how many of the ${vocabulary} are codes`,
    );
  }
  return released.codes;
}

/** What the shapes of the weights say. */
function sizesOf(weights: Weights, hints: Hints) {
  const [vocabulary, hidden] = weights.shape(words, 2);
  const [sequence] = weights.shape(positions, 2);
  const query = `${layer(0)}/Attention_0/self_attention/query/kernel`;
  const [, heads, headDim] = weights.shape(query, 3);
  const [, units] = weights.shape(`${layer(0)}/Mlp_0/intermediate_output/kernel`, 2);
  const layers = weights.count((i) => `${layer(i)}/Attention_0/self_attention/query/kernel`);
  const codes = codesOf(weights, vocabulary!, hints);
  const classes = vocabulary! - codes - 1;
  if (classes < 0) weights.refuse(`${words}: expected more rows than the ${codes} codes`);
  const side = weights.side(positions, sequence! - 1);
  return { d: hidden!, f: units!, heads: heads!, headDim: headDim!, layers, side, codes, classes };
}

type Sizes = ReturnType<typeof sizesOf>;

function configOf({ d, f, heads, headDim, layers, side, codes, classes }: Sizes) {
  return {
    model_type: 'magnets',
    hidden_size: d,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    head_dim: headDim,
    intermediate_size: f,
    norm_position: 'post',
    hidden_act: 'gelu_tanh',
    layer_norm_eps: 1e-12,
    codebook_size: codes,
    num_classes: classes,
    null_class: false,
    latent_shape: [1, side, side],
    widths: [{ name: '1', heads, hidden: f }],
    sampling: {
      steps: 12,
      masking_schedule: 'cosine',
      temperature: 1,
      choice_temperature: 4.5,
      guidance: 0,
    },
  };
}

function norm(to: string, from: string, d: number): MadeTensor[] {
  return [copied(`${to}.weight`, [d], `${from}/scale`), copied(`${to}.bias`, [d], `${from}/bias`)];
}

function dense(to: string, from: string, out: number, inputs: number): MadeTensor[] {
  return [
    transposed(`${to}.weight`, [out, inputs], `${from}/kernel`),
    copied(`${to}.bias`, [out], `${from}/bias`),
  ];
}

function blockOf(i: number, { d, f, heads, headDim }: Sizes): MadeTensor[] {
  const inner = heads * headDim;
  const attention = `${layer(i)}/Attention_0/self_attention`;
  const to = `layers.${i}`;
  return [
    ...['query', 'key', 'value'].flatMap((part): MadeTensor[] => {
      const from = `${attention}/${part}`;
      const bias = copied(`${to}.attention.${part}.bias`, [inner], `${from}/bias`);
      return [
        transposed(`${to}.attention.${part}.weight`, [inner, d], `${from}/kernel`, [
          d,
          heads,
          headDim,
        ]),
        { ...bias, from: [{ name: `${from}/bias`, shape: [heads, headDim] }] },
      ];
    }),
    transposed(`${to}.attention.output.weight`, [d, inner], `${attention}/out/kernel`, [
      heads,
      headDim,
      d,
    ]),
    copied(`${to}.attention.output.bias`, [d], `${attention}/out/bias`),
    ...norm(`${to}.attention.norm`, `${layer(i)}/Attention_0/attention_output_ln`, d),
    ...dense(`${to}.mlp.up`, `${layer(i)}/Mlp_0/intermediate_output`, f, d),
    ...dense(`${to}.mlp.down`, `${layer(i)}/Mlp_0/layer_output`, d, f),
    ...norm(`${to}.mlp.norm`, `${layer(i)}/Mlp_0/layer_output_ln`, d),
  ];
}

function tensorsOf(sizes: Sizes): MadeTensor[] {
  const { d, layers, side, codes, classes } = sizes;
  const vocabulary = codes + classes + 1;
  return [
    // Its mask is id -1, the last row, as it is here.
    copied('embeddings.word.weight', [vocabulary, d], words),
    copied('embeddings.position.weight', [1 + side ** 2, d], positions),
    ...norm('embeddings.norm', 'Embed_0/embeddings_ln', d),
    ...Array.from({ length: layers }, (_, i) => blockOf(i, sizes)).flat(),
    ...dense('head.dense', 'MlmLayer_0/mlm_dense', d, d),
    ...norm('head.norm', 'MlmLayer_0/mlm_ln', d),
    copied('head.bias', [vocabulary], 'MlmLayer_0/mlm_bias/bias'),
  ];
}

export const maskgit: Peer = {
  part: 'generator',
  format: 'flax',
  recognizes: (names) => names.has(words) && names.has('MlmLayer_0/mlm_bias/bias'),
  translate: (weights, hints) => {
    const sizes = sizesOf(weights, hints);
    return {
      origin,
      tokens: "MaskGIT's VQGAN",
      config: configOf(sizes),
      tensors: tensorsOf(sizes),
      dropped: [],
      same: [],
      notes: ['It was trained without a class for "no class", so it has no guidance.'],
    };
  },
};

/** Blocks are numbered through both halves' levels, in the order in which they run. */
function tokenizer(weights: Weights, grid: readonly [number, number]) {
  const block = (half: string, index: number) => `${half}/ResBlock_${index}`;
  const blocks = weights.count((i) => `${block('encoder', i)}/Conv_0/kernel`);
  const levels = blocks / 2 - 1;
  if (!Number.isInteger(levels) || levels < 1) {
    weights.refuse(`expected two residual blocks a level and two more but received ${blocks}`);
  }
  return convTokenizer(
    weights,
    {
      dialect: flax,
      encoder: {
        input: 'encoder/Conv_0',
        block: (level, at) => block('encoder', at < 2 && level < levels ? 2 * level + at : blocks),
        middle: [block('encoder', 2 * levels), block('encoder', 2 * levels + 1)],
        norm: 'encoder/GroupNorm_0',
        output: 'encoder/Conv_1',
      },
      codebook: 'quantizer/codebook',
      decoder: {
        input: 'decoder/Conv_0',
        block: (level, at) => block('decoder', at < 2 ? 2 * (levels - level) + at : blocks),
        resample: (level) => `decoder/Conv_${levels - level}`,
        middle: [block('decoder', 0), block('decoder', 1)],
        norm: 'decoder/GroupNorm_0',
        output: `decoder/Conv_${levels}`,
      },
    },
    { biases: false, shortcut: 'folded', pixels: [0, 1], normalizedCodes: false, grid },
  );
}

export const foldedNote =
  'Where a residual block changes the number of channels, its shortcut is taken from its own output, as in the original, and is folded into its second convolution.';

export const maskgitTokenizer: Peer = {
  part: 'tokenizer',
  format: 'flax',
  recognizes: (names) =>
    names.has('quantizer/codebook') && names.has('decoder/ResBlock_0/Conv_0/kernel'),
  translate: (weights, { grid = [16, 16] }) => ({
    origin: { ...origin, name: "MaskGIT's tokenizer" },
    tokens: "MaskGIT's VQGAN",
    ...tokenizer(weights, grid),
    dropped: [],
    same: [],
    notes: [foldedNote],
  }),
};
