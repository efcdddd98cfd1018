import { readFile } from 'node:fs/promises';
import { MagnetsError, wrongValue } from '../errors.js';
import { decodePng } from '../media/apng.js';
import type { Model } from '../runtime/model.js';
import { framesAfter, givenShape } from '../runtime/prediction.js';
import { Tensor } from '../tensor.js';
import { parse, UsageError, valuesOf } from './arguments.js';
import { decodeToFiles, decodingArguments, decodingHelp, decodingOptions } from './decoding.js';

export const help = `magnets predict --model moving-digits --frames FILE... --out rest.apng

Predicts how given frames go on: writes the frames after them.

  --model NAME      a bundled model or a checkpoint folder
  --frames FILE...  PNGs, a frame each, or an APNG, of the model's size (as generate --scale 1 writes); the last ones are
                    taken, as many as it needs
  --count N         different ways to go on (1)
${decodingHelp}`;

/** The last frames of the files, as many as the model is given: [1, given, height, width, channels] in [0, 1]. */
async function readFrames(model: Model, files: string[]): Promise<Tensor<'float32'>> {
  const shape = givenShape(model.config, model.tokenizerConfig);
  const [given, height, width, channels] = shape;
  if (channels !== 1 && channels !== 3) {
    const message = `expected a model of 1 or 3 channels, for PNG, but it has ${channels}`;
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  }
  const read = async (file: string) =>
    decodePng(file, await readFile(file), { width, height, channels });
  const frames = (await Promise.all(files.map(read))).flat();
  if (frames.length < given) {
    throw wrongValue('frames', `at least ${given} frames`, frames.length);
  }
  const bytes = Buffer.concat(frames.slice(-given).map(({ data }) => data));
  const values = Float32Array.from(bytes, (value) => value / 255);
  return new Tensor('float32', values, [1, ...shape]);
}

export async function run(args: string[]): Promise<void> {
  const options = { ...decodingOptions, frames: { type: 'string', multiple: true } } as const;
  const { values, tokens } = parse(args, options, true);
  const files = valuesOf(tokens, 'frames');
  if (files.length === 0) throw new UsageError('Expected --frames FILE...');
  await decodeToFiles(
    values,
    async (model) =>
      model.predict({ ...decodingArguments(values), frames: await readFrames(model, files) }),
    (pixels, { config }) => framesAfter(pixels, config.prediction!.frames),
  );
}
