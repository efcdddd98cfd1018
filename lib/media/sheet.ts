/** A canvas of cells of one size, side by side. */

import { integer, wrongValue } from '../errors.js';
import type { Picture, PictureSize } from './pixels.js';

export interface SheetOptions {
  /**
   * How many cells a row has, 1 to 65536; with fewer cells there is one row of them. Default: as many as make the sheet
   * about square; in a contact sheet of videos as many as a video has frames, so that a row is a video; in a strip of
   * pictures all steps.
   */
  readonly columns?: number;
  /** Every pixel becomes a square of scale x scale pixels, 1 to 64. Default 1. */
  readonly scale?: number;
}

export const sheetOptionNames = [
  'columns',
  'scale',
] as const satisfies readonly (keyof SheetOptions)[];

/** @throws TypeError or RangeError when an option is not what it should be. */
export function checkSheet({ columns, scale }: SheetOptions): void {
  if (columns !== undefined) integer('columns', columns, 1, 2 ** 16);
  if (scale !== undefined) integer('scale', scale, 1, 64);
}

/** A sheet, or all those of an animation, have at most this many bytes. */
const mostBytes = 2 ** 30;

/** What bounds a sheet besides. */
export interface SheetBounds {
  /** How many such sheets there are. Default 1. */
  readonly frames?: number;
  /** How many pixels a side may have, in a file whose numbers are no larger. */
  readonly side?: number;
}

/** The gray of the gaps between cells, 8 bits. */
const gapGray = 255;

/** Where the cells of a sheet lie, and its extents in pixels. */
interface Layout {
  readonly columns: number;
  readonly scale: number;
  readonly gap: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The layout of `count` cells. Between cells and around them are gaps of `scale` pixels; a single cell has none.
 * @throws TypeError or RangeError when an option is not what it should be, or the sheet would be too large.
 */
export function layoutOf(
  count: number,
  cell: PictureSize,
  defaultColumns: number,
  options: SheetOptions,
  { frames = 1, side = Number.POSITIVE_INFINITY }: SheetBounds = {},
): Layout {
  checkSheet(options);
  const { scale = 1 } = options;
  const columns = Math.min(count, options.columns ?? defaultColumns); // a row has no more than there are
  const gap = count > 1 ? scale : 0;
  const width = columns * (cell.width * scale + gap) + gap;
  const height = Math.ceil(count / columns) * (cell.height * scale + gap) + gap;
  if (Math.max(width, height) > side) {
    const expected = `a picture of at most ${side} x ${side} pixels (not ${width} x ${height})`;
    throw wrongValue('scale', expected, scale);
  }
  const size = frames * width * height * cell.channels;
  if (size > mostBytes) {
    const what = frames > 1 ? `${frames} frames` : 'a sheet';
    throw wrongValue('scale', `${what} of at most ${mostBytes} bytes (not ${size})`, scale);
  }
  return { columns, scale, gap, width, height };
}

export class Sheet {
  readonly picture: Picture;
  readonly #cell: PictureSize;
  readonly #layout: Layout;

  /** An empty sheet of `count` cells. @throws TypeError or RangeError */
  constructor(count: number, cell: PictureSize, defaultColumns: number, options: SheetOptions) {
    this.#cell = cell;
    this.#layout = layoutOf(count, cell, defaultColumns, options);
    const { width, height } = this.#layout;
    const { channels } = cell;
    const data = new Uint8Array(width * height * channels).fill(gapGray);
    this.picture = { width, height, channels, data };
  }

  /** Draws a picture of the cells' size into cell `index`, counted by rows. */
  draw(index: number, cell: Picture): void {
    const { width, channels, data } = this.picture;
    const { columns, scale, gap } = this.#layout;
    const top = Math.floor(index / columns) * (this.#cell.height * scale + gap) + gap;
    const left = (index % columns) * (this.#cell.width * scale + gap) + gap;
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
