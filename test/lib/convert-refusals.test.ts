/** What cannot be converted is refused: by the name of the file and the tensor, and nothing is left behind. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { convert } from '../../lib/index.js';
import { definedOf, files, haltonShapes, shapesOf } from './converting.js';
import { publicFixture } from './fixtures.js';
import { Raw, sparseTorchFile, temporaryFolder, writePieces } from './public-files.js';

type Shapes = Record<string, number[] | undefined>;

/** A folder for a file, and a check that it is refused. */
function refusals(t: Test) {
  const folder = temporaryFolder(t);
  const file = (...model: Parameters<typeof sparseTorchFile>) =>
    writePieces(join(folder, 'model.pth'), sparseTorchFile(...model));
  const refused = async (
    name: string,
    path: string,
    message: RegExp,
    options: Partial<Parameters<typeof convert>[1]> = {},
  ) => {
    await t.rejects(
      convert(path, { to: join(folder, 'to'), heads: 4, ...options }),
      { code: 'ERR_CHECKPOINT', message },
      name,
    );
    t.notOk(
      readdirSync(folder).some((name) => name.startsWith('to')),
      `${name}: leaves nothing`,
    );
  };
  return { folder, file, refused };
}

t.test('shapes', async (t) => {
  const { file, refused } = refusals(t);
  const changed = (name: string, changes: Shapes, message: RegExp) =>
    refused(name, file(haltonShapes(changes)), message);

  await changed(
    'a missing tensor',
    { 'cls_emb.bias': [1], 'last_norm.norm_final.bias': undefined },
    /model\.pth: last_norm\.norm_final\.bias: expected a tensor \[48\] but received nothing/,
  );
  await changed(
    'another shape',
    { 'transformer.layers.0.attn.wo.weight': [48, 47] },
    /attn\.wo\.weight: expected a tensor \[48,48\] but received \[48,47\]/,
  );
  await changed(
    'another rank',
    { 'tok_emb.weight': [41, 4, 12] },
    /tok_emb\.weight: expected a tensor of 2 dimensions but received \[41,4,12\]/,
  );
  await changed(
    'more tensors',
    { 'transformer.layers.0.attn.wq.bias': [48] },
    /attn\.wq\.bias: expected no such tensor in Halton-MaskGIT/,
  );
  await changed(
    'two registers',
    { 'reg_tokens.weight': [2, 48] },
    /reg_tokens\.weight: expected a tensor \[1,48\]/,
  );
  await changed(
    'no square',
    { 'pos_emb.weight': [17, 48] },
    /pos_emb\.weight: expected positions of a square/,
  );
  await changed(
    'a head of its own',
    { 'head.weight': [41, 40] },
    /head\.weight: expected the same as tok_emb\.weight/,
  );
  await changed(
    'too many heads',
    { 'transformer.layers.0.attn.wq.weight': [44, 48] },
    /expected rows for 4 heads but received 44/,
  );
  await changed(
    'nothing known',
    { 'cls_emb.weight': undefined },
    /expected a model that can be converted but found 20 tensors such as tok_emb\.weight/,
  );
  await refused(
    'unknown heads',
    file(haltonShapes()),
    /384, 512, 768, 1024, or --heads, but received 48/,
    { heads: undefined },
  );
  await refused(
    'whole numbers',
    file(haltonShapes(), undefined, 'LongStorage'),
    /tok_emb\.weight: .*received I64|expected floating-point numbers but received I64/,
  );
});

t.test('files that hold no model, or another one', async (t) => {
  const { folder, file, refused } = refusals(t);
  await refused('no file', join(folder, 'none'), /expected a readable file/);
  await refused(
    'two models',
    file(haltonShapes(), (state) => ({ a: state, b: new Raw('}'), c: { ...state } })),
    /expected one model but found (a, c|c, a)/,
  );
  await refused(
    'a tokenizer of TiTok without a decoder of pixels',
    file({ latent_tokens: [4, 4] }),
    /it looks like a tokenizer of TiTok or TA-TiTok without MaskGIT's decoder of pixels/,
  );
  await refused(
    'a U-ViT of TiTok',
    file({ 'in_blocks.0.norm1.weight': [4] }),
    /it looks like the generator of TiTok S-128, a U-ViT/,
  );
});

