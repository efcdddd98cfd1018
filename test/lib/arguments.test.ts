/**
 * Every public function with every wrong value in every place: a TypeError or a RangeError that says what was expected
 * and what was received, never an error of JavaScript's own, and nothing that makes no sense is taken.
 */

import t from 'tap';
import * as magnets from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';

const { Tensor, presets } = magnets;
const { L } = presets;

/** A proxy that nobody can look into any more: whatever is asked of it throws. */
function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** Values of every kind. */
const values = {
  undefined: undefined,
  null: null,
  true: true,
  zero: 0,
  negative: -1,
  half: 1.5,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  huge: 2 ** 53,
  bigint: 1n,
  empty: '',
  text: 'text',
  symbol: Symbol('x'),
  function: () => 1,
  list: [],
  nested: [[]],
  symbols: [Symbol('x')],
  object: {},
  map: new Map(),
  date: new Date(Number.NaN),
  bytes: new Uint8Array(3),
  floats: new Float32Array(3),
  proxy: new Proxy([], {}),
  revoked: revoked({}),
  revokedList: revoked([]),
  holdsRevoked: [revoked({})],
  shouts: {
    toJSON() {
      throw new Error('never seen');
    },
    toString() {
      throw new Error('never seen');
    },
  },
} as const;

type Kind = keyof typeof values;

/** What a place takes: these kinds of value, besides those that its call gives. */
type Row = [name: string, takes: readonly Kind[], call: (value: never) => unknown];

const model = await magnets.load(fixtureFolder('post'), { threads: 1 });
const video = await magnets.load(fixtureFolder('video'), { threads: 1 });
t.teardown(() => {
  model.dispose();
  video.dispose();
});

const pixels = new Tensor('float32', new Float32Array(12), [1, 2, 2, 3, 1]);
const picture = new Tensor('float32', new Float32Array(6), [2, 3, 1]);
const tokens = new Tensor('int32', new Int32Array(12), [1, 12]);
const [given, height, width, channels] = [
  video.config.prediction!.frames,
  ...video.tokenizerConfig!.sampleShape.slice(1),
  video.tokenizerConfig!.channels,
] as [number, number, number, number];
const frames = new Tensor('float32', new Float32Array(given * height * width * channels), [
  ...[1, given, height, width, channels],
]);
const generation = () => model.generate({ labels: ['a'], steps: 1 });
const vocabulary = { codebookSize: 512, classes: 10 };
const phase = { width: L.widths[0]!, steps: 3 };
const parts = { projections: 1, attention: 1, mlp: 1, lmHead: 1 };
const png = magnets.encodePng(picture);
const size = { height: 2, width: 3, channels: 1 };

/** There is no such file and no such device: what matters is that the arguments were taken. */
const ignoringFiles = (result: Promise<unknown>) =>
  result.catch((error) => {
    if (!(error instanceof magnets.MagnetsError)) throw error;
  });

/** An option may be left out. */
const option = (...takes: Kind[]): Kind[] => ['undefined', ...takes];
/** Keys of options: each with what it takes. */
function optionRows(
  name: string,
  keys: Readonly<Record<string, readonly Kind[]>>,
  call: (options: never) => unknown,
): Row[] {
  return Object.entries(keys).map(([key, takes]) => [
    `${name} ${key}`,
    takes,
    (value) => call({ [key]: value } as never),
  ]);
}

const samplingKeys = {
  maskingSchedule: option(),
  order: option(),
  temperature: option('zero', 'half', 'huge'),
  inverseTemperature: option('half', 'huge'),
  choiceTemperature: option('zero', 'half', 'huge'),
  steps: option(),
  schedule: option(),
  budget: option('half', 'huge'),
  cache: option('true'),
};
const guidanceKeys = {
  guidance: option('zero', 'half', 'huge'),
  guidanceSchedule: option(),
  guidancePower: option('half', 'huge'),
};
const decodeKeys = {
  ...samplingKeys,
  refresh: option('list', 'proxy'),
  count: option(),
  confidence: option(),
  topK: option('zero'),
  seed: option('zero', 'bigint'),
  firstSample: option('zero'),
  batchSize: option(),
  signal: option(),
};
const sheetKeys = { columns: option(), scale: option() };

