/** The turns of the event loop. */

import { setImmediate } from 'node:timers'; // a realm of its own has none

/** A function that has `body` run after this turn: once, however often it is called in it. */
export function afterTurn(body: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    setImmediate(() => {
      asked = false;
      body();
    });
  };
}
