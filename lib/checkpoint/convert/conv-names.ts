/** What public codes call the parts of a tokenizer of convolutions, and in which they differ. */

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
