/** What a generator's size is: everything that FLOPs and plans depend on. */

/** A nested sub-model: the first `heads` attention heads and the first `hidden` MLP units of every layer. */
export interface Width {
  /** `'1/8'`, …, `'1'`. */
  readonly name: string;
  readonly heads: number;
  readonly hidden: number;
}

export interface ModelShape {
  readonly name: string;
  readonly layers: number;
  /** d, the width of the residual stream; never sliced. */
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly codebookSize: number;
  /** V, the rows of the embedding table and the columns of the head. */
  readonly vocabSize: number;
  /** Token grid `[frames, height, width]`. */
  readonly latentShape: readonly [number, number, number];
  /** Narrow to full. */
  readonly widths: readonly Width[];
  /** Schedules by name (`schedules.json` of a checkpoint). */
  readonly schedules?: Readonly<Record<string, string>>;
}

/** N: tokens of one sample, without the class token. */
export function tokenCount(shape: Pick<ModelShape, 'latentShape'>): number {
  const [frames, height, width] = shape.latentShape;
  return frames * height * width;
}

export function fullWidth(shape: Pick<ModelShape, 'widths'>): Width {
  return shape.widths[shape.widths.length - 1]!;
}
