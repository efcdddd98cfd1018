/** Who has given a session away wants to know when it has ended. */

import type { NativeSession } from './native.js';

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
