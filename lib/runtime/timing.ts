/** Wall times of the same thing, measured several times. */

/** In seconds. */
export interface Timing {
  /** In the order of the runs. */
  readonly samples: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function timing(samples: readonly number[]): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { samples, median, min: sorted[0]!, max: sorted.at(-1)! };
}
