/** Concave curves: how much a schedule's last steps can score at most, by the FLOPs that are left for them. */

/** The corners of a concave curve above some points, by ascending FLOPs and score. */
export interface Curve {
  readonly flops: number[];
  readonly score: number[];
}

export const emptyCurve = (): Curve => ({ flops: [], score: [] });

/** Raises a curve above a point to the right of its corners. */
function addPoint({ flops, score }: Curve, nextFlops: number, nextScore: number): void {
  const removeLast = () => {
    flops.pop();
    score.pop();
  };
  if (nextScore <= score.at(-1)!) return;
  if (nextFlops === flops.at(-1)) removeLast();
  // What lies on or below the line from the corner before it to the point is no corner.
  for (; flops.length > 1; removeLast()) {
    const [fromFlops, fromScore] = [flops.at(-2)!, score.at(-2)!];
    const height = (score.at(-1)! - fromScore) * (nextFlops - fromFlops);
    if (height > (nextScore - fromScore) * (flops.at(-1)! - fromFlops)) break;
  }
  flops.push(nextFlops);
  score.push(nextScore);
}

/** The curve above both: `a`, moved by one more step's FLOPs and score, and `b`. */
export function above(a: Curve, stepFlops: number, stepScore: number, b: Curve): Curve {
  const result = emptyCurve();
  let j = 0;
  for (let i = 0; i < a.flops.length; ++i) {
    const flops = a.flops[i]! + stepFlops;
    for (; j < b.flops.length && b.flops[j]! < flops; ++j)
      addPoint(result, b.flops[j]!, b.score[j]!);
    addPoint(result, flops, a.score[i]! + stepScore);
  }
  for (; j < b.flops.length; ++j) addPoint(result, b.flops[j]!, b.score[j]!);
  return result;
}

/** The index of the last corner with at most so many FLOPs; -1 where there is none. */
function cornerBefore({ flops }: Curve, most: number): number {
  let [low, high] = [-1, flops.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (flops[middle]! <= most) low = middle;
    else high = middle;
  }
  return low;
}

/** The score of the last corner with at most so many FLOPs, which a schedule reaches. */
export function reached(curve: Curve, most: number): number {
  return curve.score[cornerBefore(curve, most)] ?? Number.NEGATIVE_INFINITY;
}

/** The height of a curve, which no schedule with at most so many FLOPs exceeds. */
export function height({ flops, score }: Curve, most: number): number {
  const at = cornerBefore({ flops, score }, most);
  if (at < 0) return Number.NEGATIVE_INFINITY;
  if (at + 1 === flops.length) return score[at]!;
  const slope = (score[at + 1]! - score[at]!) / (flops[at + 1]! - flops[at]!);
  return score[at]! + slope * (most - flops[at]!);
}
