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

export interface ConvDetails {
  /** Whether the convolutions of the residual blocks have biases. */
  readonly biases: boolean;
  /**
   * Where the number of channels changes: a product of the block's input that is added, or (MaskGIT's) one of the main
   * path's own output h, y = h + Wh, which is folded into the second convolution.
   */
  readonly shortcut: 'projection' | 'folded';
  /** Pixels of the source's own code. */
  readonly pixels: readonly [0 | -1, 1];
  /** Tokens are the nearest in direction, and codes have length 1. */
  readonly normalizedCodes: boolean;
  readonly grid: readonly [number, number];
}

/** [out, height, width, in] of a stored convolution. */
function reorder(
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
    private readonly details: ConvDetails,
  ) {}

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

/** The config and the tensors of a tokenizer; what its shapes are is read from the weights. */
export function convTokenizer(weights: Weights, names: ConvNames, details: ConvDetails) {
  const { dialect, encoder, decoder } = names;
  const maker = new Maker(dialect, details);
  const { block } = dialect;
  /** [out, in] of a stored convolution. */
  const sizes = (layer: string): [number, number] => {
    const shape = weights.shape(maker.join(layer, dialect.weight), 4);
    return dialect.order === 'OIHW' ? [shape[0]!, shape[1]!] : [shape[3]!, shape[2]!];
  };
  const firstOf = (half: HalfNames, level: number, at: number) =>
    maker.join(half.block(level, at), block.conv1);
  const blocksOf = (half: HalfNames, level: number) =>
    weights.count((at) => maker.join(firstOf(half, level, at), dialect.weight));

  const [base, channels] = sizes(encoder.input);
  const levels = weights.count((level) => maker.join(firstOf(encoder, level, 0), dialect.weight));
  const levelChannels = Array.from({ length: levels }, (_, l) => sizes(firstOf(encoder, l, 0))[0]);
  const [encoderBlocks, decoderBlocks] = [blocksOf(encoder, 0), blocksOf(decoder, 0)];
  if (levels === 0 || decoderBlocks === 0) weights.refuse('expected levels of residual blocks');
  if (levelChannels.some((extent) => extent % base !== 0)) {
    weights.refuse(`expected multiples of ${base} channels but received [${levelChannels}]`);
  }
  const coarsest = levelChannels.at(-1)!;
  const [encoded] = sizes(encoder.output);
  const [, codeChannels] = sizes(decoder.input);
  const [codebookSize, codebookDim] =
    names.codebook === undefined ? [2 ** encoded, encoded] : weights.shape(names.codebook, 2);
  const outputKernel = weights.shape(maker.join(encoder.output, dialect.weight), 4)[
    dialect.order === 'OIHW' ? 2 : 0
  ]!;

  const middle = (half: 'encoder' | 'decoder') =>
    names[half].middle.forEach((from, i) => {
      const to = `${half}.middle.${i}`;
      const attends = names[half].middle.length === 3 && i === 1;
      if (attends) maker.attention(to, from, coarsest);
      else maker.residual(to, from, coarsest, coarsest);
    });
  const level = (half: 'encoder' | 'decoder', l: number, blocks: number, inputs: number) => {
    const out = levelChannels[l]!;
    const { attention } = names[half];
    for (let at = 0; at < blocks; ++at) {
      const to = `${half}.levels.${l}`;
      maker.residual(`${to}.blocks.${at}`, names[half].block(l, at), out, at === 0 ? inputs : out);
      if (attention !== undefined && l === levels - 1) {
        maker.attention(`${to}.attentions.${at}`, attention(at), out);
      }
    }
  };

  const encoderBias = weights.has(maker.join(encoder.input, 'bias'));
  maker.convolution('encoder.input', encoder.input, base, channels, encoderBias);
  for (let l = 0; l < levels; ++l) {
    level('encoder', l, encoderBlocks, l === 0 ? base : levelChannels[l - 1]!);
    if (encoder.resample !== undefined && l < levels - 1) {
      const from = encoder.resample(l);
      maker.convolution(
        `encoder.levels.${l}.downsample`,
        from,
        levelChannels[l]!,
        levelChannels[l]!,
        true,
      );
    }
  }
  middle('encoder');
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
  maker.convolution('decoder.input', decoder.input, coarsest, codeChannels, true);
  middle('decoder');
  for (let l = levels - 1; l >= 0; --l) {
    const inputs = levelChannels[Math.min(l + 1, levels - 1)]!;
    level('decoder', l, decoderBlocks, inputs);
    if (decoder.resample !== undefined && l > 0) {
      const from = decoder.resample(l);
      maker.convolution(
        `decoder.levels.${l}.upsample`,
        from,
        levelChannels[l]!,
        levelChannels[l]!,
        true,
      );
    }
  }
  maker.norm('decoder.norm', decoder.norm, base);
  maker.pixels('decoder.output', decoder.output, channels, base);

  const config = {
    model_type: 'magnets_tokenizer',
    kind: 'conv',
    sample_shape: [1, ...details.grid.map((extent) => extent * 2 ** (levels - 1))],
    channels,
    base_channels: base,
    multipliers: levelChannels.map((extent) => extent / base),
    encoder_blocks: encoderBlocks,
    decoder_blocks: decoderBlocks,
    attention: encoder.attention !== undefined,
    shortcut: details.shortcut === 'folded' ? 'none' : 'projection',
    downsample: encoder.resample === undefined ? 'mean' : 'conv',
    encoder_output_kernel: outputKernel,
    codebook_size: codebookSize,
    codebook_dim: codebookDim,
    code_channels: codeChannels,
    normalized_codes: details.normalizedCodes,
    code_type: names.codebook === undefined ? 'bits' : 'vectors',
    ...(details.pixels[0] === 0 ? {} : { pixel_range: details.pixels }),
    norm_groups: 32,
    norm_eps: 1e-6,
  };
  return { config, tensors: maker.tensors };
}
