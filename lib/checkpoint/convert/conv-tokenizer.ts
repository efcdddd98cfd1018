/** The tensors of a tokenizer of convolutions, for every public code that has one: they differ in names and details alone. */

import type { TensorEntry } from '../schema.js';
import { copied, type MadeTensor, transposed, type Weights, zeros } from './translation.js';

/** How a framework stores a convolution and what it calls its parts. */
export interface Dialect {
  readonly separator: string;
  /** Of a convolution, and of a norm. */
  readonly weight: string;
  readonly scale: string;
  /** Convolutions are stored [out, in, height, width] (PyTorch) or [height, width, in, out] (flax). */
  readonly order: 'OIHW' | 'HWIO';
  /** The parts of a residual block. */
  readonly block: Readonly<Record<'norm1' | 'conv1' | 'norm2' | 'conv2' | 'shortcut', string>>;
}

export const pytorch: Dialect = {
  separator: '.',
  weight: 'weight',
  scale: 'weight',
  order: 'OIHW',
  block: {
    norm1: 'norm1',
    conv1: 'conv1',
    norm2: 'norm2',
    conv2: 'conv2',
    shortcut: 'nin_shortcut',
  },
};

export const flax: Dialect = {
  separator: '/',
  weight: 'kernel',
  scale: 'scale',
  order: 'HWIO',
  block: {
    norm1: 'GroupNorm_0',
    conv1: 'Conv_0',
    norm2: 'GroupNorm_1',
    conv2: 'Conv_1',
    shortcut: 'Conv_2',
  },
};

/** The names of one half, encoder or decoder. Level 0 is that of full resolution. */
export interface HalfNames {
  readonly input: string;
  block(level: number, block: number): string;
  /** Between two levels, at the finer (encoder) or the coarser (decoder) of them; undefined where nothing is learnt. */
  resample?(level: number): string;
  /** After each block of the coarsest level. */
  attention?(block: number): string;
  /** Two residual blocks, or a block, an attention and a block. */
  readonly middle: readonly string[];
  readonly norm: string;
  readonly output: string;
  /** The product that leads to the code or comes from it, where there is one. */
  readonly code?: string;
}

export interface ConvNames {
  readonly dialect: Dialect;
  readonly encoder: HalfNames;
  readonly decoder: HalfNames;
  /** Undefined where the code is the signs of the encoder's output. */
  readonly codebook?: string;
}

/** How the blocks are built, and what pixels they see. */
export interface BlockDetails {
  /** Whether the convolutions of the residual blocks have biases. */
  readonly biases: boolean;
  /**
   * Where the number of channels changes: a product of the block's input that is added, or (MaskGIT's) one of the main
   * path's own output h, y = h + Wh, which is folded into the second convolution.
   */
  readonly shortcut: 'projection' | 'folded';
  /** Pixels of the source's own code. */
  readonly pixels: readonly [0 | -1, 1];
}

export interface ConvDetails extends BlockDetails {
  /** Tokens are the nearest in direction, and codes have length 1. */
  readonly normalizedCodes: boolean;
  readonly grid: readonly [number, number];
}

/** [out, height, width, in] of a stored convolution. */
export function reorder(
  order: Dialect['order'],
  kernel: number,
  out: number,
  inputs: number,
): (target: Float32Array, values: Float32Array) => void {
  const taps = kernel * kernel;
  return (target, values) => {
    for (let o = 0; o < out; ++o) {
      for (let tap = 0; tap < taps; ++tap) {
        for (let i = 0; i < inputs; ++i) {
          const from =
            order === 'OIHW' ? (o * inputs + i) * taps + tap : (tap * inputs + i) * out + o;
          target[(o * taps + tap) * inputs + i] = values[from]!;
        }
      }
    }
  };
}

/**
 * (I + shortcut) · weight, where the rows of the weight are its `out` outputs. Four rows are added at once, for speed:
 * `out` is a multiple of the 32 groups of a norm.
 */
