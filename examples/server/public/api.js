// The server's API, as the page uses it.

/**
 * @typedef {{ width: string, refresh: boolean, activeRows: number, masked: number, flops: number }} PlannedStep
 * @typedef {{ seed: number | string, labels: (string | number | null)[], flops: number, baselineFlops: number, steps: PlannedStep[][] }} Plan
 * @typedef {{ step: number, steps: number, width: string, masked: number, flops: number, seconds: number, previews?: string[] }} Step
 * @typedef {{ tokens: number[][], pictures: string[], flops: number, baselineFlops: number, flopsRatio: number, seconds: number }} Result
 * @typedef {{ plan: Plan, step: Step, result: Result, error: { error: { message: string } } }} Events
 * @typedef {{ [K in keyof Events]: { event: K, data: Events[K] } }[keyof Events]} Event
 * @typedef {{ id: string, config: import('magnets/plan').ModelShape & { classLabels: string[], classes: number, nullClass: boolean, sampling: { steps: number, guidance: number } }, sample: { frames: number, height: number, width: number }, backend: string }} ServedModel
 */

/** @returns {Promise<ServedModel[]>} */
export async function fetchModels() {
  const response = await fetch('/v1/models');
  return (await response.json()).data;
}

/**
 * Runs a request and yields its events. Leaving the loop, or aborting, closes the connection, and the server stops.
 * @param {object} request
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Event>}
 */
export async function* generate(request, signal) {
  const response = await fetch('/v1/generations', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok || response.body === null)
    throw new Error((await response.json()).error.message);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const messages = (rest + value).split('\n\n');
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(message) ?? [];
      if (event === undefined || data === undefined) continue;
      if (event === 'error') throw new Error(JSON.parse(data).error.message);
      yield/** @type {Event} */ ({ event, data: JSON.parse(data) });
    }
  }
}
