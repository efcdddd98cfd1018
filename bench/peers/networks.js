// ONNX files of bench/peers/onnx.py in onnxruntime-node, and what is measured beside them: answers compared, and runs
// that take turns.

import { setTimeout } from 'node:timers/promises';
import * as onnx from 'onnxruntime-node';

export const onnxruntimeVersion = onnx.env.versions.node ?? onnx.env.versions.common;

/** @typedef {{ ids: onnx.Tensor, labels: onnx.Tensor }} Question */

/** @param {string} file @param {number} threads */
export function openNetwork(file, threads) {
  return onnx.InferenceSession.create(file, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
}

/** @param {ArrayLike<number>} data @param {number[]} dims */
export const int64 = (data, dims) =>
  new onnx.Tensor('int64', BigInt64Array.from(Array.from(data), BigInt), dims);

/**
 * Every token masked, one row for each label; -1: none.
 * @param {{ vocabSize: number, tokenCount: number }} model @param {readonly number[]} labels @returns {Question}
 */
export function question({ vocabSize, tokenCount }, labels) {
  const masked = new Int32Array(labels.length * tokenCount).fill(vocabSize - 1);
  return {
    ids: int64(masked, [labels.length, tokenCount]),
    labels: int64(labels, [labels.length]),
  };
}

/** A network's only answer. @param {onnx.InferenceSession} session @param {Record<string, onnx.Tensor>} inputs */
export async function answer(session, inputs) {
  const [output] = Object.values(await session.run(inputs));
  if (!(output?.data instanceof Float32Array)) throw new TypeError('Expected an answer in f32');
  return output.data;
}

/**
 * The largest difference, and its root mean square, in standard deviations of the expected values.
 * @param {Float32Array} actual @param {Float32Array} expected
 */
export function difference(actual, expected) {
  if (actual.length !== expected.length) {
    throw new Error(
      `Expected an answer of ${expected.length} numbers but received ${actual.length}`,
    );
  }
  const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length;
  const variance = expected.reduce((sum, value) => sum + (value - mean) ** 2, 0) / expected.length;
  let largest = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; ++i) {
    const one = Math.abs(/** @type {number} */ (actual[i]) - /** @type {number} */ (expected[i]));
    // Not Math.max alone: an answer that is no number differs, too.
    largest = Number.isNaN(one) ? one : Math.max(largest, one);
    squares += one ** 2;
  }
  const deviation = Math.sqrt(variance);
  return { largest: largest / deviation, rms: Math.sqrt(squares / expected.length) / deviation };
}

/** What two ways to round f32 sums may make of the logits, in standard deviations: hundreds of units of f32. */
export const f32Bound = 1e-3;

/** Threads of onnxruntime and of OpenMP wait by spinning for a while: it ends before the next run begins. */
const spinning = 50;

/**
 * Times all runs in turn, so that what else the machine does falls on all of them, and backwards in every second round, so
 * that none always follows the same. The first round is not counted: memory is new to it. At least one is counted; no other
 * begins after so many seconds. A run may answer the seconds that it took by itself.
 * @template {{ run: () => Promise<number | undefined | void> }} Run
 * @param {readonly Run[]} runs
 * @param {{ repeats: number, seconds?: number, warmUp?: boolean, onProgress?: (done: number, total: number) => void }} options
 * @returns {Promise<{ run: Run, samples: number[] }[]>}
 */
export async function inTurns(runs, { repeats, seconds = Infinity, warmUp = true, onProgress }) {
  const results = runs.map((run) => ({ run, samples: /** @type {number[]} */ ([]) }));
  const unmeasured = warmUp ? 1 : 0;
  const rounds = unmeasured + repeats;
  const end = performance.now() + 1000 * seconds;
  let done = 0;
  for (let round = 0; round < rounds; ++round) {
    if (round > unmeasured && performance.now() > end) break;
    for (const { run, samples } of round % 2 === 0 ? results : results.toReversed()) {
      await setTimeout(spinning);
      const started = performance.now();
      const own = await run.run();
      const elapsed = (performance.now() - started) / 1000;
      if (round >= unmeasured) samples.push(own ?? elapsed);
      onProgress?.(++done, rounds * runs.length);
    }
  }
  return results;
}
