/**
 * The bundled models give the samples that test/fixtures/golden.json records, bit for bit. Kernels of different instruction
 * sets round differently, so each has records of its own; golden.ts says how they are made.
 */

import t from 'tap';
import * as magnets from '../../lib/index.js';
import { goldenOf, readGolden, writeGolden } from './golden.js';

// The portable kernels take a minute where another process runs beside them, and twenty under a sanitizer.
t.setTimeout(3_600_000);

for (const instructionSet of magnets.info().cpu.instructionSets) {
  t.test(instructionSet, async (t) => {
    const found = await goldenOf(magnets, instructionSet);
    if (process.env.GOLDEN === 'record') writeGolden(found);
    const recorded = readGolden().filter((one) => one.instructionSet === instructionSet);
    t.same(found, recorded);
  });
}
