// npm run tables [-- --check] [FILE...]: writes the tables in README.md and docs/*.md, or in these files, from
// bench/results/*.json and, for costs by formula, from lib/plan. A table NAME is what lies between the lines
// `<!-- table: NAME -->` and `<!-- /table -->`. With --check nothing is written, and a file that differs is a failure.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatFlops, formatRatio, table } from '../dist/cli/output.js';
import { plan, presets, tokenCount } from '../dist/plan/index.js';

/**
 * What tables take from a result file (bench/README.md).
 * @typedef {{ mean: number, min: number, max: number }} Spread
 * @typedef {{ name: string, what?: string, weights?: string, schedule?: string, threads?: number, heads?: number, runtime?: string, model?: string, ratioToOurs?: number, steps?: number, task?: string, batch: number, flops?: number, flopsRatio: number, timeRatio: number,
 *   median: number, min?: number, max?: number, p99?: number, eventLoopP99Ms?: number, eventLoopIdleP99Ms?: number,
 *   accuracy: Spread, frechet: Spread, mse: Spread, psnr: Spread }} Row
 * @typedef {{ name: string, instructionSet?: string, threads?: number, driver?: string, peakFlopsPerSecond: number, bytesPerSecond?: number }} Device
 * @typedef {{ device: Device, command: string, date: string, rows: Row[] }} Result
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const results = join(root, 'bench/results');

/** @param {string} name @returns {Result} */
function read(name) {
  return JSON.parse(readFileSync(join(results, `${name}.json`), 'utf8'));
}

/** @param {Row[]} rows @param {string} name @returns {Row} */
function find(rows, name) {
  const row = rows.find((one) => one.name === name);
  if (row === undefined)
    throw new Error(`expected a row ${name} among ${rows.map((one) => one.name)}`);
  return row;
}

/** A table whose columns but the first are aligned to the right. @param {string[]} header @param {string[][]} rows */
function rightAligned(header, rows) {
  const [head, , ...lines] = table(header, rows).split('\n');
  return [head, `|---|${'---:|'.repeat(header.length - 1)}`, ...lines].join('\n');
}

/** Three significant digits. @param {number} seconds */
function formatTime(seconds) {
  return seconds < 0.9995 ? `${(1000 * seconds).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
}

/** @param {Row} row */
function formatTimes({ median, min, max }) {
  if (min === undefined || max === undefined) return formatTime(median);
  return `${formatTime(median)} (${formatTime(min)} .. ${formatTime(max)})`;
}

/** @param {Result} result */
function origin({ device, command, date }) {
  const { name, instructionSet, threads, driver } = device;
  const facts = [instructionSet, threads && `${threads} threads`, driver && `driver ${driver}`];
  return `${name} (${facts.filter(Boolean).join(', ')}), ${date}: \`${command}\``;
}

function costCpu() {
  const result = read('cpu-L');
  const baseline = find(result.rows, 'baseline');
  const paper = find(result.rows, 'paper');
  /** @param {Row} row */
  const rate = (row) => `${((row.flops ?? 0) / row.median / 1e9).toFixed(0)} GFLOP/s`;
  const rows = [
    [
      'FLOPs',
      ...[baseline, paper].map((row) => formatFlops(row.flops ?? 0)),
      formatRatio(paper.flopsRatio),
    ],
    ['time', formatTimes(baseline), formatTimes(paper), formatRatio(paper.timeRatio)],
    ['rate', rate(baseline), rate(paper), ''],
  ];
  const peak = `${(result.device.peakFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`;
  return [
    rightAligned(['', 'baseline', 'paper', 'ratio'], rows),
    `Multiply-adds on registers alone reach ${peak}. ${origin(result)}`,
  ];
}

