/** A canvas of cells of one size, side by side, in 8-bit pixels. */

/** Row-major [height, width, channels], gray or RGB. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** Gray of the gaps, 8 bits. */
const gapGray = 255;

export class Sheet {
  readonly picture: Picture;
  readonly #gap: number;

  /** Each pixel of a cell becomes scale x scale. */
  constructor(
    count: number,
    private readonly columns: number,
    private readonly cell: Pick<Picture, 'height' | 'width' | 'channels'>,
    private readonly scale: number,
  ) {
    const { channels } = cell;
    this.#gap = count > 1 ? scale : 0;
    const width = columns * (cell.width * scale + this.#gap) + this.#gap;
    const height = Math.ceil(count / columns) * (cell.height * scale + this.#gap) + this.#gap;
    const data = new Uint8Array(width * height * channels).fill(gapGray);
    this.picture = { width, height, channels, data };
  }

  /** Fills cell `index`; value(y, x, channel) in [0, 1]. */
  draw(index: number, value: (y: number, x: number, channel: number) => number): void {
    const { scale, cell } = this;
    const { width, channels, data } = this.picture;
    const top = Math.floor(index / this.columns) * (cell.height * scale + this.#gap) + this.#gap;
    const left = (index % this.columns) * (cell.width * scale + this.#gap) + this.#gap;
    for (let y = 0; y < cell.height * scale; ++y) {
      for (let x = 0; x < cell.width * scale; ++x) {
        const at = ((top + y) * width + left + x) * channels;
        for (let channel = 0; channel < channels; ++channel) {
          const shade = value(Math.floor(y / scale), Math.floor(x / scale), channel);
          data[at + channel] = Math.round(255 * shade);
        }
      }
    }
  }
}