function fold(
  target: Float32Array,
  weight: Float32Array,
  shortcut: Float32Array,
  out: number,
): void {
  const columns = weight.length / out;
  const sums = new Float64Array(columns);
  for (let row = 0; row < out; ++row) {
    for (let column = 0; column < columns; ++column) sums[column] = weight[row * columns + column]!;
    for (let i = 0; i < out; i += 4) {
      const factors = shortcut.subarray(row * out + i, row * out + i + 4);
      const [a, b, c, d] = [factors[0]!, factors[1]!, factors[2]!, factors[3]!];
      const rows = weight.subarray(i * columns, (i + 4) * columns);
      for (let column = 0; column < columns; ++column) {
        const ab = a * rows[column]! + b * rows[column + columns]!;
        const cd = c * rows[column + 2 * columns]! + d * rows[column + 3 * columns]!;
        sums[column] = sums[column]! + ab + cd;
      }
    }
    target.set(sums, row * columns);
  }
}

class Maker {
  readonly tensors: MadeTensor[] = [];

  constructor(
    private readonly dialect: Dialect,
    private readonly details: BlockDetails,
  ) {}

  /** What a block of ours adds where its channels change. */
  get shortcut(): 'none' | 'projection' {
    return this.details.shortcut === 'folded' ? 'none' : 'projection';
  }

  join(layer: string, part: string): string {
    return `${layer}${this.dialect.separator}${part}`;
  }

