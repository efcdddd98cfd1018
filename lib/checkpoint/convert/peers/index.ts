/** Every public model that can be converted, and some that cannot, to be named in a refusal. */

import { halton } from './halton.js';
import { maskbit } from './maskbit.js';
import { maskgit, maskgitTokenizer } from './maskgit.js';
import { titok } from './titok.js';
import { titokTokenizer } from './titok-tokenizer.js';
import { vq16 } from './vq16.js';
import { vqgan } from './vqgan.js';

export const peers = [
  maskgit,
  maskgitTokenizer,
  halton,
  maskbit,
  titok,
  titokTokenizer,
  vqgan,
  vq16,
];

export const others = [
  {
    tensor: /^latent_tokens$/,
    name: "a tokenizer of TiTok or TA-TiTok without MaskGIT's decoder of pixels",
  },
  {
    tensor: /^in_blocks\.0\.norm1\.weight$/,
    name: 'the generator of TiTok S-128, a U-ViT whose layers skip to later ones',
  },
  { tensor: /^decoder\.mid\.block_1\./, name: 'a VQGAN of taming-transformers' },
  { tensor: /^layers\.0\.attention\.query\.weight$/, name: 'a generator of magnets' },
];
