/** The whole model against PyTorch: every width, a cached step with stale keys and values, the tokenizer, prediction. */

import t from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import { info, load } from '../../lib/index.js';
import { findWidth } from '../../lib/plan/schedule.js';
import { logitsColumns } from '../../lib/plan/vocabulary.js';
import { labelIds, tokenIds } from '../../lib/runtime/ids.js';
import { engineTensors, nativeGeneratorConfig } from '../../lib/runtime/listing.js';
import { native } from '../../lib/runtime/native.js';
import { Tensor } from '../../lib/tensor.js';
import {
  expectations,
  fixtureFolder,
  fixtureNames,
  relativeError,
  widthNames,
} from './fixtures.js';

// f32 rounds to 2^-24. Two layers chain about ten sums of up to 128 products; each loses at most sqrt(128) roundings
// typically, LayerNorm rescales once a sum, so 10 * sqrt(128) * 2^-24 = 7e-6 of the largest logit. PyTorch loses as much.
const f32Bound = 2 * 10 * Math.sqrt(128) * 2 ** -24;

for (const name of fixtureNames) {
  for (const instructionSet of info().cpu.instructionSets) {
    t.test(`${name}, ${instructionSet}`, async (t) => {
      const expected = expectations(name);
      const model = await load(fixtureFolder(name), { instructionSet, threads: 2 });
      t.teardown(() => model.dispose());
      t.equal(model.backend, `cpu/${instructionSet}`);
      const labels = [...expected.int('labels').data].map((label) => (label < 0 ? null : label));

      for (const width of widthNames) {
        const logits = await model.forward({ tokens: expected.int('ids'), labels, width });
        const want = expected.float(`logits.${width}`);
        t.same(logits.dims, want.dims);
        const error = relativeError(logits.data, want.data);
        t.ok(error < f32Bound, `width ${width}: error ${error} of ${f32Bound}`);
      }

      if (model.tokenizerConfig === undefined) return;
      t.same(
        (await model.tokenize(imagesOf(expected.float('pixels')))).data,
        expected.int('tokens').data,
      );
      const detokenized = await model.detokenize(expected.int('tokens'));
      if (name === 'video') t.same(detokenized.dims, [2, 6, 4, 6, 1]);
      const error = relativeError(detokenized.data, expected.float('decoded').data);
      t.ok(error < f32Bound, `detokenized: error ${error}`);
    });
  }

  t.test(`${name}: a cached step`, async (t) => {
    const { config, tensors } = await readCheckpoint(fixtureFolder(name), engineTensors);
    const device = native().openCpu(2, '');
    t.teardown(() => device.dispose());
    const generator = await device.loadGenerator(nativeGeneratorConfig(config), tensors, 'f32');
    const expected = expectations(name);
    const labels = [...expected.int('labels').data].map((label) => (label < 0 ? null : label));
    const before = expected.int('ids');
    const later = expected.int('later.ids');
    const { ids, masked } = tokenIds(config, before, labels.length);

    for (const width of widthNames) {
      const { heads, hidden } = findWidth(config, width);
      const pass = { heads, hidden, allLogits: false };
      const session = await generator.openSession({
        ids,
        masked,
        turns: new Int32Array(),
        classIds: labelIds(config, labels),
        nullClassId: -1,
        sampleNumbers: Int32Array.of(0, 1, 2),
        seeds: new BigUint64Array(3),
      });
      await session.compute({ ...pass, refresh: true });
      // Those that `later` knows and `before` does not; what both know is left.
      const revealed = later.data.map((id, i) => (before.data[i]! < 0 ? id : -1));
      const state = await session.reveal(revealed);
      t.same(
        state.ids.map((id, i) => (state.masked[i] ? -1 : id)),
        later.data,
      );
      const second = await session.compute({ ...pass, refresh: false });
      t.equal(second.logitsRows, later.data.filter((id) => id < 0).length);
      const want = expected.float(`later.${width}`);
      const rows: number[] = [];
      later.data.forEach((id, position) => {
        if (id < 0) {
          const columns = logitsColumns(config);
          rows.push(...want.data.subarray(position * columns, (position + 1) * columns));
        }
      });
      const error = relativeError(second.logits, rows);
      t.ok(error < f32Bound, `width ${width}: error ${error} of ${f32Bound}`);
      session.dispose();
    }
  });
}

for (const name of fixtureNames) {
  t.test(`${name}: a whole greedy decode`, async (t) => {
    const expected = expectations(name);
    const model = await load(fixtureFolder(name));
    t.teardown(() => model.dispose());
    const { tokens } = await model
      .generate({
        labels: [...expected.int('labels').data].map((label) => (label < 0 ? null : label)),
        schedule: '1/8x2,1/4x2,1/2x2,1x2',
        guidance: model.config.nullClass ? 1.5 : 0,
        temperature: 0,
        choiceTemperature: 0,
      })
      .result();
    t.same(
      tokens.data,
      expected.int('greedy').data,
      'the same tokens, with the cache and guidance',
    );
  });
}

for (const instructionSet of info().cpu.instructionSets) {
  t.test(`video: frames predicted, ${instructionSet}`, async (t) => {
    const expected = expectations('video');
    const model = await load(fixtureFolder('video'), { instructionSet });
    t.teardown(() => model.dispose());
    const { tokens } = await model
      .predict({
        frames: expected.float('given'),
        schedule: '1/8x2,1/4x2,1/2x2,1x2',
        temperature: 0,
        choiceTemperature: 0,
      })
      .result();
    t.same(tokens.data, expected.int('predicted').data);
  });
}

/** Fixtures keep the frame axis; the API leaves a single frame out. */
function imagesOf(pixels: Tensor<'float32'>): Tensor<'float32'> {
  const [count, frames, ...rest] = pixels.dims;
  return frames === 1 ? new Tensor('float32', pixels.data, [count!, ...rest]) : pixels;
}