/** One picture by each instruction set with each format of weights, and how much sooner than with f32. */
function weightsCpu() {
  const formats = ['f32', 'bf16', 'int8'];
  const sets = ['', '-avx2'].map((set) =>
    formats.map((weights) => read(`cpu-L${weights === 'f32' ? '' : `-${weights}`}${set}`)),
  );
  const lines = sets.flatMap((all) =>
    ['baseline', 'paper'].map((name) => {
      const rows = all.map((result) => find(result.rows, name));
      const cells = rows.map((row) => {
        const ratio = /** @type {Row} */ (rows[0]).median / row.median;
        return `${formatTimes(row)}${row === rows[0] ? '' : `, ${formatRatio(ratio)}`}`;
      });
      return [`${all[0]?.device.instructionSet}, ${name}`, ...cells];
    }),
  );
  return [rightAligned(['', ...formats], lines), sets.flat().map(origin).join('; ')];
}

/** The results of PyTorch on the same kind of card. @param {Result} ours @returns {Result | undefined} */
function pytorchBeside(ours) {
  const names = readdirSync(results).filter((file) => /^pytorch-L.*\.json$/.test(file));
  return names
    .map((file) => read(file.replace(/\.json$/, '')))
    .find(({ device }) => device.name === ours.device.name);
}

function costGpu() {
  const ours = read('cuda-L');
  const pytorch = pytorchBeside(ours);
  const batches = [...new Set(ours.rows.map(({ batch }) => batch))];
  const rows = batches.map((batch) => {
    const own = ours.rows.filter((row) => row.batch === batch);
    const peer = pytorch?.rows.filter((row) => row.batch === batch) ?? [];
    const paper = find(own, 'paper');
    /** @param {string} name */
    const peerTime = (name) => {
      const row = peer.find((one) => one.name === name);
      return row === undefined ? '' : formatTime(row.median);
    };
    return [
      String(batch),
      formatTimes(find(own, 'baseline')),
      formatTimes(paper),
      formatRatio(paper.timeRatio),
      formatRatio(paper.flopsRatio),
      peerTime('baseline'),
      peerTime('paper'),
    ];
  });
  const header = ['batch', 'baseline', 'paper', 'time ratio', 'FLOPs ratio'];
  header.push('PyTorch baseline', 'PyTorch paper');
  const beside = pytorch === undefined ? '' : `; PyTorch: ${origin(pytorch)}`;
  return [rightAligned(header, rows), `${origin(ours)}${beside}`];
}

/** `paper` beside the baseline: what `npm run bench` prints. */
function benchCpu() {
  const result = read('bench-cpu');
  const lines = result.rows.flatMap((row, i) => {
    const baseline = result.rows[i - 1];
    if (row.name === 'baseline' || baseline === undefined) return [];
    const { model, weights, batch, flopsRatio, timeRatio } = row;
    return [
      [
        `${model}, ${weights}, batch ${batch}`,
        formatTimes(baseline),
        formatTimes(row),
        formatRatio(timeRatio),
        formatRatio(flopsRatio),
        (timeRatio / flopsRatio).toFixed(2),
      ],
    ];
  });
  const header = ['', 'baseline', 'paper', 'time ratio', 'FLOPs ratio', 'time by FLOPs'];
  return [rightAligned(header, lines), origin(result)];
}

/** Of peers the time, and how much longer it takes than ours with the same weights. @param {Row | undefined} row */
function besideOurs(row) {
  if (row === undefined) return '';
  const { median, ratioToOurs = 1 } = row;
  return ratioToOurs === 1
    ? formatTime(median)
    : `${formatTime(median)} (${formatRatio(ratioToOurs)})`;
}

/**
 * What `npm run bench:peers` measured of full-size passes or of generations: a cell for each `row` and `column` of the rows.
 * @param {string} what @param {(row: Row) => string} rowOf @param {(row: Row) => string} columnOf
 */
