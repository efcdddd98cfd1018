/** What is put around native objects, by who wants to see what sessions do and when they end. */

import type { NativeSession } from './native.js';

/** `object` with these members in place of its own. Its methods must not need `this`; those of native objects do not. */
export function wrapped<T extends object>(object: T, members: Partial<T>): T {
  return Object.create(object, Object.getOwnPropertyDescriptors(members));
}

/** Ends what nobody has disposed of when it is collected. */
const collected = new FinalizationRegistry<() => void>((end) => end());

/**
 * The session that `open` opens. `end` is called once: when it is disposed of or collected, or where it cannot be opened.
 */
export async function endingWith(
  open: () => Promise<NativeSession>,
  end: () => void,
): Promise<NativeSession> {
  let ended = false;
  const endOnce = () => {
    if (!ended) end();
    ended = true;
  };
  try {
    const session = await open();
    const dispose = () => {
      session.dispose();
      endOnce();
    };
    const own = wrapped(session, { dispose });
    collected.register(own, endOnce);
    return own;
  } catch (error) {
    endOnce();
    throw error;
  }
}
