/** A canvas of cells of one size, side by side. */

import { integer } from '../errors.js';
import type { Picture, PictureSize } from './pixels.js';

export interface SheetOptions {
  /**
   * How many cells a row has, 1 to 65536. Default: as many as make the sheet about square; in a contact sheet of videos
   * as many as a video has frames, so that a row is a video; in a strip of pictures all steps.
   */
  readonly columns?: number;
  /** Every pixel becomes a square of scale x scale pixels, 1 to 64. Default 1. */
  readonly scale?: number;
}

/** The gray of the gaps between cells, 8 bits. */
const gapGray = 255;

export class Sheet {
  readonly picture: Picture;
  readonly #cell: PictureSize;
  readonly #columns: number;
  readonly #scale: number;
  readonly #gap: number;

  /**
   * An empty sheet of `count` cells. Between cells and around them are gaps of `scale` pixels; a single cell has none.
   * @throws TypeError or RangeError when an option is not what it should be.
   */
  constructor(count: number, cell: PictureSize, defaultColumns: number, options: SheetOptions) {
    this.#cell = cell;
    this.#columns = integer('columns', options.columns ?? defaultColumns, 1, 2 ** 16);
    this.#scale = integer('scale', options.scale ?? 1, 1, 64);
    this.#gap = count > 1 ? this.#scale : 0;
    const { channels } = cell;
    const width = this.#columns * this.#pitch(cell.width) + this.#gap;
    const height = Math.ceil(count / this.#columns) * this.#pitch(cell.height) + this.#gap;
    const data = new Uint8Array(width * height * channels).fill(gapGray);
    this.picture = { width, height, channels, data };
  }

  /** The distance between the starts of two cells that follow each other. */
  #pitch(extent: number): number {
    return extent * this.#scale + this.#gap;
  }

  /** Draws a picture of the cells' size into cell `index`, counted by rows. */
  draw(index: number, cell: Picture): void {
    const { width, channels, data } = this.picture;
    const scale = this.#scale;
    const top = Math.floor(index / this.#columns) * this.#pitch(this.#cell.height) + this.#gap;
    const left = (index % this.#columns) * this.#pitch(this.#cell.width) + this.#gap;
    for (let y = 0; y < cell.height * scale; ++y) {
      for (let x = 0; x < cell.width * scale; ++x) {
        const from = (Math.floor(y / scale) * cell.width + Math.floor(x / scale)) * channels;
        const to = ((top + y) * width + left + x) * channels;
        for (let channel = 0; channel < channels; ++channel) {
          data[to + channel] = cell.data[from + channel]!;
        }
      }
    }
  }
}