const shapes = (name: string, call: (shape: never) => unknown, ...more: Kind[]): Row => [
  name,
  more,
  call,
];

const rows: Row[] = [
  ['load name', ['text'], (name) => ignoringFiles(magnets.load(name))],
  ['load options', option('object'), (options) => magnets.load('fashion', options)],
  ...optionRows(
    'load',
    {
      device: option(),
      weights: option(),
      compute: option(),
      threads: option(),
      instructionSet: option('empty', 'text'),
      batching: option('true', 'object'),
      signal: option(),
      onProgress: option('function'),
      other: [],
    },
    (options) => ignoringFiles(magnets.load(fixtureFolder('post'), options)),
  ),
  ['convert path', ['text'], (path) => ignoringFiles(magnets.convert(path, { to: '/nowhere/to' }))],
  ['convert options', [], (options) => magnets.convert('x', options)],
  ...optionRows(
    'convert',
    {
      to: ['text'],
      tokenizer: option('text'),
      weights: option(),
      heads: option(),
      signal: option(),
      onProgress: option('function'),
      other: [],
    },
    (options) =>
      ignoringFiles(magnets.convert('no-such-file', { to: 'x', ...(options as object) })),
  ),
  ['generate', option('object'), (options) => model.generate(options)],
  ...optionRows(
    'generate',
    {
      ...decodeKeys,
      ...guidanceKeys,
      labels: option(),
      tokens: option(),
      other: [],
    },
    (options) => model.generate(options),
  ),
  ['memory', option('object'), (options) => model.memory(options)],
  ['generate label', ['null', 'zero'], (label) => model.generate({ labels: [label] })],
  ['predict', [], (options) => video.predict(options)],
  ['predict frames', [], (value) => video.predict({ frames: value })],
  ...optionRows('predict', { ...decodeKeys, labels: [], guidance: [], other: [] }, (options) =>
    video.predict({ ...(options as object), frames }),
  ),
  ['forward', [], (options) => model.forward(options)],
  ['forward tokens', [], (value) => model.forward({ tokens: value, labels: ['a'] })],
  ['forward labels', [], (labels) => model.forward({ tokens, labels })],
  ['forward width', option(), (name) => model.forward({ tokens, labels: ['a'], width: name })],
  ['tokenize', [], (value) => model.tokenize(value)],
  ['detokenize', [], (value) => model.detokenize(value)],
  ['result', option('object'), (options) => generation().result(options)],
  ...optionRows(
    'result',
    { onStep: option('function'), pixels: option('true'), other: [] },
    (options) => generation().result(options),
  ),
  ['preview', [], (step) => generation().preview(step)],
  ['preview tokens', [], (value) => generation().preview({ tokens: value })],
  ['MagnetsError code', [], (code) => new magnets.MagnetsError(code, 'text')],
  [
    'MagnetsError message',
    ['empty', 'text'],
    (message) => new magnets.MagnetsError('ERR_STATE', message),
  ],
  ['Tensor type', [], (type) => new Tensor<'float32'>(type, new Float32Array(2), [2])],
  [
    'Tensor data',
    ['floats'],
    (data) => new Tensor<'float32'>('float32', data as Float32Array, [3]),
  ],
  ['Tensor dims', [], (dims) => new Tensor('float32', new Float32Array(2), dims)],
  ['Tensor extent', [], (extent) => new Tensor('float32', new Float32Array(2), [extent, 2])],
  [
    'getData',
    option('true'),
    (release) => new Tensor('uint8', new Uint8Array(), [0]).getData(release),
  ],
  ['encodePng', [], (value) => magnets.encodePng(value)],
  ['contactSheet', [], (value) => magnets.contactSheet(value)],
  ['contactSheet options', option('object'), (value) => magnets.contactSheet(pixels, value)],
  ...optionRows('contactSheet', { ...sheetKeys, fps: [] }, (options) =>
    magnets.contactSheet(pixels, options),
  ),
  ['animation', [], (value) => magnets.animation(value, 'gif')],
  ['animation format', [], (format) => magnets.animation(pixels, format)],
  ['animation options', option('object'), (value) => magnets.animation(pixels, 'gif', value)],
  ...optionRows('animation', { ...sheetKeys, fps: option(), other: [] }, (options) =>
    magnets.animation(pixels, 'gif', options),
  ),
  ['stepStrip', [], (value) => magnets.stepStrip(value, new Uint8Array(2), [1, 1, 2])],
  ['stepStrip masked', ['bytes'], (value) => magnets.stepStrip(pixels, value, [1, 1, 3])],
  ['stepStrip shape', [], (value) => magnets.stepStrip(pixels, new Uint8Array(2), value)],
  ['stepStrip extent', [], (n) => magnets.stepStrip(pixels, new Uint8Array(2), [1, n, 2])],
  [
    'stepStrip options',
    option('object'),
    (value) => magnets.stepStrip(pixels, new Uint8Array(2), [1, 1, 2], value),
  ],
  ...optionRows('stepStrip', { ...sheetKeys, other: [] }, (options) =>
    magnets.stepStrip(pixels, new Uint8Array(2), [1, 1, 2], options),
  ),
  [
    'decodePng',
    ['bytes'],
    (bytes) => ignoringFiles((async () => magnets.decodePng(bytes, size))()),
  ],
  ['decodePng options', [], (options) => magnets.decodePng(png, options)],
  ...optionRows(
    'decodePng',
    { height: [], width: [], channels: [], name: option('empty', 'text'), other: [] },
    (options) => magnets.decodePng(png, { ...size, ...(options as object) }),
  ),
  ['plan', [], (options) => magnets.plan(options)],
  ...optionRows(
    'plan',
    {
      ...samplingKeys,
      ...guidanceKeys,
      refresh: option('list', 'proxy'),
      model: [],
      masked: option('zero'),
      other: [],
    },
    (options) => magnets.plan({ model: L, ...(options as object) }),
  ),
  ['plan masked', ['zero'], (masked) => magnets.plan({ model: L, masked: [masked] })],
  ...(
    ['layers', 'hiddenSize', 'heads', 'headDim', 'intermediateSize', 'codebookSize'] as const
  ).map((key): Row => shapes(`plan ${key}`, (n) => magnets.plan({ model: { ...L, [key]: n } }))),
  ...(['vocabSize', 'latentShape', 'widths'] as const).map(
    (key): Row => shapes(`plan ${key}`, (n) => magnets.plan({ model: { ...L, [key]: n } })),
  ),
  ...(['mlpGate', 'modulation', 'head', 'sampling', 'subTokens'] as const).map(
    (key): Row =>
      shapes(`plan ${key}`, (n) => magnets.plan({ model: { ...L, [key]: n } }), 'undefined'),
  ),
  shapes('plan tied', (n) => magnets.plan({ model: { ...L, tied: n } }), 'undefined', 'true'),
  shapes('plan width', (n) => magnets.plan({ model: { ...L, widths: [n] } })),
  shapes('stepFlops', (shape) => magnets.stepFlops(shape, L.widths[0]!, 1, 1)),
  shapes('stepFlops width', (n) => magnets.stepFlops(L, n, 1, 1)),
  shapes('stepFlops rows', (n) => magnets.stepFlops(L, L.widths[0]!, n, 1), 'zero'),
  shapes('stepFlops logits', (n) => magnets.stepFlops(L, L.widths[0]!, 1, n), 'zero'),
  shapes('totalFlops', (value) => magnets.totalFlops(value)),
  shapes('totalFlops part', (mlp) => magnets.totalFlops({ ...parts, mlp }), 'zero', 'half', 'huge'),
  shapes('modulationFlops', (shape) => magnets.modulationFlops(shape, 1)),
  shapes('modulationFlops branches', (n) => magnets.modulationFlops(L, n), 'zero'),
  shapes('haltonOrder height', (n) => magnets.haltonOrder(n, 1)),
  shapes('haltonOrder width', (n) => magnets.haltonOrder(1, n)),
  shapes('maskCounts', (n) => magnets.maskCounts(n, 4, 'cosine'), 'zero'),
  shapes('maskCounts steps', (n) => magnets.maskCounts(4, n, 'cosine'), 'zero'),
  shapes('maskCounts schedule', (name) => magnets.maskCounts(4, 4, name)),
  shapes('maskCounts rounding', (name) => magnets.maskCounts(4, 4, 'cosine', name), 'undefined'),
  ...Object.values(magnets.maskingSchedules).map((share) =>
    shapes('maskingSchedules', (r) => share(r), 'zero'),
  ),
  ...Object.values(magnets.guidanceSchedules).flatMap((share) => [
    shapes('guidanceSchedules', (progress) => share(progress, 1), 'zero'),
    shapes('guidanceSchedules power', (p) => share(1, p), 'undefined', 'half', 'huge'),
  ]),
  shapes('findWidth', (shape) => magnets.findWidth(shape, '1')),
  shapes('findWidth name', (name) => magnets.findWidth(L, name)),
  shapes('fullWidth', (shape) => magnets.fullWidth(shape)),
  shapes('tokenCount', (shape) => magnets.tokenCount(shape)),
  shapes('sequenceLength', (shape) => magnets.sequenceLength(shape)),
  shapes('parseSchedule', (input) => magnets.parseSchedule(input, L, 12)),
  shapes('parseSchedule shape', (shape) => magnets.parseSchedule('paper', shape, 12)),
  shapes('parseSchedule steps', (n) => magnets.parseSchedule('paper', L, n), 'zero'),
  shapes('scheduleSteps', (input) => magnets.scheduleSteps(input, L), 'undefined'),
  shapes('scheduleSteps shape', (shape) => magnets.scheduleSteps('paper', shape)),
  shapes('formatSchedule', (phases) => magnets.formatSchedule(phases), 'list', 'proxy'),
  shapes('formatSchedule phase', (one) => magnets.formatSchedule([one])),
  shapes('formatSchedule width', (one) => magnets.formatSchedule([{ ...phase, width: one }])),
  shapes('formatSchedule steps', (steps) => magnets.formatSchedule([{ ...phase, steps }])),
  shapes('classId', (sizes) => magnets.classId(sizes, 1)),
  shapes('classId index', (index) => magnets.classId(vocabulary, index), 'null', 'zero'),
  shapes('maskId', (sizes) => magnets.maskId(sizes)),
  shapes('maskId codes', (n) => magnets.maskId({ ...vocabulary, codebookSize: n })),
  shapes('vocabularySize', (sizes) => magnets.vocabularySize(sizes)),
  shapes(
    'vocabularySize classes',
    (n) => magnets.vocabularySize({ codebookSize: 2, classes: n }),
    'zero',
  ),
];

