/**
 * The rows inside converted public models are those of their own code. A checkpoint is cut off after some blocks, and
 * its LM head is replaced by one of as many codes as a row has columns whose matrix is the identity: its logits are the
 * rows. Halton-MaskGIT's norm after the last block cannot be taken out; there the normed rows are compared.
 */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCheckpoint } from '../../lib/checkpoint/checkpoint.js';
import type { GeneratorConfig } from '../../lib/checkpoint/config.js';
import { info } from '../../lib/index.js';
import { fullWidth } from '../../lib/plan/shape.js';
import { classId, maskId } from '../../lib/plan/vocabulary.js';
import { engineTensors, nativeGeneratorConfig } from '../../lib/runtime/listing.js';
import { type NativeGeneratorConfig, native } from '../../lib/runtime/native.js';
import { relativeError } from './fixtures.js';
import {
  type Answers,
  answersOf,
  convertAll,
  f32Bound,
  haltonQuestion,
  maskbitIds,
  type PublicModel,
} from './public-answers.js';
import { madeTensor, temporaryFolder } from './public-files.js';

const folder = temporaryFolder(t);
await convertAll(folder);

const made = (shape: readonly number[], value: (i: number) => number) =>
  madeTensor(folder, shape, value);

/** The identity as the LM head's matrix, and no bias. */
const identity = (d: number) => ({
  'head.output.weight': made([d, d], (i) => (i % (d + 1) === 0 ? 1 : 0)),
  'head.bias': made([d], () => 0),
});

/** A norm after the last block that neither scales nor shifts, whatever the class. */
const plainNorm = (d: number) => ({
  'modulation.weight': made([2 * d, d], () => 0),
  'modulation.bias': made([2 * d], () => 0),
  'norm.weight': made([d], () => 1),
  'norm.bias': made([d], () => 0),
});

function haltonIds(config: GeneratorConfig, answers: Answers) {
  const { tokens, labels } = haltonQuestion(answers);
  return {
    ids: tokens.data.map((token) => (token < 0 ? maskId(config) : token)),
    classIds: Int32Array.from(labels, (label) => classId(config, label)),
  };
}

/** The grid's rows of [count, 17, d] or [count, 16, d]: theirs has the register or the class as the last of 17. */
function gridRows(answers: Answers, name: string): Float32Array {
  const { data, dims } = answers.float(name);
  const [, rows, d] = dims as [number, number, number];
  return data.filter((_, i) => Math.floor(i / d) % rows < 16);
}

/** Each row divided by its root mean square, in f64. */
function normed(rows: Float32Array, d: number, epsilon: number): Float64Array {
  const result = Float64Array.from(rows);
  for (let row = 0; row < rows.length; row += d) {
    const values = result.subarray(row, row + d);
    const square = values.reduce((sum, value) => sum + value * value, 0) / d;
    values.forEach((value, i) => {
      values[i] = value / Math.sqrt(square + epsilon);
    });
  }
  return result;
}

/** Where a model is cut off, and whether its rows are normed then. */
interface Cut extends Partial<Pick<NativeGeneratorConfig, 'layers' | 'head'>> {
  readonly normed?: boolean;
}

interface Peer {
  readonly model: PublicModel;
  readonly of: string;
  readonly ids: typeof haltonIds;
  /** By the answer's name. */
  readonly cuts: Readonly<Record<string, Cut>>;
}

const peers: readonly Peer[] = [
  {
    model: 'halton',
    of: 'halton-tiny',
    ids: haltonIds,
    cuts: {
      'block.0': { layers: 1, normed: true },
      'block.1': { layers: 2, normed: true },
      last_norm: {},
    },
  },
  {
    model: 'halton-odd',
    of: 'halton-odd',
    ids: haltonIds,
    cuts: { 'block.0': { layers: 1, normed: true }, last_norm: {} },
  },
  {
    model: 'maskbit',
    of: 'maskbit-tiny',
    ids: maskbitIds,
    cuts: {
      first_layer: { layers: 0, head: 'plain' },
      transformer: { head: 'plain' },
      last_layer: {},
    },
  },
];

async function checkPeer(t: Test, instructionSet: string, { model, of, ids: idsOf, cuts }: Peer) {
  const answers = answersOf(of);
  const { config, tensors } = await readCheckpoint(join(folder, model), engineTensors);
  const { ids, classIds } = idsOf(config, answers);
  const { heads, hidden } = fullWidth(config);
  const d = config.hiddenSize;
  const device = native().openCpu(2, instructionSet);
  t.teardown(() => device.dispose());
  for (const [name, { normed: isNormed, ...cut }] of Object.entries(cuts)) {
    const whole = nativeGeneratorConfig(config);
    const generator = await device.loadGenerator(
      { ...whole, tied: false, codebookSize: d, ...cut },
      { ...tensors, ...identity(d), ...(isNormed && plainNorm(d)) },
      'f32',
    );
    const { logits } = await generator.forward(ids, classIds, heads, hidden);
    generator.dispose();
    const rows = gridRows(answers, name);
    const error = relativeError(logits, isNormed ? normed(rows, d, config.normEps) : rows);
    t.ok(error < f32Bound, `${name}: error ${error} of ${f32Bound}`);
  }
}

for (const instructionSet of info().cpu.instructionSets) {
  for (const peer of peers) {
    t.test(`${peer.of}, ${instructionSet}`, (t) => checkPeer(t, instructionSet, peer));
  }
}
