/**
 * What holds for every input, on inputs that nobody thought of (fast-check): a config, a header or an index is read or
 * refused with a code, what is written is read back, and every plan adds up. A failure prints the smallest input that
 * was found, and the seed that finds it again.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { parseGeneratorConfig, parseTokenizerConfig } from '../../lib/checkpoint/config.js';
import { openSource } from '../../lib/checkpoint/convert/open.js';
import { closeSource } from '../../lib/checkpoint/convert/source.js';
import {
  animation,
  decodePng,
  encodePng,
  formatSchedule,
  MagnetsError,
  type ModelShape,
  maskCounts,
  type PlanOptions,
  parseSchedule,
  plan,
  presets,
  Tensor,
  tokenCount,
} from '../../lib/index.js';
import { maskingScheduleNames } from '../../lib/plan/masking.js';
import { plannedOptionNames as planOptionNames } from '../../lib/plan/plan.js';
import { guidanceScheduleNames, orders } from '../../lib/plan/recipe.js';
import { fixtureFolder, fixtureNames, parseSafetensors } from './fixtures.js';

type Json = Record<string, unknown>;

const readConfig = (path: string): Json => JSON.parse(readFileSync(path, 'utf8'));
const configs = fixtureNames.map((name) => readConfig(join(fixtureFolder(name), 'config.json')));
const tokenizerConfigs = (['post', 'pre', 'video'] as const).map((name) =>
  readConfig(join(fixtureFolder(name), 'tokenizer/config.json')),
);

/** Numbers near every bound, and all others. */
const numbers = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    1,
    -1,
    2,
    0.5,
    1e-20,
    1e-6,
    1e30,
    1e31,
    1e308,
    2 ** 16,
    2 ** 20,
    2 ** 31,
    2 ** 53,
  ),
  fc.integer({ min: -4, max: 70 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const json = fc.oneof(numbers, fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>);
const words = fc.constantFrom(
  ...['none', 'rms', 'rms_norm', 'multiply', 'class', 'pre', 'post', 'plain', 'silu', 'switch'],
  ...[...maskingScheduleNames, ...orders, ...guidanceScheduleNames],
);
const sampling = fc.record(
  {
    steps: numbers,
    guidance: numbers,
    guidance_schedule: words,
    guidance_power: numbers,
    masking_schedule: words,
    refresh: fc.oneof(numbers, words, fc.array(fc.nat(12))),
    order: words,
    temperature: fc.oneof(numbers, fc.array(numbers)),
    inverse_temperature: fc.oneof(numbers, fc.array(numbers)),
    choice_temperature: fc.oneof(numbers, fc.array(numbers)),
    top_k: numbers,
  },
  { requiredKeys: [] },
);
const width = fc.record({
  name: fc.constantFrom('1/8', '2/16', '1/4', '1/2', '1', '0', '0/0', '1/0', '007', '1e3'),
  heads: fc.integer({ min: 0, max: 9 }),
  hidden: fc.integer({ min: 0, max: 130 }),
});

/** A sound config in which some keys have other values. */
const changed = (seeds: readonly Json[]) =>
  fc
    .record({
      seed: fc.constantFrom(...seeds),
      keys: fc.array(
        fc.tuple(
          fc.oneof(
            fc.constantFrom(...new Set(seeds.flatMap((seed) => Object.keys(seed)))),
            fc.constantFrom(
              'norm_type',
              'mlp_gate',
              'modulation',
              'sub_tokens',
              'head_dim',
              'tied',
            ),
          ),
          fc.oneof(json, words, fc.boolean(), fc.array(fc.integer({ min: 1, max: 64 }))),
        ),
        { maxLength: 3 },
      ),
      sampling: fc.option(sampling, { nil: undefined }),
      widths: fc.option(fc.array(width, { maxLength: 3 }), { nil: undefined }),
    })
    .map(({ seed, keys, sampling, widths }) => ({
      ...seed,
      ...(sampling && { sampling }),
      ...(widths && { widths: [...widths, ...(seed.widths as Json[]).slice(-1)] }),
      ...Object.fromEntries(keys),
    }));

/** What `read` gives, or undefined where it refuses with one of these codes. */
function readOrRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MagnetsError && error.code === 'ERR_CHECKPOINT') return undefined;
    throw error;
  }
}