t.test("TiTok's tokenizer", async (t) => {
  const { file, refused } = refusals(t);
  const latentTokens = async (changes: Shapes) =>
    file(definedOf({ ...(await shapesOf(files.titokTokenizer)), ...changes }));
  await refused(
    'a tokenizer of TiTok of another size, without --heads',
    files.titokTokenizer,
    /latent_tokens: expected a hidden size of 512, 768, 1024, or --heads that divide it, but received 32/,
    { heads: undefined },
  );
  await refused(
    'patches of another size than what is made of them',
    await latentTokens({ 'encoder.patch_embed.weight': [32, 3, 8, 8] }),
    /patch_embed\.weight: expected patches of the 3 x 4 x 4 values .* but received 3 x 8 x 8/,
  );
  await refused(
    'patches that are no square',
    await latentTokens({ 'encoder.positional_embedding': [18, 32] }),
    /encoder\.positional_embedding: expected positions of a square/,
  );
  await refused(
    'another mask',
    await latentTokens({ 'decoder.mask_token': [1, 2, 32] }),
    /decoder\.mask_token: expected a tensor \[1,1,32\] but received \[1,2,32\]/,
  );
  await refused(
    'other latents in the decoder',
    await latentTokens({ 'decoder.latent_token_positional_embedding': [11, 32] }),
    /decoder\.latent_token_positional_embedding: expected a tensor \[12,32\]/,
  );
  await refused(
    'more in the decoder',
    await latentTokens({ 'decoder.conv_out.weight': [3, 3, 3, 3] }),
    /decoder\.conv_out\.weight: expected no such tensor in TiTok's tokenizer/,
  );
  await refused(
    'no levels of pixels',
    await latentTokens({ 'pixel_decoder.up.0.block.0.conv1.weight': undefined }),
    /expected levels of residual blocks/,
  );
});

t.test("TiTok's and MaskBit's generators", async (t) => {
  const { file, refused } = refusals(t);
  await refused(
    'a MaskBit of another size, without --heads',
    publicFixture('maskbit-tiny/maskbit_generator_6bit.bin'),
    /expected a hidden size of 1024, or --heads that divide it, but received 48/,
    { heads: undefined },
  );
  await refused(
    'a TiTok of another size, without --heads',
    files.titok,
    /word_embeddings\.weight: expected a hidden size of 768, or --heads that divide it, but received 48/,
    { heads: undefined },
  );
  const bert = async (changes: Shapes) => {
    return file(definedOf({ ...(await shapesOf(files.titok)), ...changes }));
  };
  await refused(
    'a TiTok of more codes than ids',
    await bert({ 'model.lm_head.weight': [46, 48] }),
    /word_embeddings\.weight: expected more rows than the 46 codes and 2/,
  );
  await refused(
    'a TiTok with one segment',
    await bert({ 'model.embeddings.token_type_embeddings.weight': [1, 48] }),
    /token_type_embeddings\.weight: expected a tensor \[2,48\] but received \[1,48\]/,
  );
  await refused(
    'a TiTok of the class alone',
    await bert({ 'model.embeddings.position_embeddings.weight': [1, 48] }),
    /position_embeddings\.weight: expected more rows than the class's/,
  );
  await refused(
    'a BERT with a pooler',
    await bert({ 'model.pooler.dense.weight': [48, 48] }),
    /model\.pooler\.dense\.weight: expected no such tensor in TiTok's generator/,
  );
});

t.test('a generator and a tokenizer that do not fit', async (t) => {
  const { refused } = refusals(t);
  await refused(
    'a tokenizer for a generator',
    files.vq16,
    /expected a generator but it is a tokenizer/,
    { tokenizer: files.vq16 },
  );
  await refused(
    'a generator for a tokenizer',
    files.halton,
    /expected a tokenizer but it is a generator/,
    { tokenizer: files.halton },
  );
  await refused(
    'a tokenizer of other codes',
    files.halton,
    /expected 40 codes, as the generator has, but it has 64/,
    { tokenizer: files.maskbit },
  );
  await refused(
    'a tokenizer of as many codes that are others',
    files.halton,
    /expected a tokenizer for tokens of LlamaGen's VQ-16, .* but it is for those of MaskGIT's VQGAN/,
    { tokenizer: files.port },
  );
  await refused('MaskGIT of unknown codes', files.maskgit, /expected 2025 rows, or a tokenizer/);
  await refused(
    'MaskGIT of fewer ids than codes',
    files.maskgit,
    /expected more rows than the 64 codes/,
    { tokenizer: files.maskbit },
  );
});

t.test('values', async (t) => {
  const { folder, file, refused } = refusals(t);
  /** A model of zeros, but for the first value of one tensor. */
  const valued = (name: string, value: number, shapes: Shapes = {}) => {
    const model = haltonShapes(shapes);
    const path = file(model);
    const bytes = readFileSync(path);
    const entry = `archive/data/${Object.keys(model).indexOf(name)}`;
    const at = bytes.indexOf(entry);
    const extra = bytes.readUInt16LE(at - 2);
    bytes.writeFloatLE(value, at + entry.length + extra);
    writeFileSync(path, bytes);
    return path;
  };
  const biased = (value: number) => valued('head.bias', value, { 'head.weight': undefined });
  await refused(
    'not a number',
    biased(Number.NaN),
    /head\.bias: expected finite values but received NaN/,
  );
  await refused('infinite', biased(Number.NEGATIVE_INFINITY), /head\.bias: .* received -Infinity/);
  await refused(
    'too large for f16',
    biased(70000),
    /head\.bias: expected values of at most 65504, as f16 has, but received 70000/,
    { weights: 'f16' },
  );
  await convert(biased(70000), { to: join(folder, 'bf16'), heads: 4, weights: 'bf16' });

  await refused(
    'a head that is tied in shape alone',
    valued('tok_emb.weight', 3),
    /head\.weight: expected the same values as tok_emb\.weight/,
  );
});
