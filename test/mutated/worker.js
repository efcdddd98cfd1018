// Runs the cases that run.js sends, one after the other, and answers each.

import { runCase } from './cases.js';

process.on('message', async (/** @type {number} */ number) => {
  let [outcome, failure] = ['', ''];
  try {
    outcome = await runCase(number);
  } catch (error) {
    failure = error instanceof Error ? `${error.stack}` : String(error);
  }
  const mebibytes = process.resourceUsage().maxRSS / 1024;
  process.send?.({ outcome, failure, mebibytes });
});
