/** Files with the names and shapes of the released models, of zeros: what they become, and the memory that this takes. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import { parseGeneratorConfig, parseTokenizerConfig } from '../../lib/checkpoint/config.js';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import type { TensorEntry } from '../../lib/checkpoint/schema.js';
import { convert, info, load, type MemoryNeeds } from '../../lib/index.js';
import { engineTensors, nativeTokenizerConfig } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { publicFixture } from './fixtures.js';
import { cli } from './magnets.js';
import {
  fillWithNoise,
  sparseFlaxFile,
  sparseTorchFile,
  temporaryFolder,
  writePieces,
} from './public-files.js';

const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

const namesOf = (folder: string): Record<string, unknown> =>
  JSON.parse(readFileSync(publicFixture(`${folder}/names-full.json`), 'utf8'));

/** Shapes of a released model: `names-full.json` lists one layer of it. */
function releasedShapes(entry: unknown): Record<string, number[]> {
  const { parameters, ...facts } = entry as { parameters: Record<string, unknown> } & Record<
    string,
    number
  >;
  const layers = facts['layers in the released file'] ?? facts['transformer layers'] ?? 1;
  return Object.fromEntries(
    Object.entries(parameters).flatMap(([name, shape]) => {
      const plain = (
        Array.isArray(shape) && Array.isArray(shape[1]) ? shape[1] : shape
      ) as number[];
      const first =
        /^((?:params\/TransformerLayer_|transformer\.layers\.|model\.encoder\.layer\.|(?:en|de)coder\.transformer\.))0\b/;
      return Array.from({ length: first.test(name) ? layers : 1 }, (_, i): [string, number[]] => [
        name.replace(first, `$1${i}`),
        plain,
      ]);
    }),
  );
}

/**
 * What `code` leaves in `result`, run in a process of its own with `magnets` from the build, and how much memory in bytes
 * that took at most.
 */
