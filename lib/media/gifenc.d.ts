/** What is used of gifenc, which has no types of its own; a CommonJS module, so everything is on its default export. */
declare module 'gifenc' {
  type Palette = number[][];
  interface GifEncoder {
    /** The first frame's palette is the file's; a later frame without one uses it. delay: in milliseconds. */
    writeFrame(
      index: Uint8Array,
      width: number,
      height: number,
      options: { palette?: Palette; delay: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array;
  }
  const gifenc: {
    GIFEncoder(): GifEncoder;
    quantize(rgba: Uint8Array, maxColors: number): Palette;
    applyPalette(rgba: Uint8Array, palette: Palette): Uint8Array;
  };
  export default gifenc;
}
