/** The tensors of a tokenizer of convolutions, for every public code that has one: they differ in names and details alone. */

import { Maker } from './conv-maker.js';
import type { BlockDetails, ConvDetails, ConvNames, Dialect, HalfNames } from './conv-names.js';
import { copied, type Weights } from './translation.js';

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

/** Tensors from pixels to rows on the coarsest level. */
function makeEncoder(
  maker: Maker,
  weights: Weights,
  half: HalfNames,
  layout: Layout,
  dialect: Dialect,
) {
  const levels = layout.channels.length;
  const coarsest = layout.channels.at(-1)!;
  const [base, channels] = sizesOf(weights, dialect, half.input);
  const [encoded] = sizesOf(weights, dialect, half.output);
  const outputShape = weights.shape(maker.join(half.output, dialect.weight), 4);
  const outputKernel = outputShape[dialect.order === 'OIHW' ? 2 : 0]!;
  const inputBias = weights.has(maker.join(half.input, 'bias'));
  maker.convolution('encoder.input', half.input, base, channels, inputBias);
  for (let l = 0; l < levels; ++l) {
    const inputs = l === 0 ? base : layout.channels[l - 1]!;
    makeStage(maker, `encoder.levels.${l}`, half, l, layout, inputs);
    if (half.resample !== undefined && l < levels - 1) {
      const own = layout.channels[l]!;
      maker.convolution(`encoder.levels.${l}.downsample`, half.resample(l), own, own, true);
    }
  }
  makeMiddle(maker, 'encoder.middle', half, coarsest);
  maker.norm('encoder.norm', half.norm, coarsest);
  if (outputKernel === 1) maker.product('encoder.output', half.output, encoded, coarsest);
  else maker.convolution('encoder.output', half.output, encoded, coarsest, true);
  return { channels, encoded, outputKernel };
}

/** The config and the tensors of a tokenizer; what its shapes are is read from the weights. */
export function convTokenizer(weights: Weights, names: ConvNames, details: ConvDetails) {
  const { dialect, encoder, decoder } = names;
  const maker = new Maker(dialect, details);
  const layout = layoutOf(weights, dialect, encoder);
  const levels = layout.channels.length;
  const { channels, encoded, outputKernel } = makeEncoder(maker, weights, encoder, layout, dialect);
  const [, codeChannels] = sizesOf(weights, dialect, decoder.input);
  const [codebookSize, codebookDim] =
    names.codebook === undefined ? [2 ** encoded, encoded] : weights.shape(names.codebook, 2);
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