function alone(t: Test, code: string): { result: unknown; memory: number } {
  const script = `
    import { readFileSync } from 'node:fs';
    import * as magnets from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
    let result;
    ${code}
    // The maxRSS of resourceUsage begins with that of the process which started this one.
    const status = readFileSync('/proc/self/status', 'utf8');
    const memory = 1024 * Number(/VmHWM:\\s+(\\d+) kB/.exec(status)[1]);
    console.log(JSON.stringify({ result, memory }));
  `;
  const args = ['--input-type=module', '--eval', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** The memory that a conversion takes. */
function convertAlone(t: Test, path: string, options: object): number {
  return alone(t, `await magnets.convert(...${JSON.stringify([path, options])});`).memory;
}

/** The tensors of a folder have the names and shapes that the engine lists for its config. */
async function checkListing(t: Test, folder: string, expected: readonly TensorEntry[]) {
  const source = await openSource(folder);
  await closeSource(source);
  const found = [...source.groups.get('')!].map(([name, { shape }]) => ({ name, shape }));
  const sorted = (entries: readonly TensorEntry[]) =>
    entries.map(({ name, shape }) => ({ name, shape })).sort((a, b) => (a.name < b.name ? -1 : 1));
  t.same(sorted(found), sorted(expected));
}

const halton = namesOf('halton-tiny');
const maskgit = namesOf('maskgit-flax-tiny');
const maskbit = namesOf('maskbit-tiny');
const titok = namesOf('titok-tokenizer-tiny');
const trained = (state: object) => ({ model_state_dict: state, optimizer_state_dict: null });
const bare = (state: object) => ({ model: state });

for (const [name, model, tokenizer, largest] of [
  [
    'Halton-MaskGIT 256 base with VQ-16',
    sparseTorchFile(releasedShapes(halton.ImageNet_256_base), trained),
    sparseTorchFile(releasedShapes({ parameters: namesOf('vq16-tiny') }), bare),
    16386 * 768 * 4,
  ],
  [
    'MaskGIT 256 with its tokenizer',
    sparseFlaxFile(releasedShapes(maskgit.maskgit_imagenet256_checkpoint)),
    sparseFlaxFile(
      releasedShapes(maskgit['tokenizer_imagenet256_checkpoint, tokenizer_imagenet512_checkpoint']),
    ),
    3072 * 768 * 4,
  ],
] as const) {
  t.test(`${name}: in little memory, and runs a step`, async (t) => {
    const folder = temporaryFolder(t);
    const path = writePieces(join(folder, 'model'), model);
    const to = join(folder, 'to');
    const options = { to, tokenizer: writePieces(join(folder, 'tokenizer'), tokenizer) };
    const memory = convertAlone(t, path, { ...options, weights: 'bf16' });
    const bound = 1.2 * largest + 200e6;
    t.ok(memory < bound, `${(memory / 1e6).toFixed()} of ${(bound / 1e6).toFixed()} MB`);

    const config = parseGeneratorConfig('config.json', 'x', configOf(to));
    t.same(config.latentShape, [1, 16, 16]);
    await checkListing(t, to, engineTensors.generator(config));
    const codec = parseTokenizerConfig('config.json', configOf(join(to, 'tokenizer')));
    t.same(codec.sampleShape, [1, 256, 256]);
    await checkListing(t, join(to, 'tokenizer'), engineTensors.tokenizer(codec));

    const loaded = await load(to, { weights: 'bf16', device: 'cpu' });
    t.teardown(() => loaded.dispose());
    // Weights are the same for any grid; a decode of 512 x 512 pixels takes four times what one of 256 x 256 does.
    const checkpoint = await readCheckpoint(to, engineTensors);
    const device = native().openCpu(1, info().cpu.instructionSets[0]!);
    t.teardown(() => device.dispose());
    const large = nativeTokenizerConfig({ ...codec, sampleShape: [1, 512, 512] });
    const own = await device.loadTokenizer(large, checkpoint.tokenizer!.tensors, 'f32');
    const decode = own.detokenizeBytes(1);
    t.ok(decode < 300e6, `512 x 512 pixels: ${(decode / 1e6).toFixed()} MB`);
    own.dispose();

    for await (const { activeRows, masked } of loaded.generate({ labels: [207] })) {
      t.equal(activeRows, 257 * (config.sampling.guidance > 0 ? 2 : 1));
      t.ok(masked < 256);
      break;
    }
  });
}

t.test('MaskGIT 512 with its tokenizer: a step over 1025 rows, and 512 x 512 pixels', async (t) => {
  const folder = temporaryFolder(t);
  const fileOf = (name: string, key: string) => {
    const pieces = sparseFlaxFile(releasedShapes(maskgit[key]));
    const path = writePieces(join(folder, name), pieces);
    fillWithNoise(path, pieces);
    return path;
  };
  const path = fileOf('model', 'maskgit_imagenet512_checkpoint');
  const tokenizerPath = fileOf(
    'tokenizer',
    'tokenizer_imagenet256_checkpoint, tokenizer_imagenet512_checkpoint',
  );
  const to = join(folder, 'to');
  const started = performance.now();
  const converting = convertAlone(t, path, { to, tokenizer: tokenizerPath, weights: 'bf16' });
  t.comment(`converting: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  t.ok(converting < 1.2 * 3072 * 768 * 4 + 200e6, `${(converting / 1e6).toFixed()} MB`);

  const { result, memory } = alone(
    t,
    `
    const seconds = (since) => (performance.now() - since) / 1000;
    const started = performance.now();
    const model = await magnets.load(${JSON.stringify(to)}, { weights: 'bf16', device: 'cpu' });
    const needs = model.memory({ labels: [207] });
    const loading = seconds(started);
    const stepped = performance.now();
    let step;
    for await (step of model.generate({ labels: [207], seed: 1 })) break;
    const stepping = seconds(stepped);
    const tokens = new magnets.Tensor('int32', step.tokens.data.map((token) => Math.max(0, token)), [1, 1024]);
    const detokenized = performance.now();
    const { data, dims } = await model.detokenize(tokens);
    const sum = data.reduce((sum, value) => sum + value, 0);
    const differing = new Set(data.subarray(0, 3000)).size;
    result = { needs, loading, stepping, detokenizing: seconds(detokenized), dims, sum, differing,
      activeRows: step.activeRows, masked: step.masked };
    `,
  ) as { result: Record<string, number> & { needs: MemoryNeeds; dims: number[] }; memory: number };
  t.comment(JSON.stringify({ ...result, memory }));
  t.same(result.dims, [1, 512, 512, 3]);
  t.equal(result.activeRows, 1025);
  t.ok(Number.isFinite(result.sum) && result.differing! > 100, 'a picture');
  const { total, tokenizer } = result.needs;
  t.ok(tokenizer < 300e6, `${(tokenizer / 1e6).toFixed()} MB for pixels`);
  const node = 150e6;
  t.ok(
    memory < total + node,
    `${(memory / 1e6).toFixed()} of ${((total + node) / 1e6).toFixed()} MB`,
  );
});

t.test('Halton-MaskGIT in the other sizes: what the engine needs is what they have', async (t) => {
  const folder = temporaryFolder(t);
  for (const size of ['256_tiny', '256_small', '384_small', '384_base', '384_large']) {
    const shapes = releasedShapes(halton[`ImageNet_${size}`]);
    const path = writePieces(join(folder, `${size}.pth`), sparseTorchFile(shapes, trained));
    const aborted = new AbortController();
    const onProgress = () => aborted.abort('checked');
    const options = { to: `${path}.magnets`, signal: aborted.signal, onProgress };
    t.equal(await convert(path, options).catch((reason) => reason), 'checked', size);
    t.notOk(existsSync(options.to));
  }
});

t.test('MaskBit in every size: what the engine needs is what they have', async (t) => {
  const folder = temporaryFolder(t);
  for (const bits of [10, 12, 14, 16, 18]) {
    const shapes = releasedShapes(maskbit[`maskbit_generator_${bits}bit`]);
    const path = writePieces(join(folder, `${bits}.bin`), sparseTorchFile(shapes));
    const aborted = new AbortController();
    const onProgress = () => aborted.abort('checked');
    const options = { to: `${path}.magnets`, signal: aborted.signal, onProgress };
    t.equal(await convert(path, options).catch((reason) => reason), 'checked', `${bits} bits`);
  }
});

t.test('TiTok L-32 and B-64: what the engine needs is what they have', async (t) => {
  const folder = temporaryFolder(t);
  const fileOf = (part: string) =>
    writePieces(join(folder, part), sparseTorchFile(releasedShapes(titok[part])));
  for (const [size, guidance, first] of [
    ['l32', 4.5, 9.5 * 0.875 * 1.2],
    ['b64', 3, 11 * 0.875 * 1.2],
  ] as const) {
    const to = join(folder, size);
    const tokenizer = fileOf(`tokenizer_titok_${size}`);
    const aborted = new AbortController();
    const options = {
      tokenizer,
      signal: aborted.signal,
      onProgress: () => aborted.abort('checked'),
    };
    const generator = fileOf(`generator_titok_${size}`);
    t.equal(
      await convert(generator, { to, ...options }).catch((reason) => reason),
      'checked',
      size,
    );

    // One layer, so that there is little to write.
    const { parameters } = titok[`generator_titok_${size}`] as { parameters: object };
    const short = sparseTorchFile(releasedShapes({ parameters }));
    await convert(writePieces(join(folder, 'short'), short), { to: `${to}.short` });
    const { sampling } = configOf(`${to}.short`);
    t.match(sampling, { steps: 8, guidance, confidence: 'logit' });
    t.ok(Math.abs(sampling.temperature[0] - first) < 1e-12);
  }
  await t.rejects(
    convert(join(folder, 'generator_titok_l32'), {
      to: join(folder, 'mixed'),
      tokenizer: join(folder, 'tokenizer_titok_b64'),
    }),
    {
      code: 'ERR_CHECKPOINT',
      message: /expected tokens of \[1,64\] but the generator has \[1,32\]/,
    },
  );
  await t.rejects(convert(fileOf('generator_titok_s128'), { to: join(folder, 's128') }), {
    code: 'ERR_CHECKPOINT',
    message: /it looks like the generator of TiTok S-128, a U-ViT/,
  });
});

t.test('a conversion that is interrupted leaves nothing', async (t) => {
  const folder = temporaryFolder(t);
  const model = sparseTorchFile(releasedShapes(halton.ImageNet_256_tiny));
  const path = writePieces(join(folder, 'model'), model);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const args = [cli, 'convert', path, '--to', join(folder, 'to')];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    while (readdirSync(folder).length === 1) await wait(1);
    child.kill(signal);
    t.same(await once(child, 'exit'), [code, null]);
    t.same(readdirSync(folder), ['model']);
  }
});
