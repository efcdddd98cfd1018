/** Memory that is kept for calls to come, and given back when none come. */

import { clearTimeout, setTimeout } from 'node:timers'; // a realm of its own has none
import { endingWith, wrapped } from './around.js';
import type { NativeGenerator, NativeTokenizer } from './native.js';

/** What nobody has used for so long keeps nothing but its weights. */
const idleMilliseconds = 10_000;

/** Frees what `object` keeps a while after its last use has ended. */
class Freeing {
  readonly #object: { trim(): Promise<void> };
  readonly #milliseconds: number;
  #uses = 0;
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(object: { trim(): Promise<void> }, milliseconds: number) {
    this.#object = object;
    this.#milliseconds = milliseconds;
  }

  begin(): void {
    clearTimeout(this.#timer);
    ++this.#uses;
  }

  end(): void {
    if (--this.#uses > 0 || this.#disposed) return;
    this.#timer = setTimeout(() => this.#object.trim().catch(() => {}), this.#milliseconds);
    this.#timer.unref(); // what is idle does not keep the process alive
  }

  async during<T>(use: () => Promise<T>): Promise<T> {
    this.begin();
    try {
      return await use();
    } finally {
      this.end();
    }
  }

  dispose(): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }
}

/** `generator`, which frees what it keeps a while after its last session has ended. */
export function freeingWhenIdle(
  generator: NativeGenerator,
  milliseconds = idleMilliseconds,
): NativeGenerator {
  const freeing = new Freeing(generator, milliseconds);
  return wrapped(generator, {
    openSession(options) {
      freeing.begin();
      return endingWith(
        () => generator.openSession(options),
        () => freeing.end(),
      );
    },
    dispose() {
      freeing.dispose();
      generator.dispose();
    },
  });
}

/** `tokenizer`, which frees what it keeps a while after its last call has ended. */
export function tokenizerFreeingWhenIdle(
  tokenizer: NativeTokenizer,
  milliseconds = idleMilliseconds,
): NativeTokenizer {
  const freeing = new Freeing(tokenizer, milliseconds);
  return wrapped(tokenizer, {
    encode: (...call) => freeing.during(() => tokenizer.encode(...call)),
    detokenize: (...call) => freeing.during(() => tokenizer.detokenize(...call)),
    dispose() {
      freeing.dispose();
      tokenizer.dispose();
    },
  });
}
