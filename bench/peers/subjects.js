// What `npm run bench:peers` times: magnets, onnxruntime-node and PyTorch with the same random weights.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { load, Tensor } from '../../dist/index.js';
import { answer, difference, f32Bound, openNetwork, question } from './networks.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const python = '/usr/bin/python3';
export const steps = 12;

/**
 * @typedef {'f32' | 'int8'} Weights
 * @typedef {object} Subject
 * @property {string} name
 * @property {Weights} weights
 * @property {() => Promise<Float32Array>} logits Of one sample, [N, V].
 * @property {(batch: number) => () => Promise<number | undefined | void>} forward
 * @property {(batch: number) => { schedule: string, run: () => Promise<number | undefined | void> }[]} generations
 * @property {() => void | Promise<void>} close
 */

/** The folder of a model's checkpoint and networks; what is not there is made. @param {string} model @param {(text: string) => void} log */
export function prepare(model, log) {
  const folder = join(root, 'build/peers', basename(model));
  if (existsSync(join(folder, 'generator-int8.onnx'))) return folder;
  log(`${folder}: making random weights and the same as ONNX files`);
  rmSync(folder, { recursive: true, force: true });
  const parts = `${folder}.parts`;
  rmSync(parts, { recursive: true, force: true });
  const run = (/** @type {string} */ command, /** @type {string[]} */ args) =>
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  run(process.execPath, ['bench/peers/random-checkpoint.js', model, '--to', parts]);
  run(python, ['-W', 'ignore', '-m', 'bench.peers.onnx', parts, '--out', parts]);
  renameSync(parts, folder);
  return folder;
}

/**
 * With an instruction set, the kernels of that one alone.
 * @param {string} folder @param {number} threads @param {Weights} weights @param {string} [instructionSet]
 * @returns {Promise<Subject>}
 */
export async function openMagnets(folder, threads, weights, instructionSet) {
  const model = await load(folder, { device: 'cpu', threads, weights, instructionSet });
  const labels = (/** @type {number} */ batch) => Array.from({ length: batch }, (_, i) => i);
  const forward = (/** @type {number} */ batch) => {
    const shape = [batch, model.tokenCount];
    const tokens = new Tensor('int32', new Int32Array(batch * model.tokenCount).fill(-1), shape);
    return () => model.forward({ tokens, labels: labels(batch) });
  };
  return {
    name: instructionSet ? `magnets ${weights}, ${instructionSet}` : `magnets ${weights}`,
    weights,
    logits: async () => (await forward(1)()).data,
    forward: (batch) => async () => void (await forward(batch)()),
    generations: (batch) =>
      ['paper', 'baseline'].map((schedule) => ({
        schedule,
        async run() {
          const options = { labels: labels(batch), steps, schedule, guidance: 0, seed: 1 };
          await model.generate({ ...options, batchSize: batch }).result({ pixels: false });
        },
      })),
    close: () => model.dispose(),
  };
}

/** @param {string} folder @param {number} threads @param {Weights} weights @returns {Promise<Subject>} */
export async function openOnnxruntime(folder, threads, weights) {
  const name = weights === 'int8' ? 'generator-int8.onnx' : 'generator.onnx';
  const session = await openNetwork(join(folder, name), threads);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const shape = {
    vocabSize: config.codebook_size + config.num_classes + 2,
    tokenCount: config.latent_shape.reduce(
      (/** @type {number} */ a, /** @type {number} */ b) => a * b,
      1,
    ),
  };
  const asked = (/** @type {number} */ batch) =>
    question(
      shape,
      Array.from({ length: batch }, (_, i) => i),
    );
  return {
    name: `onnxruntime ${weights}`,
    weights,
    logits: () => answer(session, asked(1)),
    forward(batch) {
      const inputs = asked(batch);
      return async () => void (await session.run(inputs));
    },
    generations(batch) {
      const inputs = asked(batch);
      const run = async () => {
        for (let step = 0; step < steps; ++step) await session.run(inputs);
      };
      return [{ schedule: 'every pass full-size', run }];
    },
    close: () => session.release(),
  };
}

/** Undefined where there is none. @param {string} folder @param {number} threads @returns {Promise<(Subject & { version: string }) | undefined>} */
export async function openPytorch(folder, threads) {
  const child = spawn(python, ['-m', 'bench.peers.pytorch', folder, '--threads', `${threads}`], {
    cwd: root,
    // OpenBLAS has threads of its own, and those of PyTorch must not spin beside them.
    env: { ...process.env, OPENBLAS_NUM_THREADS: `${threads}`, OMP_WAIT_POLICY: 'passive' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.on('error', () => {}); // then there are no lines
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const hello = await next();
  if (hello === undefined) return undefined;
  const ask = async (/** @type {object} */ request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const reply = await next();
    if (reply === undefined) throw new Error('PyTorch ended without an answer');
    return reply.seconds;
  };
  return {
    name: 'PyTorch f32',
    weights: 'f32',
    version: hello.torch,
    async logits() {
      const scratch = mkdtempSync(join(tmpdir(), 'magnets-'));
      try {
        const file = join(scratch, 'logits');
        await ask({ batch: 1, passes: 1, file });
        const { buffer, byteOffset, byteLength } = readFileSync(file);
        return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
      } finally {
        rmSync(scratch, { recursive: true });
      }
    },
    forward: (batch) => () => ask({ batch, passes: 1 }),
    generations: (batch) => [
      { schedule: 'every pass full-size', run: () => ask({ batch, passes: steps }) },
    ],
    close: () => void child.stdin.end(),
  };
}

/**
 * Bytes lose about 1.5 % in each product (a step of the weights is 1/127 of the largest of a row, one of the activations
 * 1/255 of their range in the whole batch), and errors of four products a layer add up by their squares.
 * @param {string} folder
 */
function int8Bound(folder) {
  const { num_hidden_layers: layers } = JSON.parse(
    readFileSync(join(folder, 'config.json'), 'utf8'),
  );
  return 0.015 * Math.sqrt(4 * layers);
}

/** All answer what magnets answers in f32. @param {string} folder @param {readonly Subject[]} subjects @param {(text: string) => void} log */
export async function compare(folder, subjects, log) {
  const [reference, ...others] = subjects;
  if (reference === undefined) return;
  const expected = await reference.logits();
  for (const { name, weights, logits } of others) {
    const { largest, rms } = difference(await logits(), expected);
    const [value, bound] = weights === 'f32' ? [largest, f32Bound] : [rms, int8Bound(folder)];
    const text = `logits of ${name} differ by ${value.toPrecision(2)} standard deviations`;
    if (!(value < bound)) throw new Error(`${text}, expected less than ${bound.toPrecision(2)}`);
    log(`${basename(folder)}: ${text}`);
  }
}