/** What `call` gives, or undefined where an argument is refused. */
function calledOrRefused<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    const refused = error instanceof TypeError || error instanceof RangeError;
    if (refused && /^Expected /.test(error.message)) return undefined;
    throw error;
  }
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** Checks everything that a plan promises. */
function assertSound(options: PlanOptions, made: ReturnType<typeof plan>): void {
  const { model } = options;
  const holds = (what: string, right: boolean) => {
    if (!right) throw new Error(`a plan whose ${what} is wrong`);
  };
  const [frames, height, width] = model.latentShape;
  const positions = frames * height * width;
  let masked = [options.masked ?? positions].flat().map((n) => n * (model.subTokens ?? 1));
  for (const [t, step] of made.steps.entries()) {
    holds('number of masked positions', step.masked === sum(masked));
    // One of a sample is kept for the last step, else each step reveals some.
    holds(
      'reveal',
      masked.every((before, i) => step.maskedAfter[i]! < before || before <= 1),
    );
    const rows = made.branches * (positions + 1);
    holds('active rows', step.activeRows >= 0 && step.activeRows <= rows);
    holds('refresh', !step.refresh || step.activeRows === rows);
    holds('logits rows', step.logitsRows >= 0 && step.logitsRows <= rows);
    // The formulas of docs/method.md, by themselves.
    const inner = step.width.heads * model.headDim;
    const [n, d, L] = [step.activeRows, model.hiddenSize, model.layers];
    const matrices = model.mlpGate === 'multiply' ? 3 : 2;
    const modulation =
      t === 0 && model.modulation === 'class' ? 2 * made.branches * (6 * L + 2) * d * d : 0;
    holds('projections', step.parts.projections === 8 * L * n * d * inner + modulation);
    holds('attention', step.parts.attention === 4 * L * n * (positions + 1) * inner);
    holds('MLP', step.parts.mlp === 2 * matrices * L * n * d * step.width.hidden);
    const columns =
      (model.tied ?? true)
        ? model.vocabSize
        : (model.subTokens ?? 1) * Math.round(model.codebookSize ** (1 / (model.subTokens ?? 1)));
    const head = (model.head === 'plain' ? 0 : d * d) + columns * d;
    holds('LM head', step.parts.lmHead === 2 * step.logitsRows * head);
    holds('sum of parts', step.flops === sum(Object.values(step.parts)));
    const finite = [step.guidance, step.temperature, step.choiceTemperature].every(
      (value) => Number.isFinite(value) && value >= 0,
    );
    holds('sampling', finite);
    masked = [...step.maskedAfter];
  }
  holds('end', sum(masked) === 0 || made.steps.length === 0);
  holds('sum of steps', made.flops === sum(made.steps.map((step) => step.flops)));
  holds('baseline', made.baselineFlops >= made.flops);
  if (made.steps.length > 0) {
    const phases = parseSchedule(made.schedule, model, made.steps.length);
    const widths = phases.flatMap((phase) => Array(phase.steps).fill(phase.width));
    holds(
      'schedule',
      made.steps.every((step, i) => step.width === widths[i]),
    );
    holds('text of the schedule', formatSchedule(phases) === made.schedule);
  }
}

