/** Memory that is kept for batches to come, and given back when none come. */

import { clearTimeout, setTimeout } from 'node:timers'; // a realm of its own has none
import type { NativeGenerator, NativeSession } from './native.js';

/** A model that nobody has used for so long keeps nothing but its weights. */
const idleMilliseconds = 10_000;

/** `generator`, which frees what it keeps a while after its last session has ended. */
export function freeingWhenIdle(
  generator: NativeGenerator,
  milliseconds = idleMilliseconds,
): NativeGenerator {
  let sessions = 0;
  let timer: NodeJS.Timeout | undefined;
  let disposed = false;
  const begin = () => {
    clearTimeout(timer);
    ++sessions;
  };
  const end = () => {
    if (--sessions > 0 || disposed) return;
    timer = setTimeout(() => generator.trim().catch(() => {}), milliseconds);
    timer.unref(); // an idle model does not keep the process alive
  };
  const ending = (session: NativeSession): NativeSession => {
    let ended = false;
    return {
      step: (options) => session.step(options),
      compute: (pass) => session.compute(pass),
      reveal: (tokens) => session.reveal(tokens),
      dispose() {
        session.dispose();
        if (!ended) end();
        ended = true;
      },
    };
  };
  return {
    get bytes() {
      return generator.bytes;
    },
    sessionBytes: (samples, guided) => generator.sessionBytes(samples, guided),
    forward: (...pass) => generator.forward(...pass),
    trim: () => generator.trim(),
    async openSession(options) {
      begin();
      try {
        return ending(await generator.openSession(options));
      } catch (error) {
        end();
        throw error;
      }
    },
    dispose() {
      disposed = true;
      clearTimeout(timer);
      generator.dispose();
    },
  };
}
