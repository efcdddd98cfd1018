/** A checkpoint's configs as the engine takes them, and the engine's list of their tensors. */

import type { GeneratorConfig, TokenizerConfig } from '../checkpoint/config.js';
import type { TensorListing } from '../checkpoint/schema.js';
import { tokenCount } from '../plan/shape.js';
import { classRows, registerId } from '../plan/vocabulary.js';
import { type NativeGeneratorConfig, type NativeTokenizerConfig, native } from './native.js';

export function nativeGeneratorConfig(config: GeneratorConfig): NativeGeneratorConfig {
  return {
    hiddenSize: config.hiddenSize,
    layers: config.layers,
    heads: config.heads,
    headDim: config.headDim,
    intermediateSize: config.intermediateSize,
    normPlace: config.normPlace,
    activation: config.activation,
    normEps: config.normEps,
    normKind: config.normKind,
    mlpGate: config.mlpGate,
    qkNorm: config.qkNorm,
    modulation: config.modulation,
    biases: config.biases,
    embeddingNorm: config.embeddingNorm,
    head: config.head,
    tied: config.tied,
    codebookSize: config.codebookSize,
    vocabSize: config.vocabSize,
    tokenCount: tokenCount(config),
    classRows: classRows(config),
    registerId: registerId(config),
  };
}

export function nativeTokenizerConfig(config: TokenizerConfig): NativeTokenizerConfig {
  return { ...config };
}

/** The engine's list, which files are checked against: names and shapes of tensors are written down in C++ alone. */
export const engineTensors: TensorListing = {
  generator: (config) => native().generatorTensors(nativeGeneratorConfig(config)),
  tokenizer: (config) => native().tokenizerTensors(nativeTokenizerConfig(config)),
};
