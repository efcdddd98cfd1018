/** What tests of conversion share: the public files of the fixtures, and their tensors before and after. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '../../lib/checkpoint/convert/numbers.js';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import { parseSafetensors, publicFixture } from './fixtures.js';
import { valuesOf } from './public-files.js';

export const files = {
  maskgit: publicFixture('maskgit-flax-tiny/maskgit_checkpoint'),
  maskgitTokenizer: publicFixture('maskgit-flax-tiny/tokenizer_checkpoint'),
  halton: publicFixture('halton-tiny/model.pth'),
  haltonOdd: publicFixture('halton-odd/model.pth'),
  vq16: publicFixture('vq16-tiny/model.pt'),
  port: publicFixture('maskgit-vqgan-tiny/pytorch_model.bin'),
  maskbit: publicFixture('maskbit-tiny/tokenizer.safetensors'),
  titok: publicFixture('titok-generator-tiny/model.safetensors'),
  titokTokenizer: publicFixture('titok-tokenizer-tiny/model.safetensors'),
};

function floatsOf({ dtype, data }: ReturnType<typeof parseSafetensors>[string]): Float32Array {
  if (dtype === 'I8') throw new TypeError('Expected a tensor of floats');
  const values = new Float32Array(data.byteLength / (dtype === 'F32' ? 4 : 2));
  decode(dtype, new Uint8Array(data), values);
  return values;
}

export interface Values {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The tensors of a folder that was written. */
export function written(folder: string): Map<string, Values> {
  const file = join(folder, 'model.safetensors');
  const tensors = parseSafetensors(file, readFileSync(file));
  return new Map(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      { shape: tensor.shape, values: floatsOf(tensor) },
    ]),
  );
}

/** The tensors of a public file. */
export async function stored(path: string, group = ''): Promise<Map<string, Values>> {
  const source = await openSource(path);
  const tensors = new Map<string, Values>();
  for (const [name, tensor] of source.groups.get(group)!) {
    if (tensor.dtype.startsWith('I')) continue;
    tensors.set(name, { shape: tensor.shape, values: await valuesOf(tensor) });
  }
  await closeSource(source);
  return tensors;
}

/** The shapes of a public file. */
export async function shapesOf(path: string): Promise<Record<string, readonly number[]>> {
  const source = await openSource(path);
  await closeSource(source);
  return Object.fromEntries([...source.groups.get('')!].map(([name, { shape }]) => [name, shape]));
}

/** Without what is undefined. */
export function definedOf<T>(entries: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, T] => entry[1] !== undefined),
  );
}

export const configOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

/** A small Halton-MaskGIT of zeros, with some tensors changed. */
export function haltonShapes(changes: Record<string, number[] | undefined> = {}) {
  const layer = 'transformer.layers.0';
  const shapes: Record<string, number[] | undefined> = {
    'cls_emb.weight': [6, 48],
    'tok_emb.weight': [41, 48],
    'pos_emb.weight': [16, 48],
    'reg_tokens.weight': [1, 48],
    [`${layer}.mlp.1.weight`]: [288, 48],
    [`${layer}.mlp.1.bias`]: [288],
    [`${layer}.ln1.weight`]: [48],
    [`${layer}.ln2.weight`]: [48],
    [`${layer}.attn.wq.weight`]: [48, 48],
    [`${layer}.attn.wk.weight`]: [48, 48],
    [`${layer}.attn.wv.weight`]: [48, 48],
    [`${layer}.attn.wo.weight`]: [48, 48],
    [`${layer}.ff.w1.weight`]: [64, 48],
    [`${layer}.ff.w2.weight`]: [48, 64],
    [`${layer}.ff.w3.weight`]: [64, 48],
    'last_norm.norm_final.weight': [48],
    'last_norm.norm_final.bias': [48],
    'last_norm.mlp.1.weight': [96, 48],
    'last_norm.mlp.1.bias': [96],
    'head.weight': [41, 48],
    'head.bias': [41],
    ...changes,
  };
  return definedOf(shapes);
}
