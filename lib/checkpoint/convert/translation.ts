/** How a public model becomes one of ours: every tensor with what it is made of, as data, before anything is read. */

import { MagnetsError } from '../../errors.js';
import type { Origin } from '../origin.js';
import type { TensorEntry } from '../schema.js';
import type { Group } from './source.js';

/** A tensor of ours and what it is made of. */
export interface MadeTensor extends TensorEntry {
  /** Tensors of the source, in the order in which `make` takes their values. */
  readonly from: readonly TensorEntry[];
  /** Fills `target`, of the tensor's size, whatever was in it. */
  make(target: Float32Array, ...values: Float32Array[]): void;
}

/** Whose tokens a generator makes and a tokenizer shows: two of as many codes need not be of the same. */
export type TokensOf = "MaskGIT's VQGAN" | "LlamaGen's VQ-16" | "MaskBit's VQGAN+" | 'TiTok';

export interface Translation {
  readonly origin: Origin;
  readonly tokens: TokensOf;
  /** config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly MadeTensor[];
  /** Tensors of the source that nothing is made of, each with the reason. A tensor that is in neither list is refused. */
  readonly dropped: readonly { readonly name: string; readonly why: string }[];
  /** Tensors that have to hold the same values, since only the first of each pair is taken. */
  readonly same: readonly (readonly [string, string])[];
  /** What differs from the source, for the model card. */
  readonly notes: readonly string[];
}

/** What the caller says beside the file. */
export interface Hints {
  /** Of the tokenizer that is converted with it. */
  readonly codebookSize?: number;
  /** Of a model of another size than the released ones, where its weights do not tell. */
  readonly heads?: number;
  /** Tokens of a picture, [height, width]. */
  readonly grid?: readonly [number, number];
}

/** The tensors of a source that belong together, asked by name. */
export class Weights {
  constructor(
    private readonly path: string,
    private readonly group: Group,
  ) {}

  refuse(message: string): never {
    throw new MagnetsError('ERR_CHECKPOINT', `${this.path}: ${message}`);
  }

  has(name: string): boolean {
    return this.group.has(name);
  }

  names(): string[] {
    return [...this.group.keys()];
  }

  /** The shape of a tensor that has to be there, with so many dimensions. */
  shape<const D extends number>(name: string, dimensions: D): number[] & { length: D } {
    const shape = this.group.get(name)?.shape;
    if (shape?.length === dimensions && shape.every((extent) => extent > 0)) {
      return shape as number[] & { length: D };
    }
    const received = shape === undefined ? 'nothing' : `[${shape}]`;
    return this.refuse(
      `${name}: expected a tensor of ${dimensions} dimensions but received ${received}`,
    );
  }

  /** How many of `name(0)`, `name(1)`, … there are. */
  count(name: (index: number) => string): number {
    let count = 0;
    while (this.has(name(count))) ++count;
    return count;
  }

  /** Attention heads of a hidden size that `name` has: those that are said, or of a released size. */
  heads(
    name: string,
    size: number,
    released: Readonly<Record<number, number>>,
    said: number | undefined,
  ): number {
    const heads = said ?? released[size];
    if (heads !== undefined && size % heads === 0) return heads;
    const known = Object.keys(released).join(', ');
    return this.refuse(
      `${name}: expected a hidden size of ${known}, or --heads that divide it, but received ${size}`,
    );
  }

  /** The side of a square of so many tokens. */
  side(name: string, tokens: number): number {
    const side = Math.round(Math.sqrt(tokens));
    if (tokens < 1 || side * side !== tokens) {
      this.refuse(`${name}: expected positions of a square of tokens but received ${tokens}`);
    }
    return side;
  }
}

/** A public model that can be converted. */
export interface Peer {
  readonly part: 'generator' | 'tokenizer';
  readonly format: 'torch' | 'flax';
  /** A name that only this model's tensors have. */
  recognizes(names: ReadonlySet<string>): boolean;
  translate(weights: Weights, hints: Hints): Translation;
}

/** @throws MagnetsError ERR_CHECKPOINT for a missing tensor, one of another shape, and one that nothing is made of. */
export function checkTranslation(path: string, group: Group, translation: Translation): void {
  const refuse = (message: string): never => {
    throw new MagnetsError('ERR_CHECKPOINT', `${path}: ${message}`);
  };
  const used = new Set(translation.dropped.map(({ name }) => name));
  for (const { name, shape } of translation.tensors.flatMap(({ from }) => from)) {
    const received = group.get(name)?.shape;
    if (received === undefined || received.join() !== shape.join()) {
      const what = received === undefined ? 'nothing' : `[${received}]`;
      refuse(`${name}: expected a tensor [${shape}] but received ${what}`);
    }
    used.add(name);
  }
  for (const [first, second] of translation.same) {
    const [a, b] = [group.get(first), group.get(second)];
    if (a?.shape.join() !== b?.shape.join()) {
      refuse(`${second}: expected the same as ${first}, [${a?.shape}], but received [${b?.shape}]`);
    }
    used.add(second);
  }
  const extra = [...group.keys()].find((name) => !used.has(name));
  if (extra !== undefined)
    refuse(`${extra}: expected no such tensor in ${translation.origin.name}`);
}
