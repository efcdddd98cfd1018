/** Values that lie, change or throw: read once, refused in our words, or passed on as they are; never a wrong answer. */

import t from 'tap';
import {
  contactSheet,
  decodePng,
  type GenerateOptions,
  load,
  plan,
  presets,
  stepStrip,
  Tensor,
} from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';

const model = await load(fixtureFolder('post'), { threads: 1 });
t.teardown(() => model.dispose());

const N = model.tokenCount;
const pixelDims = [1, 6, 8, 3];
const shortened = /^Expected \d+ elements for \[[\d,]+\] for data but received \d+$/;

/** What a typed array says of itself but does not hold. */
function lying<T extends Int32Array | Float32Array>(array: T, length: number): T {
  return Object.defineProperty(array, 'length', { value: length });
}

t.test('arrays that are shorter than they say', async (t) => {
  const refused = { name: 'RangeError', message: shortened };
  t.throws(() => new Tensor('int32', lying(new Int32Array(1), N), [1, N]), refused);
  class Long extends Int32Array {
    override get length() {
      return N;
    }
  }
  t.throws(() => new Tensor('int32', new Long(1), [1, N]), refused);
  t.throws(() => model.generate({ tokens: lying(new Int32Array(1), N) }), refused);
  t.throws(() => contactSheet(lyingPixels()), refused);
  function lyingPixels() {
    const { data, dims, type } = new Tensor('float32', new Float32Array(144), pixelDims);
    return { type, dims, data: lying(data.slice(0, 1), 144) } as Tensor<'float32'>;
  }
});

t.test('arrays and lists whose methods say something else than they hold', async (t) => {
  const tokens = { name: 'RangeError', message: /for tokens but received 1000000000$/ };
  for (const data of [
    lies(new Int32Array(N).fill(1e9)),
    lies(new Int32Array(new SharedArrayBuffer(4 * N)).fill(1e9)),
  ]) {
    const tensor = { type: 'int32', data, dims: [1, N] } as unknown as Tensor<'int32'>;
    await t.rejects(model.detokenize(tensor), tokens);
    await t.rejects(model.forward({ tokens: tensor, labels: ['a'] }), tokens);
    await t.rejects(model.generate().preview({ tokens: tensor }), tokens);
    t.throws(() => model.generate({ tokens: tensor }), tokens);
    t.throws(() => model.generate({ tokens: data }), tokens);
  }
  t.throws(() => model.generate({ tokens: [lies(Array<number>(N).fill(1e9))] }), tokens);
  t.throws(() => model.generate({ tokens: lies([Array<number>(N).fill(1e9)]) }), tokens);
  t.throws(() => model.generate({ labels: lies([99]) }), { message: /for label but received 99$/ });
  t.throws(() => plan({ model: presets.L, temperature: lies([-1, 1]) }), { name: 'RangeError' });

  const nan = lies(new Float32Array(144).fill(Number.NaN));
  const pixels = { type: 'float32', data: nan, dims: pixelDims } as unknown as Tensor<'float32'>;
  const numbers = { name: 'RangeError', message: /for pixels but received NaN$/ };
  await t.rejects(model.tokenize(pixels), numbers);
  t.throws(() => contactSheet(pixels), numbers);
  const picture = new Tensor('float32', new Float32Array(144), pixelDims);
  t.throws(() => stepStrip(picture, lies(Uint8Array.of(0, 7)), [1, 1, 2]), {
    message: /^Expected 0 or 1 for masked/,
  });

  /** Finds nothing wrong in itself, gives no copies of itself, and has nothing in it for whoever iterates. */
  function lies<T extends object>(list: T): T {
    return Object.assign(list, {
      every: () => true,
      some: () => false,
      find: () => undefined,
      findIndex: () => -1,
      flat: () => [],
      map: () => list,
      slice: () => list,
      subarray: () => list,
      [Symbol.iterator]: () => [][Symbol.iterator](),
    });
  }
});

t.test('lists that are endless or have holes', async (t) => {
  const endless = <T>() => Object.assign([] as T[], { length: 2 ** 32 - 1 });
  const holes = (values: number[]) => {
    delete values[1];
    return values;
  };
  const refused = (name: string) => ({ message: new RegExp(`^Expected .* for ${name}`) });
  for (const name of ['schedule', 'refresh', 'temperature', 'choiceTemperature'] as const) {
    t.throws(() => plan({ model: presets.L, [name]: endless() }), refused(`${name}.length`));
  }
  const phases = Array<string>(1e6).fill('1x1').join();
  t.throws(() => plan({ model: presets.L, schedule: phases }), refused('schedule.length'));
  t.throws(() => plan({ model: presets.L, masked: endless() }), refused('masked.length'));
  t.throws(() => plan({ model: { ...presets.L, widths: endless() } }), refused('widths.length'));
  t.throws(() => new Tensor('int32', new Int32Array(1), endless()), refused('dims.length'));
  await t.rejects(load(fixtureFolder('post'), { device: endless() }), refused('device.length'));
  t.throws(() => plan({ model: presets.L, temperature: holes([1, 1, 1]) }), refused('temperature'));
  t.throws(() => plan({ model: presets.L, refresh: holes([2, 3, 4]) }), refused('step in refresh'));
});