t.test('every wrong value in every place', async (t) => {
  for (const [name, takes, call] of rows) {
    const accepted: string[] = [];
    for (const [kind, value] of Object.entries(values)) {
      if (takes.some((one) => one === kind)) continue;
      try {
        const result = await call(value as never);
        accepted.push(`${kind}: ${Object.prototype.toString.call(result)}`);
      } catch (error) {
        const { name: type, message } = error as Error;
        const said = /^Expected .* but received /s.test(message) && message.length < 700;
        if (!said || !/^(Type|Range)Error$/.test(type)) accepted.push(`${kind}: ${error}`);
      }
    }
    t.same(accepted, [], name);
  }
});

t.test('what is taken in every place', async (t) => {
  for (const [name, takes, call] of rows) {
    for (const kind of takes) {
      try {
        await call(values[kind] as never);
      } catch (error) {
        t.fail(`${name} ${kind}: ${error}`);
      }
    }
    t.pass(name);
  }
});

t.test('numbers that would be infinite beside a logit', async (t) => {
  for (const name of ['guidance', 'temperature', 'inverseTemperature', 'choiceTemperature']) {
    t.throws(() => model.generate({ [name]: 1e308 }), {
      name: 'RangeError',
      message: `Expected a number of at most 1e+30 for ${name} but received 1e+308`,
    });
  }
});

