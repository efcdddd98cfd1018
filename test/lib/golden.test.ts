/**
 * The bundled models give the samples that test/fixtures/golden.json records, bit for bit: a version that changes them on
 * purpose records them anew. Kernels of different instruction sets round differently, so each has records of its own.
 */

import { readFileSync } from 'node:fs';
import t from 'tap';
import * as magnets from '../../lib/index.js';
import { answers, type Golden } from './golden.js';

// The portable kernels take a minute where another process runs beside them, and twenty under a sanitizer.
t.setTimeout(3_600_000);

const records: Golden[] = JSON.parse(
  readFileSync(new URL('../fixtures/golden.json', import.meta.url), 'utf8'),
);

for (const instructionSet of magnets.info().cpu.instructionSets) {
  const own = records.filter((record) => record.instructionSet === instructionSet);
  const skip = own.length === 0 && `golden.json has no records of ${instructionSet}`;
  t.test(instructionSet, { skip }, async (t) => {
    for (const weights of ['f32', 'bf16', 'int8'] as const) {
      for (const name of ['fashion', 'moving-digits']) {
        const model = await magnets.load(name, {
          device: 'cpu',
          instructionSet,
          weights,
          threads: 2,
        });
        const expected = own.filter((one) => one.weights === weights && one.model === name);
        t.ok(expected.length > 0);
        const found = await answers(
          magnets,
          model,
          expected.map((one) => one.case),
        );
        for (const {
          instructionSet: _,
          weights: __,
          model: ___,
          case: request,
          ...values
        } of expected) {
          t.same(found[request], values, `${name}, ${weights}, ${request}`);
        }
        model.dispose();
      }
    }
  });
}
