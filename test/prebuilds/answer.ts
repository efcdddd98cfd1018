/**
 * Runs on another platform, bundled for its Node: prints, as JSON, what the package answers there. Arguments: the URL of
 * dist/index.js, then names of requests.
 */

import { answers } from '../lib/golden.js';

const [url, ...names] = process.argv.slice(2);
const magnets: typeof import('../../lib/index.js') = await import(url!);

const { instructionSets } = magnets.info().cpu;
const found = [];
for (const instructionSet of instructionSets) {
  for (const weights of ['f32', 'int8'] as const) {
    const options = { device: 'cpu', instructionSet, weights, threads: 2 } as const;
    const model = await magnets.load('fashion', options);
    found.push({ instructionSet, weights, answers: await answers(magnets, model, names) });
    model.dispose();
  }
}
let refused = '';
try {
  await magnets.load('fashion', { device: 'cuda' });
} catch (error) {
  // Thrown by C++ and caught there, so that exceptions are seen to work.
  refused = (error as { code?: string }).code ?? '';
}
const { platform, arch, version } = process;
console.log(JSON.stringify({ platform, arch, version, instructionSets, refused, found }));