function peersCpu(what, rowOf, columnOf) {
  const all = ['peers-B', 'peers-L'].map(read);
  const rows = all.flatMap(({ rows }) => rows).filter((row) => row.what?.endsWith(` ${what}`));
  const columns = [...new Set(rows.map(columnOf))];
  const lines = [...new Set(rows.map(rowOf))].map((line) => {
    const own = rows.filter((row) => rowOf(row) === line);
    return [line, ...columns.map((name) => besideOurs(own.find((row) => columnOf(row) === name)))];
  });
  return [rightAligned(['', ...columns], lines), all.map(origin).join('; ')];
}

/** @param {Row} row */
const settingOf = ({ model, threads }) =>
  `${model}, ${threads === 1 ? '1 thread' : `${threads} threads`}`;

/** Ours by `paper` and by the baseline; of the others the loop of full-size passes. @param {Row} row */
const generationOf = ({ name, schedule }) =>
  schedule === 'paper' || schedule === 'baseline' ? `${name}, ${schedule}` : name;

/** Of each operation and width the share of what bounds it, where all rows are computed and where fewest are. */
function operationsCpu() {
  const names = ['qkv', 'attention', 'output', 'up', 'down', 'lm_head'];
  const all = ['operations-cpu', 'operations-cpu-avx2'].map(read);
  const widths = [...new Set(all.flatMap(({ rows }) => rows.map(({ heads }) => heads ?? 0)))];
  const lines = all.flatMap(({ device, rows }) =>
    names.map((name) => {
      const cells = widths.map((width) => {
        const own = rows.filter((row) => row.name === name && row.heads === width);
        const shares = own.map(
          ({ flops = 0, median }) => (100 * flops) / median / device.peakFlopsPerSecond,
        );
        return `${shares[0]?.toFixed(0)} %, ${shares.at(-1)?.toFixed(0)} %`;
      });
      return [`${device.instructionSet}, ${name}`, ...cells];
    }),
  );
  const limits = all.map(({ device }) => {
    const [peak, bytes] = [device.peakFlopsPerSecond, device.bytesPerSecond ?? 0];
    return `${device.instructionSet}: at its best ${(peak / 1e9).toFixed(0)} GFLOP/s, and ${(bytes / 1e9).toFixed(0)} GB/s of memory.`;
  });
  const header = ['', ...widths.map((heads) => (heads === 16 ? '1' : `1/${16 / heads}`))];
  return [rightAligned(header, lines), `${limits.join(' ')} ${all.map(origin).join('; ')}`];
}

function serverCpu() {
  const result = read('server-fashion');
  const rows = result.rows.map((row) => [
    row.name,
    formatTime(row.median),
    formatTime(row.p99 ?? Number.NaN),
    row.eventLoopP99Ms === undefined ? '' : `${row.eventLoopP99Ms.toFixed(1)} ms`,
  ]);
  const idle = result.rows.find(({ eventLoopIdleP99Ms }) => eventLoopIdleP99Ms !== undefined);
  return [
    rightAligned(['', 'median', 'p99', "event loop's p99"], rows),
    `The event loop is looked at every 10 ms; idle its p99 is ${idle?.eventLoopIdleP99Ms?.toFixed(1)} ms. ${origin(result)}`,
  ];
}

function costFormula() {
  const rows = Object.values(presets).map((model) => {
    const { flops, baselineFlops, flopsRatio } = plan({ model, steps: 12 });
    const tokens = tokenCount(model);
    const size = [model.layers, model.hiddenSize, tokens].map(String);
    return [
      model.name,
      ...size,
      formatFlops(baselineFlops),
      formatFlops(flops),
      formatRatio(flopsRatio),
    ];
  });
  const header = ['model', 'layers', 'hidden size', 'tokens', 'baseline', 'paper', 'ratio'];
  return [rightAligned(header, rows)];
}