t.test('a config is read, and can be planned, or it is refused with a code', async () => {
  fc.assert(
    fc.property(changed(configs), (value) => {
      const config = readOrRefused(() => parseGeneratorConfig('config.json', 'any', value));
      if (config === undefined) return;
      const { steps } = config.sampling;
      assertSound({ model: config }, plan({ model: config }));
      if (steps > 1) plan({ model: config, steps: 1 });
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(changed(tokenizerConfigs.map((config) => ({ widths: [], ...config }))), (value) => {
      readOrRefused(() => parseTokenizerConfig('config.json', value));
    }),
    { numRuns: 1000 },
  );
});

const dtypes = { F32: 4, F16: 2, BF16: 2, I8: 1 } as const;
const tensors = fc.dictionary(
  fc.string({ unit: 'binary' }).filter((name) => name !== '__metadata__'),
  fc.record({
    dtype: fc.constantFrom(...(Object.keys(dtypes) as (keyof typeof dtypes)[])),
    shape: fc.array(fc.nat(3), { maxLength: 4 }),
  }),
  { noNullPrototype: false },
);

/** A file of these tensors, whose bytes count up. */
function safetensors(
  entries: readonly (readonly [string, { dtype: keyof typeof dtypes; shape: number[] }])[],
) {
  let end = 0;
  const header = entries.map(([name, { dtype, shape }]) => {
    const begin = end;
    end += shape.reduce((product, extent) => product * extent, dtypes[dtype]);
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const data = Buffer.from(Array.from({ length: end }, (_, i) => i % 251));
  return { header, data, bytes: Buffer.concat([length, text, data]) };
}

t.test('safetensors are read as they were written', async (t) => {
  fc.assert(
    fc.property(tensors, (given) => {
      const { header, data, bytes } = safetensors(Object.entries(given));
      const read = parseSafetensors('file', bytes);
      const found = Object.entries(read).map(([name, { dtype, shape, data }]) => [
        name,
        dtype,
        shape,
        [...data],
      ]);
      const wanted = header.map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [begin, end],
          },
        ]) => [name, dtype, shape, [...data.subarray(begin, end)]],
      );
      const byName = (list: unknown[][]) =>
        JSON.stringify(list.sort((a, b) => (`${a[0]}` < `${b[0]}` ? -1 : 1)));
      return byName(found) === byName(wanted);
    }),
  );
  const sound = safetensors([
    ['a', { dtype: 'F32', shape: [2, 3] }],
    ['b', { dtype: 'I8', shape: [5] }],
  ]);
  const places = fc.array(fc.tuple(fc.nat(sound.bytes.length - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(places, (changes) => {
      const bytes = Buffer.from(sound.bytes);
      for (const [at, value] of changes) bytes[at] = value;
      readOrRefused(() => parseSafetensors('file', bytes));
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), json), (header) => {
      const text = Buffer.from(JSON.stringify(header));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.length));
      readOrRefused(() =>
        parseSafetensors('file', Buffer.concat([length, text, Buffer.alloc(16)])),
      );
    }),
    { numRuns: 1000 },
  );

  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'a.safetensors'), sound.bytes);
  const index = join(folder, 'model.safetensors.index.json');
  const shard = fc.oneof(
    fc.constantFrom('a.safetensors', 'none.safetensors', '../a.safetensors', '.', ''),
    json,
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        json,
        fc.record({
          weight_map: fc.oneof(
            json,
            fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), shard),
          ),
        }),
      ),
      async (value) => {
        writeFileSync(index, JSON.stringify(value));
        try {
          await closeSource(await openSource(index));
        } catch (error) {
          if (!(error instanceof MagnetsError) || error.code !== 'ERR_CHECKPOINT') throw error;
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** Sizes at which every FLOP is an integer that float64 holds. */
const models: fc.Arbitrary<ModelShape> = fc
  .record({
    layers: fc.integer({ min: 1, max: 48 }),
    hiddenSize: fc.integer({ min: 1, max: 2048 }),
    heads: fc.integer({ min: 1, max: 24 }),
    headDim: fc.integer({ min: 1, max: 128 }),
    intermediateSize: fc.integer({ min: 1, max: 8192 }),
    mlpGate: fc.constantFrom('none', 'multiply', undefined),
    modulation: fc.constantFrom('none', 'class', undefined),
    head: fc.constantFrom('dense', 'plain', undefined),
    tied: fc.constantFrom(true, false, undefined),
    subTokens: fc.constantFrom(1, 2, undefined),
    digits: fc.integer({ min: 2, max: 512 }),
    classes: fc.integer({ min: 0, max: 1000 }),
    latentShape: fc.tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: 1, max: 16 }),
    ),
    parts: fc.uniqueArray(fc.constantFrom(8, 5, 4, 3, 2), { maxLength: 4 }),
  })
  .map(({ digits, classes, parts, heads, intermediateSize, subTokens, ...rest }): ModelShape => {
    const codebookSize = digits ** (subTokens ?? 1);
    return {
      ...rest,
      name: 'any',
      heads,
      intermediateSize,
      subTokens,
      codebookSize,
      vocabSize: digits * (subTokens ?? 1) + classes + 2,
      widths: [...parts.sort((a, b) => b - a), 1].map((part) => ({
        name: part === 1 ? '1' : `1/${part}`,
        heads: Math.ceil(heads / part),
        hidden: Math.ceil(intermediateSize / part),
      })),
    };
  });

const shares = fc.double({ min: 1e-6, max: 100, noNaN: true });
const range = fc.oneof(shares, fc.array(shares, { minLength: 2, maxLength: 4 }));

/** Options that are sound by themselves, most often one of them replaced by any number. */
const planOptions = fc
  .record({ model: fc.oneof(models, fc.constantFrom(...Object.values(presets))) })
  .chain(({ model }) => {
    const names = model.widths.map(({ name }) => name);
    const phase = fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 5 }));
    const most = tokenCount(model);
    const refresh = fc.oneof(
      fc.constant('switch' as const),
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.nat(12), { maxLength: 4 }),
    );
    const either = fc.oneof(
      fc.record({ steps: fc.integer({ min: 1, max: 40 }) }, { requiredKeys: [] }),
      fc.record({ schedule: fc.constantFrom('paper', 'baseline') }),
      fc.record({ schedule: fc.array(phase, { minLength: 1, maxLength: 4 }) }),
      fc.record({ budget: fc.double({ min: 0, max: 1.1, noNaN: true }) }),
    );
    const others = fc.record(
      {
        maskingSchedule: fc.constantFrom(...maskingScheduleNames),
        order: fc.constantFrom(...orders),
        choiceTemperature: range,
        guidance: shares,
        guidanceSchedule: fc.constantFrom(...guidanceScheduleNames),
        guidancePower: shares,
        masked: fc.oneof(fc.nat(most), fc.array(fc.nat(most), { minLength: 1, maxLength: 3 })),
      },
      { requiredKeys: [] },
    );
    const temperature = fc.oneof(
      fc.record({ temperature: range }),
      fc.record({ inverseTemperature: range }),
    );
    const cache = fc.oneof(fc.record({ refresh }), fc.record({ cache: fc.boolean() }));
    const odd = fc.option(fc.tuple(fc.constantFrom(...planOptionNames), numbers));
    return fc
      .tuple(either, others, temperature, cache, odd)
      .map(([either, others, temperature, cache, odd]) => ({
        model,
        ...either,
        ...others,
        ...temperature,
        ...cache,
        ...(odd && { [odd[0]]: odd[1] }),
      }));
  }) as fc.Arbitrary<PlanOptions>;

