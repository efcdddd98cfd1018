/** What is put around native objects, by who wants to see when sessions begin and end. */

import type { NativeGenerator, NativeSession } from './native.js';

/** The session, which calls `end` once, when it is disposed of. */
export function endingWith(session: NativeSession, end: () => void): NativeSession {
  let ended = false;
  return {
    step: (options) => session.step(options),
    compute: (pass) => session.compute(pass),
    reveal: (tokens) => session.reveal(tokens),
    dispose: () => {
      session.dispose();
      if (!ended) end();
      ended = true;
    },
  };
}

/** The generator, whose sessions are opened by `openSession`. */
export function openingBy(
  generator: NativeGenerator,
  openSession: NativeGenerator['openSession'],
): NativeGenerator {
  return {
    openSession,
    bytes: generator.bytes,
    sessionBytes: (samples, guided) => generator.sessionBytes(samples, guided),
    forward: (...pass) => generator.forward(...pass),
    trim: () => generator.trim(),
    dispose: () => generator.dispose(),
  };
}
