/** Every public model that can be converted, and some that cannot, to be named in a refusal. */

import { halton } from './halton.js';
import { maskbit } from './maskbit.js';
import { maskgit, maskgitTokenizer } from './maskgit.js';
import { vq16 } from './vq16.js';
import { vqgan } from './vqgan.js';

export const peers = [maskgit, maskgitTokenizer, halton, maskbit, vqgan, vq16];

export const others = [
  { tensor: /^latent_tokens$/, name: 'a tokenizer of TiTok' },
  {
    tensor: /^(model\.embeddings\.word_embeddings|in_blocks\.0\.norm1)\.weight$/,
    name: 'a generator of TiTok',
  },
  { tensor: /^decoder\.mid\.block_1\./, name: 'a VQGAN of taming-transformers' },
  { tensor: /^layers\.0\.attention\.query\.weight$/, name: 'a generator of magnets' },
];