/** Options that count how often each is read, and are others the second time. */
function readOnce<T extends object>(options: T): { options: T; reads: () => number[] } {
  const counts = new Map<string, number>();
  const counting = new Proxy(options, {
    get(target, key: string) {
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      return count === 1 ? target[key as keyof T] : Symbol('another value');
    },
  });
  return {
    options: counting,
    reads: () => Object.keys(options).map((key) => counts.get(key) ?? 0),
  };
}

t.test('options are read once, at the call', async (t) => {
  const signal = new AbortController().signal;
  const generate = {
    labels: ['a'],
    count: 2,
    steps: 2,
    guidance: 1,
    refresh: [1],
    topK: 3,
    signal,
  };
  for (const [name, given, call] of [
    ['generate', generate, (options) => model.generate(options as object).result()],
    [
      'predict',
      { frames, steps: 2, count: 2 },
      (o) => video.predict(o as { frames: typeof frames }),
    ],
    ['forward', { tokens, labels: ['a'], width: '1' }, (o) => model.forward(o as never)],
    ['load', { threads: 1, device: 'cpu', signal }, (o) => magnets.load(fixtureFolder('post'), o)],
    ['plan', { model: L, steps: 3, masked: [256, 2] }, (o) => magnets.plan(o as never)],
    ['contactSheet', { columns: 1, scale: 2 }, (o) => magnets.contactSheet(pixels, o)],
    ['animation', { columns: 1, fps: 5 }, (o) => magnets.animation(pixels, 'gif', o)],
    ['decodePng', size, (o) => magnets.decodePng(png, o as typeof size)],
  ] as [string, object, (options: object) => unknown][]) {
    const { options, reads } = readOnce(given);
    const result = await call(options);
    if (name === 'load') (result as typeof model).dispose();
    t.same(
      reads(),
      Object.keys(given).map(() => 1),
      name,
    );
  }
});

