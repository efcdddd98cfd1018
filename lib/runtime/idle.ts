/** Memory that is kept for batches to come, and given back when none come. */

import { clearTimeout, setTimeout } from 'node:timers'; // a realm of its own has none
import { endingWith, wrapped } from './around.js';
import type { NativeGenerator } from './native.js';

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
  return wrapped(generator, {
    openSession(options) {
      begin();
      return endingWith(() => generator.openSession(options), end);
    },
    dispose() {
      disposed = true;
      clearTimeout(timer);
      generator.dispose();
    },
  });
}