/** What the methods and the references of evaluation/compare.py are. @type {Record<string, string>} */
const methods = {
  test: 'the real test samples',
  'test-reconstructed': 'the same through the tokenizer',
  'last-frame': 'the last given frame, repeated',
  baseline: '`baseline`: full width at every step, no cache',
  'baseline-cached': '`baseline-cached`: full width at every step, with cache',
  paper: '**`paper`**: nested widths with cache',
  'paper-nocache': '`paper-nocache`: nested widths without cache',
  'paper-int8': '`paper-int8`: nested widths with cache, weights int8',
  reversed: '`reversed`: wide to narrow, with cache',
  'ffn-only': '`ffn-only`: widths of the MLP alone (MatFormer), with cache',
  small: '`small`: a small model trained by itself, no cache',
};

/** @param {string} name */
function describe(name) {
  const [, width] = /^width-(.+)$/.exec(name) ?? [];
  if (width !== undefined) return `\`${name}\`: width ${width} at every step, with cache`;
  if (name.startsWith('auto:')) return `\`${name}\`: the searched schedule, with cache`;
  return methods[name] ?? `\`${name}\``;
}

/** @typedef {'frechet' | 'accuracy' | 'mse' | 'psnr'} Measure */

/** @type {Record<Measure, { heading: string, digits: number, scale: number }>} */
const measures = {
  mse: { heading: 'squared error, 1e-3', digits: 1, scale: 1000 },
  psnr: { heading: 'PSNR, dB', digits: 1, scale: 1 },
  frechet: { heading: 'Fréchet distance', digits: 1, scale: 1 },
  accuracy: { heading: 'class accuracy, %', digits: 1, scale: 100 },
};

/** The mean, and where the seeds differ visibly the least and the greatest. @param {Spread} spread @param {Measure} measure */
function formatSpread({ mean, min, max }, measure) {
  const { digits, scale } = measures[measure];
  const [middle, least, greatest] = [mean, min, max].map((value) =>
    (scale * value).toFixed(digits),
  );
  return least === greatest ? `${middle}` : `${middle} (${least} .. ${greatest})`;
}

/** @param {string} model @param {string} task @param {Measure[]} columns @param {string[]} [names] */
function quality(model, task, columns, names) {
  const all = read(`quality-${model}`).rows.filter((row) => row.task === task);
  const rows = (names?.map((name) => find(all, name)) ?? all).map((row) => [
    describe(row.name),
    ...(row.flops === undefined
      ? ['', '', '']
      : [formatFlops(row.flops), formatRatio(row.flopsRatio), formatRatio(row.timeRatio)]),
    ...columns.map((measure) => formatSpread(row[measure], measure)),
  ]);
  const header = ['method', 'FLOPs a sample', 'FLOPs ratio', 'time ratio'];
  return [rightAligned([...header, ...columns.map((name) => measures[name].heading)], rows)];
}

/** How often the methods of evaluation/refresh.py refresh the cache. @param {string} name */
function describeRefresh(name) {
  const [, kind = name, when] = /^(full|paper)-(.+)$/.exec(name) ?? [];
  if (when === undefined) return methods[name] ?? name;
  const width = kind === 'full' ? 'full width' : '`paper`';
  if (when === 'never') return `${width}, none after the first step`;
  if (when === 'switch') return `${width}, at a new width`;
  if (when === '1') return `${width}, at every step`;
  return `${width}, ${kind === 'paper' ? 'at a new width and ' : ''}every ${when} steps`;
}

/** @param {string} model @param {Measure[]} columns */
function refreshes(model, columns) {
  const { command, date, rows } = read(`refresh-${model}`);
  const timed = rows.every(({ timeRatio }) => timeRatio !== undefined);
  const lines = rows.map((row) => [
    describeRefresh(row.name),
    formatFlops(row.flops ?? 0),
    formatRatio(row.flopsRatio),
    ...(timed ? [formatRatio(row.timeRatio)] : []),
    ...columns.map((measure) => formatSpread(row[measure], measure)),
  ]);
  const header = ['refreshes', 'FLOPs a sample', 'FLOPs ratio', ...(timed ? ['time ratio'] : [])];
  return [
    rightAligned([...header, ...columns.map((name) => measures[name].heading)], lines),
    `${date}: \`${command}\``,
  ];
}