t.test('what is written to an argument after the call changes nothing', async (t) => {
  const given = new Float32Array(frames.size).fill(0.25);
  const own = new Tensor('float32', given.slice(), frames.dims);
  const options = { steps: 2, seed: 3 };
  const want = await video.predict({ ...options, frames: own }).result();
  const changed = new Tensor('float32', given, frames.dims);
  const prediction = video.predict({ ...options, frames: changed });
  given.fill(1);
  t.same((await prediction.result()).tokens.data, want.tokens.data, 'frames');

  const ids = new Int32Array(12).fill(-1).map((_, i) => (i < 6 ? i : -1));
  const labels = ['a'];
  const edit = { labels, steps: 2, seed: 3 };
  const edited = await model.generate({ ...edit, tokens: ids.slice() }).result();
  const generation = model.generate({ ...edit, tokens: ids });
  ids.fill(0);
  labels[0] = 'b';
  t.same((await generation.result()).tokens.data, edited.tokens.data, 'tokens and labels');

  const many = Int32Array.from({ length: 400 * 12 }, (_, i) => i % 40); // more than at once
  const shown = await model.detokenize(new Tensor('int32', many.slice(), [400, 12]));
  const running = model.detokenize(new Tensor('int32', many, [400, 12]));
  many.fill(0);
  t.same((await running).data, shown.data, 'detokenize');
  const back = await model.tokenize(new Tensor('float32', shown.data.slice(), shown.dims));
  const again = model.tokenize(shown);
  shown.data.fill(0);
  t.same((await again).data, back.data, 'tokenize');
});

t.test('every function is in the table', async (t) => {
  const names = Object.entries(magnets)
    .filter(([, value]) => typeof value === 'function')
    .map(([name]) => name);
  const own = ['generate', 'memory', 'predict', 'forward', 'tokenize', 'detokenize'];
  const methods = [...own, 'result', 'preview'];
  // All but info, which has no arguments.
  for (const name of [...names, ...methods].filter((one) => one !== 'info')) {
    t.ok(
      rows.some(([row]) => row === name || row.startsWith(`${name} `)),
      name,
    );
  }
});
