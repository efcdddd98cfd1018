/** `convert` itself: rounding, arguments, what is left out of a training file, and the command line. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import { decode, round, unfit } from '../../lib/checkpoint/convert/numbers.js';
import { convert } from '../../lib/index.js';
import { engineTensors } from '../../lib/runtime/listing.js';
import { files, haltonShapes, written } from './converting.js';
import { magnets } from './magnets.js';
import { sparseTorchFile, temporaryFolder, writePieces } from './public-files.js';

t.test('rounding', async (t) => {
  const halves = Uint16Array.from({ length: 2 ** 16 }, (_, half) => half);
  const values = new Float32Array(2 ** 16);
  decode('F16', new Uint8Array(halves.buffer), values);
  const finite = halves.filter((_, i) => Number.isFinite(values[i]));
  const back = (format: 'f16' | 'bf16', numbers: Float32Array) => {
    const rounded = new Uint16Array(numbers.length);
    round(format, numbers, rounded);
    return rounded;
  };
  t.same(back('f16', values.filter(Number.isFinite)), finite, 'every f16 stays itself');
  t.ok(Number.isNaN(values[0x7c01]!) && back('f16', Float32Array.of(Number.NaN))[0]! > 0x7c00);

  // Between two neighbours: the middle goes to the even one, everything else to the nearer one.
  for (const format of ['f16', 'bf16'] as const) {
    const dtype = format === 'f16' ? 'F16' : 'BF16';
    // Of a subnormal bf16 nothing is near in f32.
    const lows = [0x80, 0x3ff, 0x400, 0x3c00, 0x3c01, 0x7bfe, 0x4049];
    if (format === 'f16') lows.push(0, 1, 2);
    for (const low of lows) {
      const pair = new Float32Array(2);
      decode(dtype, new Uint8Array(Uint16Array.of(low, low + 1).buffer), pair);
      const middle = (pair[0]! + pair[1]!) / 2;
      const near = middle * 2 ** -20;
      const numbers = Float32Array.of(middle, middle - near, middle + near, -middle);
      const even = low + (low % 2);
      t.same([...back(format, numbers)], [even, low, low + 1, 0x8000 | even], `${format} ${low}`);
    }
  }
  const fits = (format: 'f32' | 'f16' | 'bf16', value: number) =>
    unfit(format, Float32Array.of(0, value)) === undefined;
  t.ok(fits('f16', 65519) && !fits('f16', -65520) && fits('bf16', 65520));
  t.ok(fits('bf16', 3.39e38) && !fits('bf16', 3.4e38) && fits('f32', 3.4e38));
  t.notOk(fits('f32', Number.POSITIVE_INFINITY) || fits('f32', Number.NaN));

  const folder = temporaryFolder(t);
  await convert(files.haltonOdd, { to: join(folder, 'f32'), heads: 6 });
  const exact = written(join(folder, 'f32'));
  for (const weights of ['f16', 'bf16'] as const) {
    await convert(files.haltonOdd, { to: join(folder, weights), heads: 6, weights });
    const bound = weights === 'f16' ? 2 ** -11 : 2 ** -8;
    for (const [name, { values }] of written(join(folder, weights))) {
      const wrong = values.findIndex((value, i) => {
        const want = exact.get(name)!.values[i]!;
        return Math.abs(value - want) > Math.abs(want) * bound + 2 ** -25;
      });
      t.equal(wrong, -1, `${weights}: ${name}`);
    }
  }
});

t.test('arguments', async (t) => {
  const folder = temporaryFolder(t);
  const wrong = (path: unknown, options: unknown, error: Parameters<Test['rejects']>[1] & object) =>
    t.rejects(convert(path as string, options as Parameters<typeof convert>[1]), error);
  await wrong(files.halton, undefined, TypeError);
  await wrong(files.halton, {}, { name: 'TypeError', message: /a path for to/ });
  await wrong(3, { to: 'x' }, { name: 'TypeError', message: /a path for path/ });
  await wrong(files.halton, { to: '' }, { name: 'RangeError', message: /a path for to/ });
  await wrong(files.halton, { to: 'x', dtype: 'f16' }, { message: /options among to, tokenizer/ });
  await wrong(
    files.halton,
    { to: 'x', weights: 'int4' },
    { message: /one of f32, f16, bf16, int8/ },
  );
  await wrong(files.halton, { to: 'x', heads: 0 }, { name: 'RangeError', message: /for heads/ });
  await wrong(files.halton, { to: 'x', tokenizer: 3 }, { message: /a path for tokenizer/ });
  await wrong(files.halton, { to: folder }, { name: 'RangeError', message: /does not exist yet/ });
  for (const [to, reason] of [
    [join(files.halton, 'to'), /a folder that can be written but ENOTDIR/],
    [join(folder, 'x'.repeat(256)), /a folder that can be written but ENAMETOOLONG/],
    [join(folder, 'a\0b'), /a folder that can be written but .* null bytes/],
  ] as const) {
    await wrong(files.halton, { to }, { code: 'ERR_CHECKPOINT', message: reason });
  }
  for (const to of ['/proc/to', '/proc/a/to']) {
    await t.rejects(convert(files.vq16, { to }), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`^${to}: expected a folder that can be written but ENOENT`),
    });
  }

  const aborted = AbortSignal.abort(new Error('enough'));
  const to = join(folder, 'to');
  await wrong(files.halton, { to, heads: 4, signal: aborted }, { message: 'enough' });
  const later = new AbortController();
  const onProgress = ({ done }: { done: number }) => done === 5 && later.abort();
  await wrong(
    files.halton,
    { to, heads: 4, signal: later.signal, onProgress },
    { name: 'AbortError' },
  );
  t.same(readdirSync(folder), [], 'nothing is left');

  const seen: number[] = [];
  await convert(files.halton, {
    to: join(folder, 'new', 'to'),
    heads: 4,
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  t.equal(seen.at(-1), 1);
  t.same(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  t.same(readdirSync(join(folder, 'new')), ['to']);
});

t.test('moving averages and the rest of a training file', async (t) => {
  const folder = temporaryFolder(t);
  const file = writePieces(
    join(folder, 'model.pth'),
    sparseTorchFile(haltonShapes(), (state) => ({
      iter: 3,
      model_state_dict: state,
      ema_state_dict: Object.fromEntries(
        Object.entries(state).map(([name, tensor]) => [`module.${name}`, tensor]),
      ),
      optimizer_state_dict: {
        state: { 0: { exp_avg: Object.values(state)[0], step: 4 } },
        param_groups: [{ lr: 1e-4, betas: [0.9, 0.999], foreach: null }],
      },
      'strange\n': { a: Object.values(state)[0] },
    })),
  );
  const [part] = await convert(file, { to: join(folder, 'to'), heads: 4 });
  t.same(part?.dropped, [
    'head.weight: the same as tok_emb.weight',
    "strange\\u{a}: 1 tensors that are not the model's",
    "optimizer_state_dict: 1 tensors that are not the model's",
    "model_state_dict: 21 tensors that are not the model's",
  ]);
  const card = readFileSync(join(folder, 'to', 'README.md'), 'utf8');
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  t.match(card, /^# Halton-MaskGIT, converted\n/);
  t.match(card, /Source: https:\/\/github\.com\/valeoai\/Halton-MaskGIT\n/);
  t.match(card, /Licence of the source: MIT\n/);
  t.ok(card.includes(`\`model.pth\`, SHA-256 \`${sha256}\``));
  t.match(card, /Left out: optimizer_state_dict: 1 tensors/);
});

t.test('the command line', async (t) => {
  const folder = temporaryFolder(t);
  const to = join(folder, 'to');
  const { status, stdout, stderr } = magnets(
    'convert',
    files.halton,
    '--to',
    to,
    '--tokenizer',
    files.vq16,
    '--heads',
    '4',
    '--weights',
    'bf16',
  );
  t.equal(stderr, '', 'no bar in a pipe');
  t.equal(status, 0);
  t.match(stdout, /^generator: Halton-MaskGIT, 30 tensors, /);
  t.match(stdout, /\n {2}left out: head\.weight: the same as tok_emb\.weight\n/);
  t.match(stdout, /\ntokenizer: LlamaGen's VQ-16, /);
  t.match(stdout, /licence of the source: MIT/);
  t.same(readdirSync(to).sort(), ['README.md', 'config.json', 'model.safetensors', 'tokenizer']);
  t.ok(await readCheckpoint(to, engineTensors));
  t.match(magnets('convert', files.halton, '--to', to), {
    status: 1,
    stderr: /does not exist yet/,
  });
  t.match(magnets('convert', '--to', to), { status: 2, stderr: /Expected one PATH/ });
  t.match(magnets('convert', 'a', 'b', '--to', to), { status: 2, stderr: /Expected one PATH/ });
  t.match(magnets('convert', files.halton), { status: 2, stderr: /Expected --to FOLDER/ });
  const alone = magnets('convert', files.port, '--to', join(folder, 'alone'));
  t.match(alone.stdout, /a tokenizer alone: place .*alone as tokenizer\/ in a generator's folder/);
});
