/** Checks the tensors of a file against the list of those that the engine needs for a config. */

import { cut, MagnetsError } from '../errors.js';
import type { GeneratorConfig, TokenizerConfig } from './config.js';

/** The name and shape of one tensor. */
export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Lists every tensor of a model; the engine's is `engineTensors` of lib/runtime. */
export interface TensorListing {
  generator(config: GeneratorConfig): readonly TensorEntry[];
  tokenizer(config: TokenizerConfig): readonly TensorEntry[];
}

/** @throws MagnetsError ERR_CHECKPOINT for a missing tensor, one of another shape, and one that is not in the list. */
export function checkTensors(
  file: string,
  tensors: Readonly<Record<string, Pick<TensorEntry, 'shape'>>>,
  expected: readonly TensorEntry[],
): void {
  for (const { name, shape } of expected) {
    const received = Object.hasOwn(tensors, name) ? `[${tensors[name]!.shape}]` : 'nothing';
    if (received !== `[${shape}]`) {
      const message = `${file}: ${name}: expected a tensor [${shape}] but received ${received}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    }
  }
  const names = new Set(expected.map(({ name }) => name));
  const extra = Object.keys(tensors).find((name) => !names.has(name));
  if (extra !== undefined) {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: ${cut(extra)}: expected no such tensor`);
  }
}