  #stored(layer: string, kernel: number, out: number, inputs: number): TensorEntry {
    const shape =
      this.dialect.order === 'OIHW' ? [out, inputs, kernel, kernel] : [kernel, kernel, inputs, out];
    return { name: this.join(layer, this.dialect.weight), shape };
  }

  #bias(to: string, from: string, out: number, stored: boolean): void {
    const name = `${to}.bias`;
    this.tensors.push(stored ? copied(name, [out], this.join(from, 'bias')) : zeros(name, [out]));
  }

  convolution(to: string, from: string, out: number, inputs: number, bias: boolean): void {
    this.tensors.push({
      name: `${to}.weight`,
      shape: [out, 3, 3, inputs],
      from: [this.#stored(from, 3, out, inputs)],
      make: reorder(this.dialect.order, 3, out, inputs),
    });
    this.#bias(to, from, out, bias);
  }

  /** A convolution of one pixel. */
  product(to: string, from: string, out: number, inputs: number): void {
    const { name, shape } = this.#stored(from, 1, out, inputs);
    const weight = `${to}.weight`;
    this.tensors.push(
      this.dialect.order === 'HWIO'
        ? transposed(weight, [out, inputs], name, shape)
        : { ...copied(weight, shape, name), shape: [out, inputs] },
    );
    this.#bias(to, from, out, true);
  }

  norm(to: string, from: string, channels: number): void {
    this.tensors.push(
      copied(`${to}.weight`, [channels], this.join(from, this.dialect.scale)),
      copied(`${to}.bias`, [channels], this.join(from, 'bias')),
    );
  }

  residual(to: string, from: string, out: number, inputs: number): void {
    const { block, order } = this.dialect;
    const { biases, shortcut } = this.details;
    const part = (name: keyof Dialect['block']) => this.join(from, block[name]);
    this.norm(`${to}.norm1`, part('norm1'), inputs);
    this.convolution(`${to}.conv1`, part('conv1'), out, inputs, biases);
    this.norm(`${to}.norm2`, part('norm2'), out);
    if (inputs === out || shortcut === 'projection') {
      this.convolution(`${to}.conv2`, part('conv2'), out, out, biases);
      if (inputs !== out) this.product(`${to}.shortcut`, part('shortcut'), out, inputs);
      return;
    }
    const taps = reorder(order, 3, out, out);
    const square = reorder(order, 1, out, out);
    this.tensors.push({
      name: `${to}.conv2.weight`,
      shape: [out, 3, 3, out],
      from: [this.#stored(part('conv2'), 3, out, out), this.#stored(part('shortcut'), 1, out, out)],
      make: (target, conv, product) => {
        const [weight, factors] = [new Float32Array(conv!.length), new Float32Array(out * out)];
        taps(weight, conv!);
        square(factors, product!);
        fold(target, weight, factors, out);
      },
    });
    this.#bias(`${to}.conv2`, '', out, false);
  }

  attention(to: string, from: string, channels: number): void {
    this.norm(`${to}.norm`, this.join(from, 'norm'), channels);
    const parts = { query: 'q', key: 'k', value: 'v', output: 'proj_out' };
    for (const [ours, theirs] of Object.entries(parts)) {
      this.product(`${to}.${ours}`, this.join(from, theirs), channels, channels);
    }
  }

  /** The decoder's last convolution, whose pixels become those of [0, 1]. */
  pixels(to: string, from: string, out: number, inputs: number): void {
    this.convolution(to, from, out, inputs, true);
    if (this.details.pixels[0] === 0) return;
    const [weight, bias] = this.tensors.splice(-2) as [MadeTensor, MadeTensor];
    this.tensors.push(
      {
        ...weight,
        make: (target, values) => {
          weight.make(target, values!);
          target.forEach((value, i) => {
            target[i] = value / 2;
          });
        },
      },
      {
        ...bias,
        make: (target, values) => {
          values!.forEach((value, i) => {
            target[i] = value / 2 + 0.5;
          });
        },
      },
    );
  }
}

/** What the shapes of a half say of its levels. */
interface Layout {
  /** Of each level. */
  readonly channels: readonly number[];
  /** Residual blocks of a level. */
  readonly blocks: number;
}

/** [out, in] of a stored convolution. */
function sizesOf(weights: Weights, dialect: Dialect, layer: string): [number, number] {
  const shape = weights.shape(`${layer}${dialect.separator}${dialect.weight}`, 4);
  return dialect.order === 'OIHW' ? [shape[0]!, shape[1]!] : [shape[3]!, shape[2]!];
}

/** Of so many levels, or of those that there are. */
function layoutOf(weights: Weights, dialect: Dialect, half: HalfNames, count?: number): Layout {
  const { separator, weight, block } = dialect;
  const first = (level: number, at: number) => `${half.block(level, at)}${separator}${block.conv1}`;
  const has = (layer: string) => `${layer}${separator}${weight}`;
  const levels = count ?? weights.count((level) => has(first(level, 0)));
  const blocks = weights.count((at) => has(first(0, at)));
  if (levels === 0) weights.refuse('expected levels of residual blocks');
  const channels = Array.from(
    { length: levels },
    (_, l) => sizesOf(weights, dialect, first(l, 0))[0],
  );
  if (channels.some((extent) => extent % channels[0]! !== 0)) {
    weights.refuse(`expected multiples of ${channels[0]} channels but received [${channels}]`);
  }
  return { channels, blocks };
}

function makeStage(
  maker: Maker,
  to: string,
  half: HalfNames,
  level: number,
  { channels, blocks }: Layout,
  inputs: number,
): void {
  const out = channels[level]!;
  for (let at = 0; at < blocks; ++at) {
    maker.residual(`${to}.blocks.${at}`, half.block(level, at), out, at === 0 ? inputs : out);
    if (half.attention !== undefined && level === channels.length - 1) {
      maker.attention(`${to}.attentions.${at}`, half.attention(at), out);
    }
  }
}

function makeMiddle(maker: Maker, to: string, { middle }: HalfNames, channels: number): void {
  middle.forEach((from, i) => {
    const attends = middle.length === 3 && i === 1;
    if (attends) maker.attention(`${to}.${i}`, from, channels);
    else maker.residual(`${to}.${i}`, from, channels, channels);
  });
}

/** Tensors from codes on the coarsest level to pixels, and the keys of its config. */
function makeDecoder(
  maker: Maker,
  weights: Weights,
  to: string,
  half: HalfNames,
  layout: Layout,
  dialect: Dialect,
) {
  const levels = layout.channels.length;
  const coarsest = layout.channels.at(-1)!;
  const [, codeChannels] = sizesOf(weights, dialect, half.input);
  const [channels] = sizesOf(weights, dialect, half.output);
  maker.convolution(`${to}.input`, half.input, coarsest, codeChannels, true);
  makeMiddle(maker, `${to}.middle`, half, coarsest);
  for (let l = levels - 1; l >= 0; --l) {
    const inputs = layout.channels[Math.min(l + 1, levels - 1)]!;
    makeStage(maker, `${to}.levels.${l}`, half, l, layout, inputs);
    if (half.resample !== undefined && l > 0) {
      const own = layout.channels[l]!;
      maker.convolution(`${to}.levels.${l}.upsample`, half.resample(l), own, own, true);
    }
  }
  maker.norm(`${to}.norm`, half.norm, layout.channels[0]!);
  maker.pixels(`${to}.output`, half.output, channels, layout.channels[0]!);
  return {
    channels,
    config: {
      base_channels: layout.channels[0]!,
      multipliers: layout.channels.map((extent) => extent / layout.channels[0]!),
      decoder_blocks: layout.blocks,
      attention: half.attention !== undefined,
      shortcut: maker.shortcut,
      code_channels: codeChannels,
      norm_groups: 32,
      norm_eps: 1e-6,
    },
  };
}

/** A decoder alone, as a part of another tokenizer. */
export function convDecoder(
  weights: Weights,
  dialect: Dialect,
  to: string,
  names: HalfNames,
  details: BlockDetails,
) {
  const maker = new Maker(dialect, details);
  const layout = layoutOf(weights, dialect, names);
  const made = makeDecoder(maker, weights, to, names, layout, dialect);
  return { ...made, tensors: maker.tensors };
}

/** The config and the tensors of a tokenizer; what its shapes are is read from the weights. */
export function convTokenizer(weights: Weights, names: ConvNames, details: ConvDetails) {
  const { dialect, encoder, decoder } = names;
  const maker = new Maker(dialect, details);
  const layout = layoutOf(weights, dialect, encoder);
  const levels = layout.channels.length;
  const coarsest = layout.channels.at(-1)!;
  const [base, channels] = sizesOf(weights, dialect, encoder.input);
  const [encoded] = sizesOf(weights, dialect, encoder.output);
  const [, codeChannels] = sizesOf(weights, dialect, decoder.input);
  const [codebookSize, codebookDim] =
    names.codebook === undefined ? [2 ** encoded, encoded] : weights.shape(names.codebook, 2);
  const outputKernel = weights.shape(maker.join(encoder.output, dialect.weight), 4)[
    dialect.order === 'OIHW' ? 2 : 0
  ]!;

  const encoderBias = weights.has(maker.join(encoder.input, 'bias'));
  maker.convolution('encoder.input', encoder.input, base, channels, encoderBias);
  for (let l = 0; l < levels; ++l) {
    const inputs = l === 0 ? base : layout.channels[l - 1]!;
    makeStage(maker, `encoder.levels.${l}`, encoder, l, layout, inputs);
    if (encoder.resample !== undefined && l < levels - 1) {
      const own = layout.channels[l]!;
      maker.convolution(`encoder.levels.${l}.downsample`, encoder.resample(l), own, own, true);
    }
  }
  makeMiddle(maker, 'encoder.middle', encoder, coarsest);
  maker.norm('encoder.norm', encoder.norm, coarsest);
  if (outputKernel === 1) maker.product('encoder.output', encoder.output, encoded, coarsest);
  else maker.convolution('encoder.output', encoder.output, encoded, coarsest, true);
  if (encoder.code !== undefined) {
    maker.product('encoder.code', encoder.code, codebookDim!, encoded);
  }
  if (names.codebook !== undefined) {
    maker.tensors.push(copied('codebook.weight', [codebookSize!, codebookDim!], names.codebook));
  }
  if (decoder.code !== undefined) {
    maker.product('decoder.code', decoder.code, codeChannels, codebookDim!);
  }
  const decoderLayout = layoutOf(weights, dialect, decoder, levels);
  const { config } = makeDecoder(maker, weights, 'decoder', decoder, decoderLayout, dialect);
  return {
    config: {
      model_type: 'magnets_tokenizer',
      kind: 'conv',
      sample_shape: [1, ...details.grid.map((extent) => extent * 2 ** (levels - 1))],
      channels,
      ...config,
      encoder_blocks: layout.blocks,
      downsample: encoder.resample === undefined ? 'mean' : 'conv',
      encoder_output_kernel: outputKernel,
      codebook_size: codebookSize,
      codebook_dim: codebookDim,
      normalized_codes: details.normalizedCodes,
      code_type: names.codebook === undefined ? 'bits' : 'vectors',
      ...(details.pixels[0] === 0 ? {} : { pixel_range: details.pixels }),
    },
    tensors: maker.tensors,
  };
}