t.test('arrays that were detached or shrunk after they were checked', async (t) => {
  const tokens = new Tensor('int32', new Int32Array(N), [1, N]);
  const pixels = new Tensor('float32', new Float32Array(144), pixelDims);
  structuredClone([tokens.data.buffer, pixels.data.buffer], {
    transfer: [tokens.data.buffer as ArrayBuffer, pixels.data.buffer as ArrayBuffer],
  });
  const refused = { name: 'RangeError', message: shortened };
  await t.rejects(model.tokenize(pixels), refused);
  await t.rejects(model.detokenize(tokens), refused);
  await t.rejects(model.forward({ tokens, labels: ['a'] }), refused);
  t.throws(() => model.generate({ tokens }), refused);
  t.throws(() => contactSheet(pixels), refused);
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  const size = { width: 1, height: 1, channels: 1 };
  t.throws(() => decodePng(bytes, size), { code: 'ERR_MEDIA' });

  type Resizable = ArrayBuffer & { resize(bytes: number): void };
  const Growing = ArrayBuffer as unknown as new (bytes: number, options: object) => Resizable;
  const buffer = new Growing(4 * 144, { maxByteLength: 4096 });
  const shrinking = new Tensor('float32', new Float32Array(buffer), pixelDims);
  const running = model.tokenize(shrinking);
  buffer.resize(8); // what runs has its own copy
  t.equal((await running).size, N);
  await t.rejects(model.tokenize(shrinking), refused);
});

t.test('memory that is shared between threads is taken', async (t) => {
  const shared = new Int32Array(new SharedArrayBuffer(4 * N)).fill(-1);
  const plain = new Int32Array(N).fill(-1);
  const run = async (tokens: Int32Array) =>
    (await model.generate({ tokens, steps: 2, seed: 1 }).result()).tokens.data;
  t.same(await run(shared), await run(plain));
  const pixels = new Float32Array(new SharedArrayBuffer(4 * 144));
  t.equal((await model.tokenize(new Tensor('float32', pixels, pixelDims))).size, N);
});

t.test('values that are another one when they are read again', async (t) => {
  const twice = <T>(first: T, second: T) => {
    let reads = 0;
    return { get: () => (reads++ === 0 ? first : second) };
  };
  const data = new Int32Array(N);
  const tensor = (dims: PropertyDescriptor, values: PropertyDescriptor) =>
    Object.defineProperties({ type: 'int32' }, { dims, data: values }) as Tensor<'int32'>;
  const [dims, value] = [{ value: [1, N] }, { value: data }];
  t.equal((await model.detokenize(tensor(twice([1, N], [9, N]), value))).size, 144);
  t.equal((await model.detokenize(tensor(dims, twice(data, new Int32Array(1))))).size, 144);
  const options = Object.defineProperty({}, 'steps', { ...twice(2, 999), enumerable: true });
  t.equal(model.generate(options).plans[0]!.steps.length, 2);
  const thrown = new Error('from a getter');
  const throws = Object.defineProperty({}, 'steps', {
    get() {
      throw thrown;
    },
    enumerable: true,
  });
  t.throws(() => model.generate(throws), thrown, 'its own error is passed on');
  for (const taken of [new Proxy({ steps: 1 }, {}), Object.freeze({ steps: 1 })]) {
    t.equal(model.generate(taken).plans[0]!.steps.length, 1);
  }
  t.equal(plan({ model: new Proxy(presets.L, {}) }).flops, plan({ model: presets.L }).flops);
  t.throws(() => model.generate(JSON.parse('{"__proto__":{"steps":1}}') as GenerateOptions), {
    message: /^Expected options among .* but received "__proto__"$/,
  });
});

t.test('whatever an abort gives as its reason is what is thrown', async (t) => {
  for (const reason of [null, 0, 'text', Symbol('reason'), { a: 1 }, new Error('mine')]) {
    const signal = AbortSignal.abort(reason);
    const rejects = async (promise: Promise<unknown>) => {
      const outcome = await promise.then(
        () => 'no error',
        (thrown) => thrown,
      );
      t.equal(outcome, reason);
    };
    await rejects(model.generate({ signal }).result());
    await rejects(load(fixtureFolder('post'), { signal }));
  }
  await t.rejects(model.generate({ signal: AbortSignal.abort() }).result(), { name: 'AbortError' });
});

t.test('seeds and zeros at their ends', async (t) => {
  const tokens = async (options: GenerateOptions) =>
    (await model.generate({ steps: 2, seed: 0, labels: [0], ...options }).result()).tokens.data;
  const usual = await tokens({});
  t.same(await tokens({ seed: -0 }), usual);
  t.same(await tokens({ seed: 0n }), usual);
  t.same(await tokens({ labels: [-0] }), usual);
  t.same(await tokens({ guidance: -0 }), usual);
  t.equal((await tokens({ seed: 2n ** 64n - 1n })).length, N);
  for (const seed of [Number.NaN, -1, 0.5, 2 ** 53, 2n ** 64n, -1n]) {
    t.throws(() => model.generate({ seed }), {
      name: 'RangeError',
      message: /for seed but received/,
    });
  }
});
