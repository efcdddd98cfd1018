/** Labels and tokens as callers give them, and the ids that the engine knows them by. */

import type { GeneratorConfig } from '../checkpoint/config.js';
import { elements, isList, listed, wrongType, wrongValue } from '../errors.js';
import { mostSamples } from '../plan/plan.js';
import { tokenCount } from '../plan/shape.js';
import { classId, codeId, maskId } from '../plan/vocabulary.js';
import { isDataOf, readTensor, Tensor } from '../tensor.js';

/** A class by name or number (0 .. K - 1); null is no class. */
export type Label = string | number | null;

/** Tokens [count, N], -1 where masked. */
export type GivenTokens = Tensor<'int32'> | Int32Array | readonly (readonly number[])[];

/** The labels as they are now. @throws TypeError, RangeError */
export function readLabels(labels: unknown): readonly Label[] {
  if (!isList(labels) || labels.length === 0) {
    throw wrongType('labels', 'a list of at least one label', labels);
  }
  return elements<Label>('labels', labels, mostSamples);
}

/** [labels] what the engine knows them by: ids of the vocabulary, or rows of the class table. @throws TypeError, RangeError */
export function labelIds(config: GeneratorConfig, labels: readonly Label[]): Int32Array {
  return Int32Array.from(labels, (label) => {
    const index = typeof label === 'string' ? config.classLabels.indexOf(label) : label;
    if (index === null) return classId(config, null);
    if (typeof index !== 'number') throw wrongType('label', 'a class name, number or null', label);
    if (!Number.isInteger(index) || index < 0 || index >= config.classes) {
      const names = config.classLabels.length > 0 ? `one of ${listed(config.classLabels)} or ` : '';
      throw wrongValue('label', `${names}a number below ${config.classes}`, label);
    }
    return classId(config, index);
  });
}

/** Each form of tokens as a tensor; {@link tokenIds} checks that it is [count, N]. @throws TypeError, RangeError */
export function readTokens(config: GeneratorConfig, tokens: GivenTokens): Tensor<'int32'> {
  const length = tokenCount(config);
  const expected = `an int32 tensor, an Int32Array or lists, [count, ${length}],`;
  if (isDataOf('int32', tokens)) {
    if (tokens.length % length !== 0) throw wrongValue('tokens', expected, tokens.length);
    return new Tensor('int32', tokens, [tokens.length / length, length]);
  }
  if (!isList(tokens)) return readTensor('tokens', expected, 'int32', tokens);
  const lists = elements<unknown>('tokens', tokens, mostSamples).map((list) => {
    const ids =
      isList(list) && list.length === length ? elements<number>('tokens', list, length) : [];
    const sound = ids.every((id) => Number.isInteger(id) && Math.abs(id) < 2 ** 31);
    if (ids.length !== length || !sound) throw wrongValue('tokens', expected, list);
    return ids;
  });
  return new Tensor('int32', Int32Array.from(lists.flat()), [lists.length, length]);
}

/**
 * [count, sub-tokens] vocabulary ids of tokens [count, N], and 1 for those that are masked (-1).
 * @throws TypeError, RangeError for other tokens than this model's.
 */
export function tokenIds(
  config: GeneratorConfig,
  tokens: Tensor<'int32'>,
  count: number,
): { ids: Int32Array; masked: Uint8Array } {
  const expected = `an int32 tensor [${count},${tokenCount(config)}]`;
  const { data, dims } = readTensor('tokens', expected, 'int32', tokens);
  if (dims.join() !== `${count},${tokenCount(config)}`) throw wrongValue('tokens', expected, dims);
  const wrong = data.find((token) => token < -1 || token >= config.codebookSize);
  if (wrong !== undefined) {
    throw wrongValue('tokens', `-1 or numbers below ${config.codebookSize}`, wrong);
  }
  const mask = maskId(config);
  const { subTokens } = config;
  const ids = new Int32Array(data.length * subTokens);
  const masked = new Uint8Array(ids.length);
  for (let i = 0; i < ids.length; ++i) {
    const token = data[Math.floor(i / subTokens)]!;
    ids[i] = token === -1 ? mask : codeId(config, token, i % subTokens);
    masked[i] = token === -1 ? 1 : 0;
  }
  return { ids, masked };
}
