/** PNG pictures: a contact sheet of samples, and a strip of one sample's steps. */

import { encode } from 'fast-png';
import { integer, wrongValue } from './errors.js';
import type { Tensor } from './tensor.js';

/** Gray of the gaps and of masked patches, 8 bits. */
const gapGray = 255;
const maskedGray = 128;

export interface SheetOptions {
  /** Default: as square as the count allows. */
  readonly columns?: number;
  /** Each pixel becomes scale x scale. Default 3. */
  readonly scale?: number;
}

/** A canvas of 8-bit pixels, `cell` by `cell`. */
class Sheet {
  readonly #data: Uint8Array;
  readonly #width: number;
  readonly #height: number;
  readonly #gap: number;

  constructor(
    count: number,
    private readonly columns: number,
    private readonly cellHeight: number,
    private readonly cellWidth: number,
    private readonly channels: number,
    private readonly scale: number,
  ) {
    this.#gap = scale;
    this.#width = columns * (cellWidth * scale + this.#gap) + this.#gap;
    this.#height = Math.ceil(count / columns) * (cellHeight * scale + this.#gap) + this.#gap;
    this.#data = new Uint8Array(this.#width * this.#height * channels).fill(gapGray);
  }

  /** Fills cell `index`; value(y, x, channel) in [0, 1]. */
  draw(index: number, value: (y: number, x: number, channel: number) => number): void {
    const { scale, channels } = this;
    const top =
      Math.floor(index / this.columns) * (this.cellHeight * scale + this.#gap) + this.#gap;
    const left = (index % this.columns) * (this.cellWidth * scale + this.#gap) + this.#gap;
    for (let y = 0; y < this.cellHeight * scale; ++y) {
      for (let x = 0; x < this.cellWidth * scale; ++x) {
        const at = ((top + y) * this.#width + left + x) * channels;
        for (let channel = 0; channel < channels; ++channel) {
          const shade = value(Math.floor(y / scale), Math.floor(x / scale), channel);
          this.#data[at + channel] = Math.round(255 * shade);
        }
      }
    }
  }

  toPng(): Uint8Array {
    const { channels } = this;
    return encode({
      width: this.#width,
      height: this.#height,
      data: this.#data,
      channels: channels as 1 | 3,
    });
  }
}

function imageDims(pixels: Tensor<'float32'>): [number, number, number, number] {
  const { dims } = pixels;
  if (dims.length !== 4 || ![1, 3].includes(dims[3]!)) {
    throw wrongValue('pixels', '[count, height, width, 1 or 3]', dims);
  }
  return dims as unknown as [number, number, number, number];
}

function pixelOf(pixels: Tensor<'float32'>, sample: number) {
  const [, height, width, channels] = imageDims(pixels);
  const { data } = pixels;
  return (y: number, x: number, channel: number) =>
    data[((sample * height + y) * width + x) * channels + channel]!;
}

/** All samples side by side. pixels: [count, height, width, channels] in [0, 1]. */
export function contactSheet(pixels: Tensor<'float32'>, options: SheetOptions = {}): Uint8Array {
  const [count, height, width, channels] = imageDims(pixels);
  const columns = integer('columns', options.columns ?? Math.ceil(Math.sqrt(count)), 1);
  const sheet = new Sheet(
    count,
    columns,
    height,
    width,
    channels,
    integer('scale', options.scale ?? 3, 1, 64),
  );
  for (let sample = 0; sample < count; ++sample) sheet.draw(sample, pixelOf(pixels, sample));
  return sheet.toPng();
}

/**
 * One sample after each step. pixels: [steps, height, width, channels]; masked: [steps, N] on the grid
 * [rows, columns], whose patches are drawn gray.
 */
export function stepStrip(
  pixels: Tensor<'float32'>,
  masked: Uint8Array,
  grid: readonly [number, number],
  options: SheetOptions = {},
): Uint8Array {
  const [count, height, width, channels] = imageDims(pixels);
  const [rows, columns] = grid;
  const scale = integer('scale', options.scale ?? 3, 1, 64);
  const sheet = new Sheet(count, options.columns ?? count, height, width, channels, scale);
  for (let step = 0; step < count; ++step) {
    const pixel = pixelOf(pixels, step);
    sheet.draw(step, (y, x, channel) => {
      const patch = Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width);
      return masked[step * rows * columns + patch] ? maskedGray / 255 : pixel(y, x, channel);
    });
  }
  return sheet.toPng();
}
