/**
 * Runs on another platform, bundled for its Node: prints, as JSON, what test/fixtures/golden.json is to record of an
 * instruction set. Arguments: the URL of dist/index.js, and the set.
 */

import { goldenOf } from '../lib/golden.js';

const [url, instructionSet] = process.argv.slice(2);
console.log(JSON.stringify(await goldenOf(await import(url!), instructionSet!)));
