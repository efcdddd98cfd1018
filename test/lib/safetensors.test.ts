/** Files are hostile until checked: every kind of damage is refused with the file, the tensor and what was expected. */

import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { load } from '../../lib/index.js';
import { fixtureFolder, parseSafetensors } from './fixtures.js';

function file(header: unknown, dataBytes: number, length?: bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([size, text, Buffer.alloc(dataBytes)]);
}

const entry = (shape: unknown, begin: number, end: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

t.test('sound files', async (t) => {
  const tensors = parseSafetensors(
    'x',
    file({ __metadata__: { a: 'b' }, two: entry([2], 8, 12, 'F16'), one: entry([1, 2], 0, 8) }, 12),
  );
  t.same(Object.keys(tensors).sort(), ['one', 'two']);
  t.same(tensors.one?.shape, [1, 2]);
  t.equal(tensors.two?.data.byteLength, 4);
  t.same(Object.keys(parseSafetensors('x', file({ empty: entry([0, 3], 0, 0) }, 0))), ['empty']);
});

t.test('damage', async (t) => {
  const refused = (name: string, bytes: Uint8Array, message: RegExp) =>
    t.throws(
      () => parseSafetensors('m.safetensors', bytes),
      { code: 'ERR_CHECKPOINT', message },
      name,
    );
  refused('too short', new Uint8Array(5), /^m\.safetensors: expected a header length/);
  refused('huge header', file({}, 0, 2n ** 63n), /expected a header of at most 2 bytes/);
  refused('header past the end', file({}, 0, 3n), /expected a header of at most 2 bytes/);
  refused('no JSON', file('{"a":', 0), /expected a JSON header/);
  refused(
    'no UTF-8',
    Buffer.concat([file('', 0, 2n), Buffer.from([0x22, 0xff])]),
    /expected a JSON header/,
  );
  refused('no object', file([], 0), /expected a JSON object/);
  refused('no entry', file({ a: 3 }, 0), /a: expected dtype, shape and data_offsets/);
  refused('negative', file({ a: entry([-1], 0, 4) }, 4), /a: expected dtype, shape/);
  refused('fraction', file({ a: entry([1], 0, 4.5) }, 4), /a: expected dtype, shape/);
  refused(
    'dtype',
    file({ a: entry([1], 0, 8, 'I64') }, 8),
    /a: expected dtype F32, F16, BF16 or I8 but received I64/,
  );
  refused('inherited dtype', file({ a: entry([1], 0, 8, 'toString') }, 8), /a: expected dtype F32/);
  refused(
    'size',
    file({ a: entry([3], 0, 8) }, 8),
    /a: expected 12 bytes for F32 \[3\] but received 8/,
  );
  refused('overflow', file({ a: entry([2 ** 40, 2 ** 40], 0, 0) }, 0), /a: expected \d/);
  refused('past the end', file({ a: entry([2], 0, 8) }, 4), /a: expected bytes below 4/);
  refused('overlap', file({ a: entry([2], 0, 8), b: entry([2], 4, 12) }, 12), /b: .* overlap/);
  refused(
    'hole',
    file({ a: entry([1], 0, 4), b: entry([1], 8, 12) }, 12),
    /b: expected to begin at byte 4/,
  );
  refused(
    'left over',
    file({ a: entry([1], 0, 4) }, 8),
    /expected 4 bytes of tensors but the file has 8/,
  );
});

t.test('checkpoints', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const weights = join(folder, 'model.safetensors');
  const config = join(folder, 'config.json');
  const restore = () => cpSync(fixtureFolder('post'), folder, { recursive: true });
  const refused = async (name: string, damage: () => void, message: RegExp) => {
    restore();
    damage();
    await t.rejects(load(folder), { name: 'MagnetsError', code: 'ERR_CHECKPOINT', message }, name);
  };
  const edit = (path: string, change: (text: string) => string) => () =>
    writeFileSync(path, change(readFileSync(path, 'latin1')), 'latin1');
  const configured = (change: object) =>
    edit(config, (text) => JSON.stringify({ ...JSON.parse(text), ...change }));

  restore();
  (await load(folder)).dispose();
  await refused('truncated', () => truncateSync(weights, 5000), /model\.safetensors: /);
  await refused('no file', () => rmSync(weights), /model\.safetensors: expected a readable file/);
  await refused(
    'renamed tensor',
    edit(weights, (text) => text.replace('head.bias', 'head.BIAS')),
    /head\.bias: expected a tensor \[47\] but received nothing/,
  );
  await refused(
    'shape',
    configured({ intermediate_size: 81, widths: [{ name: '1', heads: 8, hidden: 81 }] }),
    /mlp\.up\.weight: expected a tensor \[81,72\]/,
  );
  await refused(
    'extra',
    configured({ num_hidden_layers: 1 }),
    /layers\.1\..*: expected no such tensor/,
  );
  await refused(
    'config',
    configured({ hidden_size: 'wide' }),
    /config\.json: expected an integer in .* for hidden_size but received "wide"/,
  );
  for (const [key, change] of [
    ['norm_type', { norm_type: 'batch_norm' }],
    ['mlp_gate', { mlp_gate: 'up' }],
    ['qk_norm', { qk_norm: true }],
    ['modulation', { modulation: 'text' }],
    ['bias', { bias: 'none' }],
    ['embedding_norm', { embedding_norm: 0 }],
    ['head', { head: 'tied' }],
    ['tied', { tied: null }],
    ['null_class', { null_class: 1 }],
    // What has no meaning together.
    ['norm_position', { modulation: 'class' }],
    ['num_classes', { null_class: false, num_classes: 0, class_labels: [] }],
    ['null_class', { null_class: false, prediction: { frames: 1 } }],
    ['sampling\\.guidance', { null_class: false, sampling: { guidance: 1 } }],
  ] as const) {
    await refused(
      `${key}: ${JSON.stringify(change)}`,
      configured(change),
      new RegExp(`config\\.json: expected .* for ${key} but received `),
    );
  }
  await refused(
    'tensors of another kind of block',
    configured({ mlp_gate: 'multiply' }),
    /layers\.0\.mlp\.gate\.weight: expected a tensor \[80,72\] but received nothing/,
  );
  await refused(
    'a misspelt default',
    configured({ sampling: { guidance_scale: 2 } }),
    /expected none but steps, guidance, .* for sampling\.guidance_scale but received 2/,
  );
  for (const change of [
    { layer_norm_eps: 0 },
    { layer_norm_eps: -1e-6 },
    { layer_norm_eps: 1e31 },
    { sampling: { guidance: 1e308 } },
    { sampling: { choice_temperature: 1e39 } },
    { sampling: { temperature: [1, 1e39] } },
  ]) {
    await refused(
      JSON.stringify(change),
      configured(change),
      /config\.json: expected a number of at (least|most) .* but received /,
    );
  }
  const big = { num_classes: 0, class_labels: [] };
  for (const [key, change] of [
    ['latent_shape', { latent_shape: [1, 512, 256] }],
    ['latent_shape', { latent_shape: [4096, 4096, 4096] }],
    ['codebook_size', { ...big, codebook_size: 2 ** 20, latent_shape: [1, 64, 64] }],
    ['codebook_size', { ...big, codebook_size: 2 ** 20, hidden_size: 2 ** 12 }],
    ['hidden_size', { hidden_size: 2 ** 16 }],
    ['hidden_size', { hidden_size: 2 ** 15, latent_shape: [1, 256, 256] }],
    ['num_attention_heads', { num_attention_heads: 2 ** 15, head_dim: 2 ** 15 }],
    ['intermediate_size', { intermediate_size: 2 ** 20, latent_shape: [1, 64, 64] }],
    ['num_hidden_layers', { num_hidden_layers: 1024, latent_shape: [1, 128, 128] }],
  ] as const) {
    await refused(
      `${key}: ${JSON.stringify(change)}`,
      configured(change),
      new RegExp(`config\\.json: expected .*at most .* for ${key} but received `),
    );
  }
  const tokenizerConfigured = (change: object) =>
    edit(join(folder, 'tokenizer', 'config.json'), (text) =>
      JSON.stringify({ ...JSON.parse(text), ...change }),
    );
  for (const [key, change] of [
    // The product of these three is 2^32, which is 0 in 32 bits.
    ['sample_shape', { sample_shape: [4096, 4096, 256], patch_shape: [64, 128, 128] }],
    ['patch_shape', { sample_shape: [1, 1024, 1024], patch_shape: [1, 1, 1] }],
    [
      'patch_shape',
      { sample_shape: [1, 4096, 4096], patch_shape: [1, 4096, 4096], hidden_size: 128 },
    ],
    ['codebook_size', { codebook_size: 2 ** 20, codebook_dim: 2 ** 12 }],
    ['codebook_dim', { codebook_dim: 2 ** 20, hidden_size: 2 ** 12 }],
    ['intermediate_size', { intermediate_size: 2 ** 20, hidden_size: 2 ** 12 }],
  ] as const) {
    await refused(
      `tokenizer, ${key}: ${JSON.stringify(change)}`,
      tokenizerConfigured({ ...change, channels: 1 }),
      new RegExp(`tokenizer.config\\.json: expected .*at most .* for ${key} but received `),
    );
  }
  await refused(
    'a long value is cut',
    configured({ hidden_size: 'x'.repeat(1000) }),
    /for hidden_size but received "x{76}\.\.\.$/,
  );
  await refused(
    'widths',
    configured({ widths: [{ name: '1/8', heads: 1, hidden: 10 }] }),
    /for widths/,
  );
  await refused('no JSON', () => writeFileSync(config, '{'), /config\.json: expected JSON/);
  await refused(
    'not finite',
    () => {
      const bytes = readFileSync(weights);
      bytes.writeFloatLE(Number.NaN, bytes.length - 4);
      writeFileSync(weights, bytes);
    },
    /model\.safetensors: [\w.]+: expected finite values but .* is not$/,
  );
  await refused(
    'tokenizer of another model',
    () =>
      writeFileSync(
        join(folder, 'tokenizer', 'config.json'),
        readFileSync(join(folder, 'tokenizer', 'config.json'), 'utf8').replace(
          '"codebook_size": 40',
          '"codebook_size": 41',
        ),
      ),
    /tokenizer.config\.json: expected 40 codes on a grid of 1 x 3 x 4 but received 41 codes on a grid of 1 x 3 x 4/,
  );
});
