/** What holds for every kind of tokenizer, with random weights. */

import type { Test } from 'tap';
import type { TokenizerConfig } from '../../lib/checkpoint/config.js';
import { native } from '../../lib/runtime/native.js';
import { Tokenizer } from '../../lib/runtime/tokenizer.js';
import { Tensor } from '../../lib/tensor.js';

/**
 * Three pictures of 12 x 20 pixels become `count` tokens each, and pictures again, whatever else is in the batch.
 * Resolves with the FLOPs of one.
 */
export async function checkTokenizing(t: Test, config: TokenizerConfig, count: number) {
  const device = native().openCpu(2, '');
  const tokenizer = new Tokenizer(
    config,
    await device.loadTokenizer(config, { seed: 3 }, 'f32'),
    8,
  );
  const size = 12 * 20 * 3;
  const noise = Float32Array.from({ length: 3 * size }, (_, i) => ((i * 7919) % 1009) / 1009);
  const all = await tokenizer.tokenize(new Tensor('float32', noise, [3, 12, 20, 3]));
  const { tokens } = all;
  t.same(tokens.dims, [3, count]);
  t.ok(new Set(tokens.data).size > 1, 'not all the same');
  t.ok(tokens.data.every((token) => token >= 0 && token < config.codebookSize));
  const back = await tokenizer.detokenize(tokens);
  t.ok(back.pixels.data.every((value) => value >= 0 && value <= 1));

  const one = new Tensor('float32', noise.slice(size, 2 * size), [1, 12, 20, 3]);
  const alone = await tokenizer.tokenize(one);
  t.same(alone.tokens.data, tokens.data.slice(count, 2 * count));
  const shown = await tokenizer.detokenize(alone.tokens);
  t.same(shown.pixels.data, back.pixels.data.slice(size, 2 * size));
  t.ok(alone.flops > 0 && shown.flops > 0);
  t.equal(all.flops, 3 * alone.flops);
  t.equal(back.flops, 3 * shown.flops);
  tokenizer.dispose();
  device.dispose();
  return { tokenize: alone.flops, detokenize: shown.flops };
}
