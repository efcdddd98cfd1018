// node bench/summary.js FOLDER [--plans FILE]: what a run of device.sh found. Of every generation and operation ours, the
// peer's, the floor and their ratios; then the goals of this comparison, one a line, and whether each holds. The floor is
// what the measured rates of a large product and of a copy leave: no step can take less than its FLOPs, or than its weights
// once. What a run did not measure is said to be open.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * @typedef {{ name: string, model: string, batch: number, median: number, flops: number, heads: number, shape: string, width: string,
 *   m: number, n: number, k: number, sequences: number, queries: number, keys: number, backend: string,
 *   bytes_per_second: number,
 *   tile: string, formula: string }} Row
 * @typedef {{ device: { peakFlopsPerSecond?: number, name?: string }, rows: Row[] }} Results
 */

/** Of an H100, bytes a second: where no copy was measured. */
const copyRate = 3.0e12;

/** What the files of pictures, and of videos, have before the batch in their names. */
const kinds = ['', 'video-'];
const goals = [
  { kind: '', batch: 1, method: 'paper', most: 7.2e-3, ratio: 1.8 },
  { kind: '', batch: 1, method: 'baseline', ratio: 1.45 },
  { kind: '', batch: 8, method: 'paper', ratio: 1.4 },
  { kind: '', batch: 8, method: 'baseline', ratio: 1.15 },
  { kind: '', batch: 64, method: 'paper', ratio: 1.3, rate: 0.65 },
  { kind: '', batch: 64, method: 'baseline', ratio: 1.15 },
  { kind: 'video-', batch: 1, method: 'paper', ratio: 1.3 },
  { kind: 'video-', batch: 8, method: 'paper', ratio: 1.3 },
];
const timeRatioGoal = { batch: 64, ratio: 2.8 };

const { positionals, values } = parseArgs({
  options: { plans: { type: 'string' } },
  allowPositionals: true,
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('Expected a folder of results but received none');
  process.exit(2);
}

/** Undefined where the part failed or was cut. @param {string} name @returns {Results | undefined} */
function read(name) {
  const file = join(/** @type {string} */ (folder), `${name}.json`);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined; // cut in the middle of a write
  }
}

const limits = ['pytorch-operations', 'pytorch-attention', 'pytorch-attention-video'].flatMap(
  (name) => read(name)?.rows ?? [],
);
const mm = limits.find(({ name }) => name === 'mm');
const bytesPerSecond = limits.find(({ name }) => name === 'copy')?.bytes_per_second ?? copyRate;
const plans = values.plans === undefined ? {} : JSON.parse(readFileSync(values.plans, 'utf8'));

/**
 * The least seconds of a generation with guidance.
 * @param {string} model
 * @param {string} method
 * @param {number} batch
 * @param {number} rate
 */
function floorOf(model, method, batch, rate) {
  const ofModel = Object.values(plans).find((one) => one[method].model.name === model);
  const plan = ofModel?.[method];
  if (plan === undefined) return undefined;
  const { layers, hiddenSize, heads, headDim, vocabSize } = plan.model;
  let seconds = 0;
  for (const { flops, width } of plan.steps) {
    const ofLayer = 4 * width.heads * headDim + 2 * width.hidden;
    const weights = 2 * hiddenSize * (layers * ofLayer + heads * headDim + vocabSize);
    seconds += Math.max((2 * batch * flops) / rate, weights / bytesPerSecond);
  }
  return seconds;
}

/** @param {number | undefined} value @param {number} factor @param {number} digits */
const number = (value, factor = 1, digits = 2) =>
  value === undefined || Number.isNaN(value) ? '-' : (value * factor).toFixed(digits);
/** @param {readonly string[][]} lines */
function print(lines) {
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  for (const line of lines)
    console.log(line.map((cell, i) => cell.padStart(widths?.[i] ?? 0)).join('  '));
  console.log('');
}
/** @param {number | undefined} a @param {number | undefined} b */
const over = (a, b) => (a === undefined || b === undefined ? undefined : a / b);

/** @param {Results | undefined} results @param {number} batch @param {string} name */
const medianOf = (results, batch, name) =>
  results?.rows.find((row) => row.batch === batch && row.name === name)?.median;

