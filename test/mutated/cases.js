// One case: a mutated file is given to the package, which must refuse it with a code or give what it says.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { decode } from 'fast-png';
import { decodePng, load, MagnetsError } from '../../dist/index.js';
import { mutatedModel } from './models.js';
import { mutatedPicture } from './pictures.js';
import { Random } from './random.js';

/** How many cases there are of each kind. */
const casesOfEach = 10_000;

/** What is wrong with an answer. @param {boolean} right @param {string} message */
function check(right, message) {
  if (!right) throw new Error(message);
}

/** The code of a refusal; any other error is passed on. @param {unknown} error @param {readonly string[]} codes */
function refusal(error, codes) {
  if (error instanceof MagnetsError && codes.includes(error.code)) {
    check(error.message.length < 1000, `a message of ${error.message.length} characters`);
    return error.code;
  }
  throw error;
}

/** @param {Random} random */
async function model(random) {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-mutated-'));
  try {
    for (const [path, bytes] of Object.entries(mutatedModel(random))) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    return await generated(folder, random);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {string} folder @param {Random} random */
async function generated(folder, random) {
  const weights = random.of(/** @type {const} */ (['f32', 'bf16', 'int8']));
  let model;
  try {
    model = await load(folder, { device: 'cpu', threads: random.of([1, 2]), weights });
  } catch (error) {
    return refusal(error, ['ERR_CHECKPOINT']);
  }
  try {
    const { classes, codebookSize, nullClass } = model.config;
    const generation = model.generate({
      labels: [classes > 0 ? random.below(classes) : null],
      count: 2,
      steps: random.of([1, 2, 3, 5]),
      guidance: nullClass ? random.of([0, 1.5]) : 0,
      seed: random.below(1000),
    });
    const result = await generation.result();
    check(
      result.tokens.data.every((token) => token >= 0 && token < codebookSize),
      'tokens that are no codes',
    );
    check(result.flops === generation.plannedFlops, 'other FLOPs than planned');
    if (model.tokenizerConfig !== undefined) {
      const { pixels } = result;
      check(
        pixels.data.every((value) => value >= 0 && value <= 1),
        'pixels outside of [0, 1]',
      );
      await model.tokenize(pixels);
    }
    return 'sound';
  } catch (error) {
    return refusal(error, ['ERR_NUMERIC']);
  } finally {
    model.dispose();
  }
}

/** @param {Random} random @param {boolean} animated */
function picture(random, animated) {
  const { bytes, size, frames, repaired, original } = mutatedPicture(random, animated);
  const sound = decodePng(original, size);
  check(sound.dims[0] === Math.max(1, frames), 'another number of frames');
  let pixels;
  try {
    pixels = decodePng(bytes, size);
  } catch (error) {
    return refusal(error, ['ERR_MEDIA']);
  }
  check(pixels.dims.slice(1).join() === [size.height, size.width, size.channels].join(), 'size');
  if (!repaired) {
    check(Buffer.from(pixels.data.buffer).equals(Buffer.from(sound.data.buffer)), 'wrong pixels');
  }
  const other = animated ? undefined : otherReader(bytes);
  check(
    other === undefined ||
      pixels.data.every((value, i) => value === Math.fround((other[i] ?? -1) / 255)),
    'other pixels than another reader sees',
  );
  return 'sound';
}

/** What fast-png reads; undefined where it refuses, for it also reads texts. @param {Buffer} bytes */
function otherReader(bytes) {
  try {
    return decode(bytes).data;
  } catch {
    return undefined;
  }
}

/** What answers a case of each kind: `sound`, or the code of a refusal. */
const kinds = {
  model,
  /** @param {Random} random */
  png: (random) => picture(random, false),
  /** @param {Random} random */
  apng: (random) => picture(random, true),
};

const names = /** @type {(keyof typeof kinds)[]} */ (Object.keys(kinds));

export const caseCount = names.length * casesOfEach;

/** @param {number} number 0 .. caseCount - 1 */
export const kindOf = (number) => /** @type {keyof typeof kinds} */ (names[number % names.length]);

/** @param {number} number 0 .. caseCount - 1 @returns {Promise<string>} */
export async function runCase(number) {
  return kinds[kindOf(number)](new Random(number));
}
