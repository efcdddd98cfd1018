/** The benchmark's errors, and what it says of the machine. The command line of it is tested in cli-bench.test.ts. */

import t from 'tap';
import { MagnetsError, presets } from '../../lib/index.js';
import { bench } from '../../lib/runtime/bench.js';
import { openDevice } from '../../lib/runtime/device.js';

const options = {
  model: presets.B,
  batches: [1],
  schedules: ['paper'],
  guidance: 0,
  repeats: 1,
  device: 'cpu',
} as const;

t.test('native errors arrive as MagnetsErrors', async (t) => {
  const thrown = async (run: () => Promise<unknown>) => {
    try {
      await run();
    } catch (error) {
      return error as MagnetsError;
    }
    return undefined;
  };
  const { device } = openDevice({ device: 'cpu', threads: 1 });
  device.dispose();
  const peak = await thrown(() => device.measurePeak());
  t.ok(peak instanceof MagnetsError, 'of measurePeak');
  t.equal(peak?.code, 'ERR_DISPOSED');

  // A matrix of 2^50 values.
  const model = { ...presets.B, hiddenSize: 2 ** 25, intermediateSize: 2 ** 25 };
  const load = await thrown(() => bench({ ...options, model }));
  t.ok(load instanceof MagnetsError, 'of loadGenerator');
  const open = await thrown(() => bench({ ...options, device: 'cuda:99' }));
  t.ok(open instanceof MagnetsError, 'of openCuda');
  t.equal(open?.code, 'ERR_UNSUPPORTED');
  const set = await thrown(() => bench({ ...options, instructionSet: 'abacus' }));
  t.ok(set instanceof MagnetsError, 'of openCpu');
  t.equal(set?.code, 'ERR_UNSUPPORTED');
});

t.test('wrong options', async (t) => {
  await t.rejects(bench({ ...options, schedules: ['full'] }), { name: 'RangeError' });
  await t.rejects(bench({ ...options, schedules: ['1x8', '1x9'] }), {
    name: 'RangeError',
    message: /schedules of as many steps each/,
  });
  await t.rejects(bench({ ...options, steps: 0 }), { name: 'RangeError' });
  await t.rejects(bench({ ...options, weights: 'f16' }), { name: 'RangeError' });
});
