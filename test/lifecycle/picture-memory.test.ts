/**
 * What pictures take in a process of their own: two sets of a large one at a time, and nothing that stays; those of a
 * smaller one stay for the next call, until they are trimmed.
 */

import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';

const dist = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);

/** MaskGIT's tokenizer, with one block a level: further ones take the same memory again. */
const tokenizer = (side: number) => ({
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
});

/** What `body` prints, as JSON, with such a tokenizer. `status` reads a line of /proc/self/status in bytes. */
function run(t: Test, side: number, body: string) {
  const script = `
    import { readFileSync, writeFileSync } from 'node:fs';
    import { parseTokenizerConfig } from ${dist('checkpoint/config.js')};
    import { native } from ${dist('runtime/native.js')};
    const config = parseTokenizerConfig('config.json', ${JSON.stringify(tokenizer(side))});
    const codec = await native().openCpu(2, '').loadTokenizer(config, { seed: 3 }, 'f32');
    const status = (key) =>
      1024 * Number(new RegExp(key + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const tokens = new Int32Array(${(side / 16) ** 2}).map((_, i) => i);
    const pixels = new Float32Array(${3 * side ** 2}).map((_, i) => (i % 1009) / 1009);
    gc();
    const loaded = status('VmRSS');
    ${body}`;
  const args = ['--expose-gc', '--input-type=module', '--eval', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

t.test('a picture of 512 x 512', (t) => {
  const side = 512;
  const { most, kept } = run(
    t,
    side,
    `const most = [];
    for (const work of ['detokenize', 'encode', 'detokenize']) {
      writeFileSync('/proc/self/clear_refs', '5');  // forgets the peak
      await codec[work](work === 'encode' ? pixels : tokens, 1);
      most.push(status('VmHWM') - loaded);
      gc();
    }
    console.log(JSON.stringify({ most, kept: status('VmRSS') - loaded }));`,
  );
  // Two sets of 128 channels, 268 MB. The rest is those of 3 channels, 3 MB each, of which there are a few copies between
  // JavaScript and the first or last layer, most of them to encode, and what the operations need.
  const pictures = 2 * 4 * side ** 2 * 128;
  const bounds = [300e6, 310e6, 300e6];
  most.forEach((bytes: number, i: number) => {
    t.ok(bytes < bounds[i]!, `${(bytes / 1e6).toFixed()} of ${bounds[i]! / 1e6} MB`);
  });
  t.ok(kept < 300e6 - pictures, `${(kept / 1e6).toFixed()} MB kept`);
  t.end();
});

t.test('a picture of 256 x 256', (t) => {
  const side = 256;
  const { same, most, kept, told, trimmed } = run(
    t,
    side,
    `const first = (await codec.detokenize(tokens, 1)).pixels;
    await codec.encode(pixels, 1);
    writeFileSync('/proc/self/clear_refs', '5');
    const second = (await codec.detokenize(tokens, 1)).pixels;
    const most = status('VmHWM') - loaded;
    gc();
    const kept = status('VmRSS') - loaded;
    await codec.trim();
    console.log(JSON.stringify({ same: second.every((value, i) => value === first[i]), most, kept,
      told: codec.detokenizeBytes(1), trimmed: status('VmRSS') - loaded }));`,
  );
  t.ok(same, 'memory that was used before makes no difference');
  const pictures = 2 * 4 * side ** 2 * 128;
  t.ok(told > pictures && told < 1.2 * pictures, `${(told / 1e6).toFixed()} MB told`);
  const rest = 12e6; // copies of the picture, and what the operations need
  t.ok(most < told + rest, `${(most / 1e6).toFixed()} MB at most`);
  t.ok(kept > pictures, `${(kept / 1e6).toFixed()} MB kept`);
  t.ok(trimmed < rest, `${(trimmed / 1e6).toFixed()} MB after trim`);
  t.end();
});
