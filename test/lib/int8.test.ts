/** Weights kept as bytes: of a file that has floats, or bytes and scales; written by convert, checked, and refused. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { quantize } from '../../lib/checkpoint/convert/numbers.js';
import { convert, info, load, Tensor } from '../../lib/index.js';
import { engineTensors } from '../../lib/runtime/listing.js';
import {
  copyOf,
  fixtureFolder,
  parseSafetensors,
  publicFixture,
  relativeError,
} from './fixtures.js';
import { temporaryFolder } from './public-files.js';

/** A tensor as a test writes it. */
interface Written {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const fileOf = (folder: string) => join(folder, 'model.safetensors');

function read(folder: string): Record<string, Written> {
  return parseSafetensors(fileOf(folder), readFileSync(fileOf(folder)));
}

function write(folder: string, tensors: Readonly<Record<string, Written>>): void {
  let offset = 0;
  const header = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = offset;
    offset += data.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, offset] }];
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  const data = Object.values(tensors).map((tensor) => tensor.data);
  writeFileSync(fileOf(folder), Buffer.concat([length, text, ...data]));
}

const floatsOf = ({ data }: Written) => new Float32Array(new Uint8Array(data).buffer);
const bytesOf = (values: Float32Array | Int8Array) => new Uint8Array(values.buffer);

/** The tensors of a generator with the products of its blocks as bytes. */
function toBytes(tensors: Readonly<Record<string, Written>>): Record<string, Written> {
  const made: Record<string, Written> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!/^layers\.\d+\.(attention|mlp)\.(?!norm).*weight$/.test(name)) {
      made[name] = tensor;
      continue;
    }
    const [rows, columns] = tensor.shape as [number, number];
    const values = new Int8Array(rows * columns);
    const scales = new Float32Array(rows);
    for (let row = 0; row < rows; ++row) {
      const begin = row * columns;
      const own = values.subarray(begin, begin + columns);
      scales[row] = quantize(floatsOf(tensor).subarray(begin, begin + columns), own);
    }
    made[name] = { dtype: 'I8', shape: tensor.shape, data: bytesOf(values) };
    const scale = name.replace('weight', 'scale');
    made[scale] = { dtype: 'F32', shape: [rows], data: bytesOf(scales) };
  }
  return made;
}

async function logitsOf(
  folder: string,
  options: Parameters<typeof load>[1],
  width: string,
): Promise<Float32Array> {
  const model = await load(folder, { device: 'cpu', ...options });
  const tokens = new Tensor('int32', new Int32Array(model.tokenCount).fill(-1), [
    1,
    model.tokenCount,
  ]);
  const { data } = await model.forward({ tokens, labels: [1], width });
  model.dispose();
  return data;
}

t.test('rounding to bytes', async (t) => {
  const rounded = (...values: number[]) => {
    const target = new Int8Array(values.length);
    const scale = quantize(Float32Array.from(values), target);
    return [scale, ...target];
  };
  t.same(rounded(127, -127, 0.4, 0.6, -1.6), [1, 127, -127, 0, 1, -2]);
  t.same(rounded(254, 1, 3, 5, -1, -3), [2, 127, 0, 2, 2, 0, -2], 'halves to even');
  t.same(rounded(0, -0).slice(1), [0, 0]);
  t.ok(rounded(0)[0]! > 0, 'a scale that can divide');
  const [scale, ...values] = rounded(3e38, -3e38, 1e38);
  t.ok(Number.isFinite(128 * scale!));
  t.same(values, [127, -127, 42]);
});

t.test('a file of floats kept as bytes is a file of their bytes', async (t) => {
  const floats = fixtureFolder('post');
  const { folder } = copyOf('post', t);
  write(folder, toBytes(read(folder)));
  for (const instructionSet of info().cpu.instructionSets) {
    for (const width of ['1/8', '1/2', '1']) {
      const bytes = await logitsOf(folder, { weights: 'int8', instructionSet }, width);
      const rounded = await logitsOf(floats, { weights: 'int8', instructionSet }, width);
      t.same(bytes, rounded, `${instructionSet}, width ${width}: the same bits`);
      const exact = await logitsOf(floats, { instructionSet }, width);
      const dequantized = await logitsOf(folder, { instructionSet }, width);
      t.notSame(bytes, dequantized, 'activations are rounded too');
      // A weight is off by 1/254 of the largest in its row at most, and an activation likewise.
      for (const [what, logits] of Object.entries({ bytes, dequantized })) {
        const error = relativeError(logits, exact);
        t.ok(error > 1e-5 && error < 0.05, `${what}: ${error}`);
      }
    }
  }
});

