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
    /** The format is the bits of red, green and blue by which it tells colors apart. */
    quantize(
      rgba: Uint8Array,
      maxColors: number,
      options: { format: 'rgb565' | 'rgb444' },
    ): Palette;
    applyPalette(rgba: Uint8Array, palette: Palette): Uint8Array;
  };
  export default gifenc;
}
