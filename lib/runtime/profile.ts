/** Where the time of a generation goes: what native code says of its steps, and what passes outside of them. */

import { wrapped } from './around.js';
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

/** A stopwatch: what `work` gives, and the seconds that it took, or since the work before ended, where that is later. */
function stopwatch(): <T>(work: () => Promise<T>) => Promise<[T, number]> {
  let ended = 0;
  return async (work) => {
    const started = performance.now();
    const result = await work();
    const before = Math.max(started, ended);
    ended = performance.now();
    return [result, (ended - before) / 1000];
  };
}

/** The generator with a stopwatch: its sessions add the time that is not JavaScript's to `profile`. */
export function profiledGenerator(generator: NativeGenerator, profile: Profile): NativeGenerator {
  const timed = stopwatch();
  const stepOf = (session: NativeSession): NativeSession['step'] => {
    return async (options) => {
      const [step, seconds] = await timed(() => session.step(options));
      profile.handOver += seconds;
      for (const [kind, own] of Object.entries(step.profile ?? {})) {
        profile[kind as keyof NativeProfile] += own;
        profile.handOver -= own;
      }
      return step;
    };
  };
  return wrapped(generator, {
    async openSession(options) {
      const [session, seconds] = await timed(() =>
        generator.openSession({ ...options, profiled: true }),
      );
      profile.opening += seconds;
      return wrapped(session, { step: stepOf(session) });
    },
  });
}
