/** Where the time of a generation goes: what native code says of its steps, and what passes outside of them. */

import { openingBy } from './around.js';
import type { NativeGenerator, NativeProfile, NativeSession } from './native.js';

/** Seconds of one run by kind of work; their sum is its wall time. */
export interface Profile extends NativeProfile {
  /** Opening the session: its buffers, where no other left them behind, and the first ids. */
  opening: number;
  /** From JavaScript to the thread that computes and back. */
  handOver: number;
  /** The rest: making requests of steps, and results. */
  javaScript: number;
}

export const kindsOfWork = [
  'projections',
  'attention',
  'mlp',
  'lmHead',
  'norms',
  'rows',
  'sampling',
  'session',
  'opening',
  'handOver',
  'javaScript',
] as const satisfies readonly (keyof Profile)[];

export const emptyProfile = (): Profile =>
  Object.fromEntries(kindsOfWork.map((kind) => [kind, 0])) as unknown as Profile;

/** Calls `work`, and adds the seconds until it is done. */
async function timed<T>(work: () => Promise<T>, add: (seconds: number) => void): Promise<T> {
  const started = performance.now();
  const result = await work();
  add((performance.now() - started) / 1000);
  return result;
}

/** The generator with a stopwatch: its sessions add the time that is not JavaScript's to `profile`. */
export function profiledGenerator(generator: NativeGenerator, profile: Profile): NativeGenerator {
  const profiledSession = (session: NativeSession): NativeSession => ({
    compute: (pass) => session.compute(pass),
    reveal: (tokens) => session.reveal(tokens),
    dispose: () => session.dispose(),
    async step(options) {
      const step = await timed(
        () => session.step(options),
        (seconds) => {
          profile.handOver += seconds;
        },
      );
      for (const [kind, seconds] of Object.entries(step.profile ?? {})) {
        profile[kind as keyof NativeProfile] += seconds;
        profile.handOver -= seconds;
      }
      return step;
    },
  });
  return openingBy(generator, async (options) => {
    const opened = await timed(
      () => generator.openSession({ ...options, profiled: true }),
      (seconds) => {
        profile.opening += seconds;
      },
    );
    return profiledSession(opened);
  });
}
