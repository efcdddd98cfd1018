/** Checks the tensors of a file against the list of those that the engine needs for a config. */

import { cut, MagnetsError } from '../errors.js';
import type { GeneratorConfig, TokenizerConfig } from './config.js';

/** The name and shape of one tensor. */
export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A tensor that a model needs. One of any grain may be bytes, with a tensor of scales, one for each row. */
export interface ListedTensor extends TensorEntry {
  readonly grain: 'any' | 'fine';
}

/** Lists every tensor of a model; the engine's is `engineTensors` of lib/runtime. */
export interface TensorListing {
  generator(config: GeneratorConfig): readonly ListedTensor[];
  tokenizer(config: TokenizerConfig): readonly ListedTensor[];
}

/** The tensor of the scales of a weight that is bytes. */
export function scaleOf({ name, shape }: TensorEntry): TensorEntry {
  return { name: name.replace(/weight$/, 'scale'), shape: [shape[0]!] };
}

/**
 * Tensors without a dtype are those of a file that is yet to be written.
 * @throws MagnetsError ERR_CHECKPOINT for a missing tensor, one of another shape or dtype, and one that is not in the list.
 */
export function checkTensors(
  file: string,
  tensors: Readonly<Record<string, Pick<TensorEntry, 'shape'> & { readonly dtype?: string }>>,
  expected: readonly ListedTensor[],
): void {
  const names = new Set<string>();
  const check = ({ name, shape }: TensorEntry, dtypes?: string) => {
    const received = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    const refuse = (expected: string, received: string | undefined) => {
      const message = `${file}: ${name}: expected ${expected} but received ${received ?? 'nothing'}`;
      throw new MagnetsError('ERR_CHECKPOINT', message);
    };
    if (`${received?.shape}` !== `${shape}`) {
      refuse(`a tensor [${shape}]`, received && `[${received.shape}]`);
    }
    const dtype = received?.dtype;
    if (dtype !== undefined && dtypes?.includes(dtype) === false) refuse(dtypes, dtype);
    names.add(name);
    return dtype;
  };
  for (const entry of expected) {
    const dtype = check(entry, entry.grain === 'fine' ? 'F32, F16 or BF16' : undefined);
    if (dtype === 'I8') check(scaleOf(entry), 'F32');
  }
  const extra = Object.keys(tensors).find((name) => !names.has(name));
  if (extra !== undefined) {
    throw new MagnetsError('ERR_CHECKPOINT', `${file}: ${cut(extra)}: expected no such tensor`);
  }
}
