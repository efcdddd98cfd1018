import { createReadStream } from 'node:fs';
import { unreadable } from '../checkpoint/disk-file.js';
import { MagnetsError, wrongValue } from '../errors.js';
import { decodePng } from '../media/decode.js';
import type { Model } from '../runtime/model.js';
import { givenShape } from '../runtime/prediction.js';
import { Tensor } from '../tensor.js';
import { parse, UsageError, valuesOf } from './arguments.js';
import { generateToFiles } from './generate-to-files.js';
import { sharedArguments, sharedHelp, sharedOptions } from './shared-options.js';

export const help = `magnets predict --model moving-digits --frames FILE... --out rest.apng

Predicts how given frames go on, and writes the frames after them.

  --model NAME      a bundled model or a checkpoint folder
  --frames FILE...  PNGs of one frame each, or an APNG, of the model's size (as generate --scale 1 writes them); of more
                    frames than the model is given the last ones are taken
  --count N         different continuations; default 1
${sharedHelp}`;

/** A file of frames has at most this many bytes. */
const mostBytes = 2 ** 26;

/** What a file holds, or what comes out of a pipe, which may be endless. @throws MagnetsError ERR_MEDIA */
async function readBytes(file: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of createReadStream(file, { end: mostBytes })) pieces.push(piece);
  } catch (cause) {
    throw unreadable(file, cause, 'ERR_MEDIA');
  }
  const bytes = Buffer.concat(pieces);
  if (bytes.length <= mostBytes) return bytes;
  throw new MagnetsError('ERR_MEDIA', `${file}: expected frames of at most ${mostBytes} bytes`);
}

/** The last frames of the files, as many as the model is given: [1, given, height, width, channels] in [0, 1]. */
async function readFrames(model: Model, files: string[]): Promise<Tensor<'float32'>> {
  const shape = givenShape(model.config, model.tokenizerConfig);
  const [given, height, width, channels] = shape;
  if (channels !== 1 && channels !== 3) {
    const message = `expected a model of 1 or 3 channels, for PNG, but it has ${channels}`;
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  }
  const size = given * height * width * channels;
  const last = new Float32Array(size);
  let count = 0;
  for (const name of files) {
    const { data, dims } = decodePng(await readBytes(name), { height, width, channels, name });
    const own = data.subarray(-size);
    last.copyWithin(0, own.length);
    last.set(own, size - own.length);
    count += dims[0]!;
  }
  if (count < given) throw wrongValue('frames', `at least ${given} frames`, count);
  return new Tensor('float32', last, [1, ...shape]);
}

export async function run(args: string[]): Promise<void> {
  const options = { ...sharedOptions, frames: { type: 'string', multiple: true } } as const;
  const { values, tokens } = parse(args, options, true);
  const files = valuesOf(tokens, 'frames');
  if (files.length === 0) throw new UsageError('Expected --frames FILE...');
  let frames: Promise<Tensor<'float32'>> | undefined;
  await generateToFiles(
    values,
    async (model, part) => {
      frames ??= readFrames(model, files);
      return model.predict({ ...sharedArguments(values), frames: await frames, ...part });
    },
    (result) => result.predicted,
  );
}
