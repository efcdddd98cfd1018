/** What ends a command from outside: Ctrl-C, a system that shuts down, a terminal that is closed. */

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export const interrupts = Object.keys(exitCodes) as readonly (keyof typeof exitCodes)[];

/** Somebody has ended the command: the message is printed and the exit code is that of the signal. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(
    message: string,
    readonly signal: keyof typeof exitCodes,
  ) {
    super(message);
    this.exitCode = exitCodes[signal];
  }
}

/**
 * The first interrupt aborts `stop`, with an Interrupted as its reason; a second one ends the process as usual. Returns
 * what takes this back.
 */
export function abortWhenInterrupted(stop: AbortController): () => void {
  const ignore = () => {
    for (const signal of interrupts) process.off(signal, abort);
  };
  const abort = (signal: keyof typeof exitCodes) => {
    ignore();
    stop.abort(new Interrupted('interrupted', signal));
  };
  for (const signal of interrupts) process.on(signal, abort);
  return ignore;
}
