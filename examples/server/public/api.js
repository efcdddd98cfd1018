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
  const response = await ask('/v1/models');
  return (await response.json()).data;
}

/**
 * Runs a request and yields its events; the last is the result. Leaving the loop, or aborting, closes the connection,
 * and the server stops.
 * @param {object} request
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Event>}
 */
export async function* generate(request, signal) {
  const response = await ask('/v1/generations', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
  for await (const text of textOf(response, signal)) {
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(text) ?? [];
    if (event === undefined || data === undefined) continue;
    if (event === 'error') throw new Error(JSON.parse(data).error.message);
    yield/** @type {Event} */ ({ event, data: JSON.parse(data) });
    if (event === 'result') return;
  }
  throw new Error('The server ended its answer before the result.');
}

/**
 * An answer that is no refusal. What goes wrong on the way is told in our own words: every browser has others.
 * @param {string} path
 * @param {RequestInit} options
 */
async function ask(path, options = {}) {
  const response = await fetch(path, options).catch((error) => {
    if (options.signal?.aborted) throw error;
    throw new Error('The server cannot be reached.', { cause: error });
  });
  if (response.ok) return response;
  const body = await response.json().catch(() => undefined); // a proxy's refusal is a page
  throw new Error(body?.error?.message ?? `The server answered with status ${response.status}.`);
}

/**
 * The texts of server-sent events, as they come.
 * @param {Response} response
 * @param {AbortSignal} signal
 */
async function* textOf({ body }, signal) {
  if (body === null) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const texts = (rest + value).split('\n\n');
      rest = texts.pop() ?? '';
      yield* texts;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error('The connection to the server was lost.', { cause: error });
  }
}
