/** Types of the part of gifenc that is used. It is a CommonJS module without types: everything is on its default export. */
declare module 'gifenc' {
  type Palette = number[][];
  interface GifEncoder {
    /** The first frame's palette is that of the file, which a later frame without a palette uses. The delay is in milliseconds. */
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
