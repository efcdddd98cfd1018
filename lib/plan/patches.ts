/** The pixels of a token on the grid: its patch. */

/** A frame, row-major [height, width, channels]. */
export interface FramePixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float32Array | Uint8Array;
}

/** The slice of a token grid of `slices` that shows a frame, of `frames`. */
export function sliceOfFrame(frame: number, frames: number, slices: number): number {
  return Math.floor((frame * slices) / frames);
}

/** Paints those patches of a frame over whose position on its slice, of rows x columns tokens, is masked. */
export function paintMasked(
  { width, height, channels, data }: FramePixels,
  rows: number,
  columns: number,
  isMasked: (position: number) => boolean,
  value: number,
): void {
  for (let y = 0; y < height; ++y) {
    const row = Math.floor((y * rows) / height);
    for (let x = 0; x < width; ++x) {
      if (!isMasked(row * columns + Math.floor((x * columns) / width))) continue;
      const pixel = (y * width + x) * channels;
      data.fill(value, pixel, pixel + channels);
    }
  }
}
