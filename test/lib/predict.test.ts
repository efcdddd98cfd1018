/** Frame prediction through the public API; that it is PyTorch's is in pytorch.test.ts. */

import t from 'tap';
import { load, type Model, Tensor } from '../../lib/index.js';
import { copyOf, expectations, fixtureFolder } from './fixtures.js';

const model: Model = await load(fixtureFolder('video'), { threads: 2 });
t.teardown(() => model.dispose());

const expected = expectations('video');
const frames = expected.float('given');
const base = { frames, steps: 8, seed: 5 } as const;

t.test('a result has the frames after the given ones', async (t) => {
  const prediction = model.predict(base);
  const { tokens, pixels, predicted, labels, flops } = await prediction.result();
  t.same(labels, [null, null]);
  t.same(tokens.dims, [2, 12]);
  t.same(
    [pixels.dims, predicted.dims],
    [
      [2, 6, 4, 6, 1],
      [2, 3, 4, 6, 1],
    ],
  );
  t.same(pixels.data, (await model.detokenize(tokens)).data);
  for (const sample of [0, 1]) {
    const after = pixels.data.subarray((sample * 6 + 3) * 24, (sample + 1) * 6 * 24);
    t.same(predicted.data.subarray(sample * 72, (sample + 1) * 72), after);
  }
  t.equal(flops, prediction.plannedFlops);
});

t.test('a result without pixels has its tokens', async (t) => {
  const { tokens } = await model.predict(base).result();
  const bare = await model.predict(base).result({ pixels: false });
  t.same(bare.tokens.data, tokens.data);
  t.throws(() => bare.pixels, { code: 'ERR_STATE' });
  t.throws(() => bare.predicted, { code: 'ERR_STATE' });
});

t.test('steps: all tokens are masked at first, also those of the given frames', async (t) => {
  const prediction = model.predict({ ...base, schedule: '1/4x2,1x2', steps: undefined });
  t.same(
    prediction.plans.map(({ samples, branches, steps }) => [samples, branches, steps[0]?.masked]),
    [[2, 2, 24]],
    'without guidance, whatever the model says',
  );
  let last: Tensor<'int32'> | undefined;
  for await (const { tokens, step, steps } of prediction) {
    t.equal(steps, 4);
    t.equal(tokens.data.includes(-1), step < 3);
    last = tokens;
  }
  const again = await model.predict({ ...base, schedule: '1/4x2,1x2', steps: undefined }).result();
  t.same(again.tokens.data, last!.data);
});

t.test('a sample depends on its frames, its seed and its number alone', async (t) => {
  const four = await model.predict({ ...base, count: 4 }).result();
  const second = new Tensor('float32', frames.data.slice(72), [1, 3, 4, 6, 1]);
  const alone = await model.predict({ ...base, frames: second, firstSample: 3 }).result();
  t.same(alone.tokens.data, four.tokens.data.slice(36), 'frames repeat in turn');
  t.notSame(four.tokens.data.slice(0, 12), four.tokens.data.slice(24, 36));
  const dark = new Tensor('float32', new Float32Array(frames.size), frames.dims);
  const other = await model.predict({ ...base, frames: dark }).result();
  t.notSame(other.tokens.data, four.tokens.data.slice(0, 24));
});

t.test('batches and steps, as of a generation', async (t) => {
  const whole = await model.predict({ ...base, count: 5 }).result();
  const batched = model.predict({ ...base, count: 5, batchSize: 2 });
  t.equal(batched.plans.length, 3);
  for await (const { batches } of batched) t.equal(batches, 3);
  const result = await batched.result();
  t.same(result.tokens.data, whole.tokens.data);
  t.same(result.predicted.data, whole.predicted.data);
  t.equal(result.tokenizerFlops, whole.tokenizerFlops);
  const generated = await model.generate({ count: 5, steps: 8 }).result();
  t.ok(result.tokenizerFlops > generated.tokenizerFlops, 'tokenizing what is given counts');
});

t.test('it can be aborted', async (t) => {
  const reason = new Error('enough');
  const prediction = model.predict({ ...base, signal: AbortSignal.abort(reason) });
  await t.rejects(prediction.result(), reason);
});

t.test('wrong arguments are refused at once', async (t) => {
  const wrong = (options: object) => () => model.predict({ ...base, ...options });
  const sized = (...dims: number[]) =>
    new Tensor('float32', new Float32Array(dims.reduce((product, n) => product * n, 1)), dims);
  t.throws(wrong({ frames: sized(1, 2, 4, 6, 1) }), {
    name: 'RangeError',
    message: 'Expected [samples, 3, 4, 6, 1] for frames but received [1,2,4,6,1]',
  });
  t.throws(wrong({ frames: sized(0, 3, 4, 6, 1), count: 2 }), { message: /for frames but/ });
  t.throws(wrong({ frames: sized(3, 4, 6, 1) }), { name: 'RangeError' });
  t.throws(wrong({ frames: undefined }), { name: 'TypeError', message: /a float32 tensor for/ });
  t.throws(wrong({ frames: expected.int('tokens') }), { name: 'TypeError' });
  t.throws(wrong({ count: 0 }), { name: 'RangeError' });
  for (const unknown of ['labels', 'tokens', 'guidance', 'dtype']) {
    t.throws(wrong({ [unknown]: undefined }), {
      name: 'TypeError',
      message: `Expected options among frames, count, steps, schedule, budget, maskingSchedule, cache, refresh, order, temperature, inverseTemperature, choiceTemperature, confidence, topK, seed, firstSample, batchSize, signal but received "${unknown}"`,
    });
  }
  t.throws(wrong({ schedule: '1/3x8' }), { name: 'RangeError' });
});

t.test('a model that cannot', async (t) => {
  const post = await load(fixtureFolder('post'));
  t.teardown(() => post.dispose());
  t.throws(() => post.predict(base), {
    code: 'ERR_UNSUPPORTED',
    message: 'post predicts no frames: its config.json has no "prediction"',
  });
  post.dispose();
  t.throws(() => post.predict(base), { code: 'ERR_DISPOSED' });
});

t.test('prediction in config.json', async (t) => {
  const { folder, change } = copyOf('video', t);
  const refused = async (prediction: unknown, message: RegExp) => {
    change('config.json', { prediction });
    await t.rejects(load(folder), { code: 'ERR_CHECKPOINT', message });
  };
  await refused(3, /config\.json: expected an object for prediction/);
  await refused({}, /config\.json: expected an integer in 1 .. 4096 for prediction\.frames/);
  await refused({ frames: 0 }, /prediction\.frames but received 0/);
  await refused(
    { frames: 6 },
    /tokenizer.config\.json: expected more than the 6 frames that prediction is given for sample_shape but received 6/,
  );
});
