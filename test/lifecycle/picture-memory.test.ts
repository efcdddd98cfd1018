/** What a large picture takes in a process of its own: two sets of pictures at a time, and nothing that stays. */

import { spawnSync } from 'node:child_process';
import t from 'tap';

const dist = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);

/** MaskGIT's tokenizer at 512 x 512, with one block a level: further ones take the same memory again. */
const side = 512;
const tokenizer = {
  model_type: 'magnets_tokenizer',
  kind: 'conv',
  sample_shape: [1, side, side],
  channels: 3,
  base_channels: 128,
  multipliers: [1, 1, 2, 2, 4],
  encoder_blocks: 1,
  decoder_blocks: 1,
  shortcut: 'none',
  downsample: 'mean',
  codebook_size: 1024,
  codebook_dim: 256,
  code_channels: 256,
};

const script = `
  import { readFileSync, writeFileSync } from 'node:fs';
  import { parseTokenizerConfig } from ${dist('checkpoint/config.js')};
  import { native } from ${dist('runtime/native.js')};
  const config = parseTokenizerConfig('config.json', ${JSON.stringify(tokenizer)});
  const codec = await native().openCpu(2, '').loadTokenizer(config, { seed: 3 }, 'f32');
  const status = (key) =>
    1024 * Number(new RegExp(key + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  const tokens = new Int32Array(${(side / 16) ** 2}).map((_, i) => i);
  const pixels = new Float32Array(${3 * side ** 2}).map((_, i) => (i % 1009) / 1009);
  gc();
  const loaded = status('VmRSS');
  const most = [];
  for (const work of ['detokenize', 'encode', 'detokenize']) {
    writeFileSync('/proc/self/clear_refs', '5');  // forgets the peak
    await codec[work](work === 'encode' ? pixels : tokens, 1);
    most.push(status('VmHWM') - loaded);
    gc();
  }
  console.log(JSON.stringify({ most, kept: status('VmRSS') - loaded }));
`;

t.test('a picture of 512 x 512', (t) => {
  const args = ['--expose-gc', '--input-type=module', '--eval', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  const { most, kept } = JSON.parse(stdout);
  // Two sets of 128 channels, 268 MB. The rest is those of 3 channels, of which there are a few copies between
  // JavaScript and the first or last layer, and what the operations need.
  const pictures = 2 * 4 * side ** 2 * tokenizer.base_channels;
  const bound = 300e6;
  for (const bytes of most) {
    t.ok(bytes < bound, `${(bytes / 1e6).toFixed()} of ${bound / 1e6} MB`);
  }
  t.ok(kept < bound - pictures, `${(kept / 1e6).toFixed()} MB kept`);
  t.end();
});
