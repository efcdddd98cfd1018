/** What the files of generate and predict look like: --out, and the strip of --strip. */

import { extname } from 'node:path';
import { MagnetsError, quote } from '../errors.js';
import { animation, animationBounds, checkFps } from '../media/animation.js';
import { contactSheet } from '../media/png.js';
import { checkSheet, type SheetBounds } from '../media/sheet.js';
import { stepStrip } from '../media/strip.js';
import type { Model } from '../runtime/model.js';
import type { GenerationStep } from '../runtime/result.js';
import type { Pixels } from '../runtime/tokenizer.js';
import { Tensor } from '../tensor.js';
import { toNumber, UsageError } from './arguments.js';
import type { OutputFile } from './output-file.js';
import type { SharedValues } from './shared-options.js';

/** Small samples are enlarged, because people look at these files. */
export function defaultScale(height: number): number {
  return height <= 64 ? 3 : 1;
}

/** What the two files look like. */
interface Looks {
  readonly columns?: number;
  /** Default: by the height of the samples. */
  readonly scale?: number;
  readonly fps?: number;
}

/** The options of the files, checked as far as they can be without a model. */
export function looksOf({ strip, ...values }: SharedValues): Looks {
  if (strip !== undefined && extname(strip).toLowerCase() !== '.png') {
    throw new UsageError(
      `Expected a file that ends in .png for --strip but received ${quote(strip)}`,
    );
  }
  const looks = {
    columns: toNumber('columns', values.columns),
    scale: toNumber('scale', values.scale),
    fps: toNumber('fps', values.fps),
  };
  checkSheet(looks);
  if (looks.fps !== undefined) checkFps(looks.fps);
  return looks;
}

/** The size of the model's pictures. @throws MagnetsError ERR_UNSUPPORTED where there are none that a file can hold. */
export function pictureSize({ config, tokenizerConfig }: Model) {
  const refuse = (message: string): never => {
    throw new MagnetsError('ERR_UNSUPPORTED', message);
  };
  if (tokenizerConfig === undefined) return refuse(`${config.name} has no tokenizer beside it`);
  const { channels, sampleShape } = tokenizerConfig;
  if (channels !== 1 && channels !== 3) {
    return refuse(`expected a model of 1 or 3 channels, for PNG, but it has ${channels}`);
  }
  const [frames, height, width] = sampleShape;
  return { frames, height, width, channels } as const;
}

/** What makes the bytes of --out, by the ending of its name, how many cells of it lie side by side, and what bounds it. */
export function encoderOf(
  out: string,
  frames: number,
  { fps, ...sheet }: Looks,
): { cellsOfSample: number; bounds: SheetBounds; encode(pixels: Pixels): Uint8Array } {
  const ending = extname(out).toLowerCase();
  const video = frames > 1;
  if (ending === '.png') {
    return { cellsOfSample: frames, bounds: {}, encode: (pixels) => contactSheet(pixels, sheet) };
  }
  if (video && (ending === '.apng' || ending === '.gif')) {
    const format = ending === '.gif' ? 'gif' : 'apng';
    const bounds = animationBounds(format, frames);
    const encode = (pixels: Pixels) => animation(pixels, format, { ...sheet, fps });
    return { cellsOfSample: 1, bounds, encode };
  }
  const endings = video ? '.apng, .gif or .png, for this model makes videos,' : '.png';
  throw new UsageError(
    `Expected a file that ends in ${endings} for --out but received ${quote(out)}`,
  );
}

/** The tokens of one sample after every step, -1 where masked, as a strip. */
async function drawStrip(model: Model, steps: Int32Array[], scale: number): Promise<Uint8Array> {
  const tokens = Int32Array.from(steps.flatMap((step) => [...step]));
  // A masked position is drawn over, so any token will do there.
  const shown = tokens.map((id) => Math.max(0, id));
  const pixels = await model.detokenize(
    new Tensor('int32', shown, [steps.length, model.tokenCount]),
  );
  const masked = Uint8Array.from(tokens, (id) => (id < 0 ? 1 : 0));
  return stepStrip(pixels, masked, model.config.latentShape, { scale });
}

/** Collects the first sample after every step, where a strip is asked for. */
export class Strip {
  readonly #steps: Int32Array[] = [];
  readonly #file: OutputFile | undefined;

  constructor(file: OutputFile | undefined) {
    this.#file = file;
  }

  add({ batch, tokens }: GenerationStep): void {
    if (this.#file === undefined || batch > 0) return;
    this.#steps.push(tokens.data.slice(0, tokens.dims[1]));
  }

  async write(model: Model, scale: number): Promise<void> {
    await this.#file?.write(await drawStrip(model, this.#steps, scale));
  }
}
