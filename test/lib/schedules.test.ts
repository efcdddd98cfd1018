/** Schedules that a checkpoint names in schedules.json. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { load, plan } from '../../lib/index.js';
import { copyOf } from './fixtures.js';

const named = {
  'auto:0.33': { schedule: '1/8x1,1/4x2,1x2', share: 0.327, command: 'python3 -m training.search' },
  'wide-last': { schedule: '1/8x7,1x1' },
};

t.test('they are found by name, with steps of their own', async (t) => {
  const { folder, write } = copyOf('video', t);
  write('schedules.json', named);
  const model = await load(folder);
  t.teardown(() => model.dispose());
  const options = { schedule: 'auto:0.33', seed: 3 };
  const spelled = { ...options, schedule: '1/8x1,1/4x2,1x2' };

  const generation = model.generate(options);
  t.match(generation.plans[0], { schedule: '1/8x1,1/4x2,1x2', cache: true });
  t.equal(generation.plans[0]?.steps.length, 5);
  t.same((await generation.result()).tokens, (await model.generate(spelled).result()).tokens);
  t.equal(plan({ model: model.config, schedule: 'wide-last' }).steps.length, 8);
  t.equal(plan({ model: model.config, schedule: 'wide-last', steps: 8 }).steps.length, 8);

  t.throws(() => model.generate({ ...options, steps: 12 }), {
    name: 'RangeError',
    message: 'Expected 12 steps in all for schedule but received 5',
  });
  for (const schedule of ['auto:0.5', 'toString']) {
    t.throws(() => model.generate({ schedule }), {
      name: 'RangeError',
      message: /1x3', 'paper', 'baseline', 'auto:0\.33' or 'wide-last' for schedule but received "/,
    });
    t.throws(() => plan({ model: model.config, schedule }), { name: 'RangeError' });
  }
});

t.test('schedules.json is checked', async (t) => {
  const { folder, write } = copyOf('video', t);
  const refused = async (json: unknown, message: RegExp) => {
    write('schedules.json', json);
    await t.rejects(load(folder), { code: 'ERR_CHECKPOINT', message });
  };
  await refused([], /schedules\.json: expected a JSON object but received \[\]$/);
  await refused({ paper: named['wide-last'] }, /a name such as 'auto:0\.33'.* for paper but/);
  await refused({ baseline: named['wide-last'] }, /not 'paper', 'baseline' .* for baseline but/);
  await refused({ full: named['wide-last'] }, /for full but/);
  await refused({ '1/8x3': named['wide-last'] }, /a name such as .* for 1\/8x3 but/);
  await refused({ a: '1x3' }, /schedules\.json: expected an object for a but received "1x3"$/);
  await refused({ a: {} }, /expected a schedule such as .* for a\.schedule but received nothing/);
  await refused({ a: { schedule: 'paper' } }, /for a\.schedule but received "paper"/);
  await refused({ a: { schedule: '1/8x3' }, b: { schedule: 'a' } }, /for b\.schedule but/);
  await refused({ a: { schedule: '1/8' } }, /for a\.schedule but received "1\/8"/);
  await refused(
    { a: { schedule: '1/3x4' } },
    /one of 1\/8, 1\/4, 1\/2, 1 for width.*for a\.schedule/,
  );
  writeFileSync(join(folder, 'schedules.json'), '{');
  await t.rejects(load(folder), { message: /schedules\.json: expected JSON/ });
});