const tuned = read('tuned');
const lines = [
  ['model', 'batch', '', 'ours ms', 'tuned', 'PyTorch', 'floor', 'PyTorch/ours', 'ours/floor'],
];
/** @type {Map<string, { ours?: number, peer?: number, share?: number }>} */
const found = new Map();
for (const [kind, batch] of kinds.flatMap((kind) =>
  [1, 2, 8, 64].map((batch) => /** @type {const} */ ([kind, batch])),
)) {
  const ours = read(`ours-${kind}${batch}`);
  const peer = read(`pytorch-${kind}${batch}`);
  const model = (ours ?? peer)?.rows[0]?.model;
  if (model === undefined) continue;
  const rate = mm === undefined ? ours?.device.peakFlopsPerSecond : mm.flops / mm.median;
  for (const name of ['paper', 'baseline']) {
    const own = medianOf(ours, batch, name);
    const ofPeer = medianOf(peer, batch, name);
    const floor = rate === undefined ? undefined : floorOf(model, name, batch, rate);
    const flops = ours?.rows.find((row) => row.batch === batch && row.name === name)?.flops;
    found.set(`${kind}${batch} ${name}`, {
      ours: own,
      peer: ofPeer,
      share: over(over(flops, own), rate),
    });
    lines.push([
      ...[model, String(batch), name, number(own, 1e3)],
      number(kind === '' ? medianOf(tuned, batch, name) : undefined, 1e3),
      ...[number(ofPeer, 1e3), number(floor, 1e3)],
      ...[number(over(ofPeer, own)), number(over(own, floor))],
    ]);
  }
}
print(lines);

/** What an operation of ours is called and how large it is in the peer's file. @param {Row} row */
function keyOf({ name, heads, shape }) {
  const sizes = shape.match(/\d+/g)?.map(Number) ?? [];
  if (name === 'attention') return `attention ${sizes[0]} ${heads} ${sizes[1]} ${sizes[2]}`;
  if (name === 'qkv') return `qkv ${[sizes[0] * sizes[1], heads * 192, 1024]}`;
  // The peer pads the words of the LM head.
  return `${name} ${name === 'lm_head' ? [sizes[0], sizes[2]] : sizes.slice(0, 3)}`;
}
/** @param {Row} row */
function peerKeyOf({ name, heads, sequences, queries, keys, m, n, k }) {
  if (name === 'attention') return `attention ${sequences} ${heads} ${queries} ${keys}`;
  const same = name === 'up_gelu' ? 'up' : name; // ours has GELU in it
  return `${same} ${name === 'lm_head' ? [m, k] : [m, n, k]}`;
}
/** @type {Map<string, Row>} */
const fastest = new Map();
for (const row of limits) {
  if (row.name === 'up') continue;
  const key = peerKeyOf(row);
  const before = fastest.get(key);
  if (before === undefined || row.median < before.median) fastest.set(key, row);
}
let slower = 0;
let compared = 0;
const operations = [['operation', 'batch', 'ours us', 'PyTorch', 'PyTorch/ours', 'TFLOP/s']];
for (const row of read('operations')?.rows ?? []) {
  const peer = fastest.get(keyOf(row));
  if (peer === undefined) continue;
  if (row.name === 'attention') {
    ++compared;
    if (row.median > peer.median) ++slower;
  }
  operations.push([
    ...[`${row.name} ${row.shape}, ${row.heads} heads`, String(row.batch), number(row.median, 1e6)],
    ...[number(peer.median, 1e6), number(peer.median / row.median)],
    number(row.flops / row.median, 1e-12, 0),
  ]);
}
if (operations.length > 1) print(operations);
const tiles = read('tiles')?.rows;
if (tiles !== undefined) {
  const others = tiles.filter(({ tile, formula }) => tile !== formula).length;
  console.log(`${others} of ${tiles.length} products have a faster tile than by formula\n`);
}

/** @param {string} what @param {boolean | undefined} holds @param {string} value */
const goal = (what, holds, value) =>
  console.log(`${holds === undefined ? 'open ' : holds ? 'holds' : 'fails'}  ${what}: ${value}`);
for (const { kind, batch, method, most, ratio, rate } of goals) {
  const { ours, peer, share } = found.get(`${kind}${batch} ${method}`) ?? {};
  const name = `${kind}batch ${batch}, ${method}`;
  const times = over(peer, ours);
  goal(
    `${name}, at least ${ratio} times PyTorch`,
    times === undefined ? times : times >= ratio,
    number(times),
  );
  if (most !== undefined) {
    const value = number(ours, 1e3);
    goal(`${name}, at most ${most * 1e3} ms`, ours === undefined ? ours : ours <= most, value);
  }
  if (rate !== undefined) {
    const value = number(share, 100, 0);
    goal(
      `${name}, ${rate * 100} % of the measured rate`,
      share === undefined ? share : share >= rate,
      value,
    );
  }
}
const { batch, ratio } = timeRatioGoal;
const own = over(found.get(`${batch} baseline`)?.ours, found.get(`${batch} paper`)?.ours);
goal(
  `batch ${batch}, baseline / paper at least ${ratio}`,
  own === undefined ? own : own >= ratio,
  number(own),
);
const attention = `${compared - slower} of ${compared} shapes`;
goal('attention at least as fast as PyTorch', compared === 0 ? undefined : slower === 0, attention);

const parts = join(folder, 'parts.txt');
if (existsSync(parts)) console.log(`\n${readFileSync(parts, 'utf8')}`);