t.test('bytes generate, as many FLOPs as planned, whatever else is in the batch', async (t) => {
  const model = await load('fashion', { weights: 'int8', device: 'cpu', threads: 2 });
  t.teardown(() => model.dispose());
  t.equal(model.weights, 'int8');
  t.equal(model.compute, 'f32');
  const options = { seed: 5, schedule: 'paper' } as const;
  const generation = model.generate({ ...options, labels: [2, 7, 4], count: 6 });
  const batch = await generation.result();
  t.equal(batch.flops, generation.plannedFlops);
  const alone = await model.generate({ ...options, labels: [2], firstSample: 3 }).result();
  t.same(alone.tokens.data, batch.tokens.data.slice(3 * model.tokenCount, 4 * model.tokenCount));
});

t.test('convert writes what load makes of floats', async (t) => {
  const folder = temporaryFolder(t);
  const source = publicFixture('halton-tiny/model.pth');
  const tokenizer = publicFixture('vq16-tiny/model.pt');
  const [floats, bytes] = [join(folder, 'f32'), join(folder, 'int8')];
  await convert(source, { to: floats, tokenizer, heads: 4 });
  await convert(source, { to: bytes, tokenizer, heads: 4, weights: 'int8' });
  const written = read(bytes);
  const exact = read(floats);
  t.same(Object.keys(written).sort(), Object.keys(toBytes(exact)).sort());
  for (const [name, tensor] of Object.entries(toBytes(exact))) {
    t.same(
      { ...written[name], data: Buffer.from(written[name]!.data) },
      { ...tensor, data: Buffer.from(tensor.data) },
      name,
    );
  }
  t.same(read(join(bytes, 'tokenizer')), read(join(floats, 'tokenizer')), 'the tokenizer is f32');
  t.match(
    readFileSync(join(bytes, 'README.md'), 'utf8'),
    /The weights are int8 where the products of the blocks are, else f32\./,
  );
  t.same(
    await logitsOf(bytes, { weights: 'int8' }, '1'),
    await logitsOf(floats, { weights: 'int8' }, '1'),
  );
});

t.test('what is not sound is refused', async (t) => {
  const { folder } = copyOf('post', t);
  const good = toBytes(read(folder));
  const name = 'layers.0.mlp.up.weight';
  const scale = 'layers.0.mlp.up.scale';
  const refused = async (tensors: Readonly<Record<string, Written>>, message: RegExp) => {
    write(folder, tensors);
    for (const weights of ['f32', 'int8'] as const) {
      await t.rejects(load(folder, { device: 'cpu', weights }), {
        code: 'ERR_CHECKPOINT',
        message,
      });
    }
  };
  const { [scale]: scales, ...rest } = good;
  await refused(rest, /mlp\.up\.scale: expected a tensor \[\d+\] but received nothing/);
  await refused(
    { ...good, [scale]: { ...scales!, shape: [1], data: scales!.data.subarray(0, 4) } },
    /mlp\.up\.scale: expected a tensor \[\d+\] but received \[1\]/,
  );
  await refused(
    {
      ...good,
      [scale]: {
        ...scales!,
        dtype: 'F16',
        data: scales!.data.subarray(0, scales!.data.length / 2),
      },
    },
    /mlp\.up\.scale: expected F32 but received F16/,
  );
  const floats = { ...read(fixtureFolder('post')), [scale]: scales! };
  await refused(floats, /mlp\.up\.scale: expected no such tensor/);
  const words = good['embeddings.word.weight']!;
  await refused(
    {
      ...good,
      'embeddings.word.weight': {
        ...words,
        dtype: 'I8',
        data: words.data.subarray(0, words.data.length / 4),
      },
    },
    /embeddings\.word\.weight: expected F32, F16 or BF16 but received I8/,
  );
  const infinite = new Float32Array(floatsOf(scales!));
  infinite[2] = Number.POSITIVE_INFINITY;
  await refused(
    { ...good, [scale]: { ...scales!, data: bytesOf(infinite) } },
    new RegExp(`${name}: expected .*finite`),
  );
});

t.test('the list says which tensors may be bytes', async (t) => {
  const model = await load('fashion', { device: 'cpu' });
  t.teardown(() => model.dispose());
  const any = engineTensors.generator(model.config).filter(({ grain }) => grain === 'any');
  t.ok(any.every(({ name }) => /^layers\.\d+\.(attention|mlp)\.\w+\.weight$/.test(name)));
  t.equal(any.length, 6 * model.config.layers);
  t.ok(engineTensors.tokenizer(model.tokenizerConfig!).every(({ grain }) => grain === 'fine'));
});