t.test('every plan adds up, or its options are refused', async (t) => {
  let made = 0;
  fc.assert(
    fc.property(planOptions, (options) => {
      const result = calledOrRefused(() => plan(options));
      if (result === undefined) return;
      ++made;
      assertSound(options, result);
    }),
    { numRuns: 3000 },
  );
  t.ok(made > 200, `${made} plans`);
});

t.test('a model has up to 64 widths, no two of the same number', async (t) => {
  const parse = (names: string[]) => () =>
    parseGeneratorConfig('config.json', 'any', {
      ...configs[0],
      widths: names.map((name) => ({
        name,
        heads: configs[0]!.num_attention_heads,
        hidden: configs[0]!.intermediate_size,
      })),
    });
  parse(['1/8', '1'])();
  t.throws(parse(['1/8', '2/16', '1']), { message: /a name of its own for every width/ });
  const many = Array.from({ length: 64 }, (_, i) => `${i + 1}/64`);
  parse(many)();
  t.throws(parse(['1/65', ...many]), { message: /at most 64 widths for widths/ });
  for (const name of ['0', '1/0', '0/0', '01', '1/1234567890']) {
    t.throws(parse([name, '1']), { message: /a name such as '1\/8' for widths\[0\].name/ }, name);
  }
});

t.test('mask counts', async () => {
  fc.assert(
    fc.property(
      fc.nat(4096),
      fc.nat(1000),
      fc.constantFrom(...maskingScheduleNames),
      fc.constantFrom('down' as const, 'up' as const),
      (masked, steps, schedule, rounding) => {
        const counts = maskCounts(masked, steps, schedule, rounding);
        const falls = [masked, ...counts].every(
          (count, i, all) =>
            Number.isInteger(count) && count >= 0 && count <= (all[i - 1] ?? masked),
        );
        // Down to the one that is kept for the last step.
        const strictly = [masked, ...counts].every(
          (count, i, all) => i === 0 || count < all[i - 1]! || all[i - 1]! <= 1,
        );
        return counts.length === steps && falls && strictly && (steps === 0 || counts.at(-1) === 0);
      },
    ),
    { numRuns: 3000 },
  );
});

t.test('the text of a schedule', async () => {
  const { L } = presets;
  const phase = fc.record({
    width: fc.constantFrom(...L.widths),
    steps: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(phase, { minLength: 1, maxLength: 12 }), (phases) => {
      const steps = sum(phases.map((phase) => phase.steps));
      const read = parseSchedule(formatSchedule(phases), L, steps);
      return (
        formatSchedule(read) === formatSchedule(phases) &&
        read.every(({ width }, i) => width === phases[i]!.width)
      );
    }),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string({ unit: fc.constantFrom('1', '/', '8', 'x', ',', ' ', '0', '.') }),
      ),
      fc.nat(30),
      (text, steps) => {
        calledOrRefused(() => parseSchedule(text, L, steps));
      },
    ),
    { numRuns: 3000 },
  );
});

t.test('pictures are read as they were written', async () => {
  const pictures = fc
    .tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(1, 3),
    )
    .chain(([frames, height, width, channels]) =>
      fc.record({
        dims: fc.constant([frames, height, width, channels] as const),
        bytes: fc.uint8Array({
          minLength: frames * height * width * channels,
          maxLength: frames * height * width * channels,
        }),
      }),
    );
  fc.assert(
    fc.property(pictures, ({ dims: [frames, height, width, channels], bytes }) => {
      const size = { height, width, channels };
      const data = Float32Array.from(bytes, (byte) => byte / 255);
      const one = new Tensor('float32', data.slice(0, data.length / frames), [
        height,
        width,
        channels,
      ]);
      const video = new Tensor('float32', data, [1, frames, height, width, channels]);
      const same = (a: Tensor<'float32'>, b: Tensor<'float32'>) =>
        a.data.every((value, i) => value === b.data[i]);
      return (
        same(decodePng(encodePng(one), size), one) &&
        same(decodePng(animation(video, 'apng'), size), video)
      );
    }),
  );
});