const short = ['baseline', 'paper', 'small'];

/** Public models on the CPU, beside onnxruntime on the same networks. */
function publicCpu() {
  const names = ['maskgit-256', 'halton-base-256'];
  const results = names.map((name) => read(`onnxruntime-${name}`));
  const rows = results.map(({ rows }, i) => {
    /** @param {string} runtime @param {string} name */
    const time = (runtime, name) =>
      formatTimes(
        find(
          rows.filter((row) => row.runtime === runtime),
          name,
        ),
      );
    return [
      `${names[i]}, ${rows[0]?.steps} steps`,
      time('onnxruntime', 'baseline'),
      time('magnets', 'baseline'),
      time('magnets', 'recipe'),
      time('onnxruntime', 'pixels'),
      time('magnets', 'pixels'),
    ];
  });
  const header = ['', 'onnxruntime, every row', 'every row', 'recipe'];
  header.push('onnxruntime, pixels', 'pixels');
  return [rightAligned(header, rows), results.map(origin).join('; ')];
}

/** The paragraphs of each table, by name. @type {Record<string, () => string[]>} */
const tables = {
  'public-cpu': publicCpu,
  'cost-cpu': costCpu,
  'weights-cpu': weightsCpu,
  'bench-cpu': benchCpu,
  'peers-cpu': () =>
    peersCpu(
      'forward',
      (row) => `${settingOf(row)}, batch ${row.batch}`,
      ({ name }) => name,
    ),
  'peers-generation-cpu': () => peersCpu('generation', generationOf, settingOf),
  'operations-cpu': operationsCpu,
  'cost-gpu': costGpu,
  'cost-formula': costFormula,
  'server-cpu': serverCpu,
  'quality-fashion': () => quality('fashion', 'generation', ['frechet', 'accuracy'], short),
  'quality-fashion-all': () => quality('fashion', 'generation', ['frechet', 'accuracy']),
  'quality-moving-digits': () =>
    quality('moving-digits', 'generation', ['frechet', 'accuracy'], short),
  'quality-moving-digits-all': () =>
    quality('moving-digits', 'generation', ['frechet', 'accuracy']),
  'prediction-moving-digits-all': () =>
    quality('moving-digits', 'prediction', ['mse', 'psnr', 'frechet', 'accuracy']),
  'refresh-fashion': () => refreshes('fashion', ['frechet', 'accuracy']),
  'refresh-moving-digits': () => refreshes('moving-digits', ['mse', 'psnr', 'accuracy']),
};

/** The text with every table made anew. @param {string} file @param {string} text */
function withTables(file, text) {
  const marked = text.replace(
    /^<!-- table: (.*) -->\n[\s\S]*?^<!-- \/table -->$/gm,
    (_, /** @type {string} */ name) => {
      const make = Object.hasOwn(tables, name) ? tables[name] : undefined;
      if (make === undefined) {
        const known = Object.keys(tables).join(', ');
        throw new Error(`${file}: expected a table among ${known} but received ${name}`);
      }
      return `<!-- table: ${name} -->\n\n${make().join('\n\n')}\n\n<!-- /table -->`;
    },
  );
  const [starts, whole] = [
    /<!-- table:/g,
    /^<!-- table: .* -->\n\n[\s\S]*?^<!-- \/table -->$/gm,
  ].map((pattern) => marked.match(pattern)?.length ?? 0);
  if (starts !== whole)
    throw new Error(`${file}: expected <!-- /table --> after each <!-- table: NAME -->`);
  return marked;
}

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const pages = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'));
const files =
  positionals.length > 0
    ? positionals
    : [join(root, 'README.md'), ...pages.map((file) => join(root, 'docs', file))];
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const made = withTables(file, text);
  if (made === text) continue;
  if (values.check) {
    console.error(`${file}: its tables differ from bench/results: npm run tables`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, made);
    console.log(file);
  }
}
