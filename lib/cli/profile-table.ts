/** The table of `bench --profile`: where the time of a generation goes. */

import type { FlopsByPart } from '../plan/flops.js';
import type { BenchRow } from '../runtime/bench.js';
import type { Profile } from '../runtime/profile.js';
import { table } from './output.js';

const workNames = {
  projections: 'products: query, key, value, output',
  mlp: 'products: MLP, with its activation',
  lmHead: 'products: LM head',
  attention: 'attention',
  norms: 'norms',
  rows: 'selecting and embedding rows',
  sampling: 'sampling and revealing',
  session: 'between operations',
  opening: 'opening the session',
  handOver: 'to the thread that computes and back',
  javaScript: 'JavaScript',
} satisfies Record<keyof Profile, string>;

/** Where the time of runs goes: of each its seconds, its share and, where FLOPs are counted, how much of the peak. */
export function printProfile(
  runs: readonly (BenchRow & { profile: Profile })[],
  peak: number,
): void {
  const entries = Object.entries(workNames) as [keyof Profile, string][];
  const cells = (
    { profile, parts, flops, samples }: (typeof runs)[number],
    kind?: keyof Profile,
  ) => {
    const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
    const seconds = kind === undefined ? mean : profile[kind];
    const counted =
      kind === undefined ? flops : kind in parts ? parts[kind as keyof FlopsByPart] : 0;
    return [
      `${(seconds * 1000).toPrecision(3)} ms`,
      `${((100 * seconds) / mean).toFixed(1)} %`,
      counted === 0 ? '' : `${((100 * counted) / seconds / peak).toFixed(0)} %`,
    ];
  };
  const header = runs.flatMap(({ name }) => [name, 'share', 'of the peak']);
  const rows = [
    ...entries.map(([kind, text]) => [text, ...runs.flatMap((run) => cells(run, kind))]),
    ['all', ...runs.flatMap((run) => cells(run))],
  ];
  console.log(`${table(['', ...header], rows)}\n`);
}
