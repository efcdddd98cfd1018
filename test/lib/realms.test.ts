/** Values of another realm or of another copy of the package, and the package itself in another realm. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import t, { type Test } from 'tap';
// The tests run on their own compilation of lib, so what is built is another copy of the package.
import * as copy from '../../dist/index.js';
import {
  animation,
  contactSheet,
  decodePng,
  encodePng,
  load,
  MagnetsError,
  stepStrip,
  Tensor,
} from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';

const model = await load(fixtureFolder('post'), { threads: 2 });
t.teardown(() => model.dispose());
const options = { labels: ['a'], steps: 4, seed: 3 };
const { tokens, pixels } = await model.generate(options).result();

const realm = createContext({});
/** The same in the other realm. */
const foreign = <T extends Float32Array | Int32Array | Uint8Array>(data: T): T =>
  runInContext(`(values) => ${data.constructor.name}.from(values)`, realm)(data);

t.test('typed arrays of another realm', async (t) => {
  const data = foreign(tokens.data);
  t.notOk(data instanceof Int32Array);
  const tensor = new Tensor('int32', data, tokens.dims);
  t.equal(tensor.data, data);
  t.same([...(await model.detokenize(tensor)).data], [...pixels.data]);
  const masked = foreign(new Int32Array(12).fill(-1));
  const own = await model.generate({ ...options, tokens: new Int32Array(12).fill(-1) }).result();
  const other = await model.generate({ ...options, tokens: masked }).result();
  t.same([...other.tokens.data], [...own.tokens.data]);
  const png = encodePng(new Tensor('float32', pixels.data, pixels.dims.slice(1)));
  const size = { height: 6, width: 8, channels: 3 };
  t.same([...decodePng(foreign(png), size).data], [...decodePng(png, size).data]);
  t.ok(stepStrip(pixels, foreign(new Uint8Array(12)), [1, 3, 4]).length > 0);
  t.throws(() => new Tensor('float32', data as never, tokens.dims), {
    name: 'TypeError',
    message: 'Expected a Float32Array for data but received Int32Array',
  });
});

t.test('options, lists and signals of another realm', async (t) => {
  const other = runInContext(`({ labels: ['a'], steps: 4, seed: 3, refresh: [1] })`, realm);
  const result = await model.generate(other).result();
  const own = await model.generate({ ...options, refresh: [1] }).result();
  t.same([...result.tokens.data], [...own.tokens.data]);
  // AbortSignal is no part of JavaScript: a realm gets one from who makes it, such as jsdom.
  const reason = new Error('enough');
  const signal = {
    aborted: true,
    reason,
    throwIfAborted() {
      throw reason;
    },
  } as unknown as AbortSignal;
  await t.rejects(model.generate({ ...options, signal }).result(), reason);
});

/** Everything that takes a tensor takes this one. */
async function taken(t: Test, from: (tensor: Tensor) => Tensor): Promise<void> {
  const ids = from(tokens) as Tensor<'int32'>;
  const shown = from(pixels) as Tensor<'float32'>;
  t.same([...(await model.detokenize(ids)).data], [...pixels.data]);
  t.same((await model.forward({ tokens: ids, labels: ['a'] })).dims, [1, 12, 47]);
  t.same([...(await model.tokenize(shown)).data], [...(await model.tokenize(pixels)).data]);
  const edited = await model.generate({ labels: ['a'], tokens: ids }).result();
  t.same([...edited.tokens.data], [...tokens.data]);
  t.same(contactSheet(shown), contactSheet(pixels));
  t.same(stepStrip(shown, new Uint8Array(12), [1, 3, 4]).length > 0, true);
  const video = new Tensor('float32', pixels.data, [1, 2, 3, 8, 3]);
  t.same(animation(from(video) as Tensor<'float32'>, 'gif'), animation(video, 'gif'));
}

t.test('tensors of another copy of the package', async (t) => {
  t.notOk(tokens instanceof copy.Tensor);
  await taken(t, ({ type, data, dims }) => new copy.Tensor(type, data, dims) as unknown as Tensor);
  const disposed = new copy.Tensor('int32', new Int32Array(12), [1, 12]);
  disposed.dispose();
  await t.rejects(model.detokenize(disposed as unknown as Tensor<'int32'>), {
    code: 'ERR_DISPOSED',
  });
});

t.test('tensors as structuredClone and messages leave them', async (t) => {
  const clone = structuredClone(tokens);
  t.same([...clone.data], [...tokens.data], 'with the data');
  t.same([clone.type, clone.dims, clone.size], ['int32', [1, 12], 12]);
  await taken(t, (tensor) => structuredClone(tensor));
  const { port1, port2 } = new MessageChannel();
  await taken(t, (tensor) => {
    port1.postMessage(tensor);
    return receiveMessageOnPort(port2)?.message as Tensor;
  });
  port1.close();
  const disposed = new Tensor('int32', new Int32Array(12), [1, 12]);
  disposed.dispose();
  t.throws(() => structuredClone(disposed), { code: 'ERR_DISPOSED' }, 'never silently empty');
  const moved = new Tensor('int32', new Int32Array(12), [1, 12]);
  structuredClone(moved, { transfer: [moved.data.buffer as ArrayBuffer] });
  await t.rejects(
    model.detokenize(moved),
    { name: 'RangeError', message: /^Expected 12 elements for \[1,12\] for data but received 0$/ },
    'data that was transferred is gone',
  );
});

t.test('errors of another copy are MagnetsErrors, other errors are not', async (t) => {
  const error = new copy.MagnetsError('ERR_STATE', 'x');
  t.ok(error instanceof MagnetsError && error instanceof Error);
  t.notOk(new Error('x') instanceof MagnetsError);
  t.notOk({ code: 'ERR_STATE' } instanceof MagnetsError);
  t.notOk((null as unknown) instanceof MagnetsError);
  class Special extends MagnetsError {}
  t.ok(new Special('ERR_STATE', 'x') instanceof MagnetsError);
  t.notOk(error instanceof Special);
});

t.test('the package in a realm of its own', async (t) => {
  const script = fileURLToPath(new URL('realm.js', import.meta.url));
  const args = ['--experimental-vm-modules', '--no-warnings', script, fixtureFolder('post')];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.same(JSON.parse(stdout), {
    own: true,
    tokens: [...tokens.data],
    edited: [...tokens.data],
    dims: [
      [1, 6, 8, 3],
      [1, 12, 47],
      [1, 6, 8, 3],
      [1, 12],
    ],
    refused: [true, 'ERR_CHECKPOINT'],
  });
});
