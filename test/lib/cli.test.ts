/** The command line, by spawning it: plan, info, help and mistakes. */

import { spawnSync } from 'node:child_process';
import t from 'tap';
import { plan, presets } from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';
import { cli, magnets } from './magnets.js';

t.test('plan', async (t) => {
  const json = (...args: string[]) => {
    const { status, stdout, stderr } = magnets('plan', ...args, '--json');
    t.same([status, stderr], [0, '']);
    return JSON.parse(stdout);
  };
  const paper = ['--model', 'L', '--steps', '12', '--schedule', 'paper'];
  const one = json(...paper);
  const { model } = one;
  t.match(one, { samples: 1, branches: 1, schedule: '1/8x3,1/4x3,1/2x3,1x3', cache: true });
  t.same(model, presets.L, 'with the whole shape of the model');
  t.same(one, plan({ model: presets.L, steps: 12 }), 'as by the API');
  t.same(
    one.steps.map((step: { activeRows: number }) => step.activeRows),
    [257, 256, 253, 257, 236, 221, 257, 181, 155, 257, 97, 66],
  );
  t.match(one.steps[0], {
    step: 0,
    width: { name: '1/8', heads: 2, hidden: 512 },
    refresh: true,
    masked: 256,
    maskedAfter: [253],
  });
  const batch = json(...paper, '--batch', '3', '--guidance', '2');
  t.match(batch, { samples: 3, branches: 6, flops: 6 * one.flops, flopsRatio: one.flopsRatio });

  const full = ['--model', 'L', '--schedule', '1x12'];
  const options = ['--refresh', '4', '--order', 'halton', '--masking', 'arccos'];
  options.push('--inverse-temperature', '1,2', '--choice-temperature', '3,1,0');
  options.push('--guidance', '2', '--guidance-schedule', 'cosine', '--guidance-power', '3');
  t.same(
    json(...full, ...options),
    plan({
      model: presets.L,
      schedule: '1x12',
      refresh: 4,
      order: 'halton',
      maskingSchedule: 'arccos',
      inverseTemperature: [1, 2],
      choiceTemperature: [3, 1, 0],
      guidance: 2,
      guidanceSchedule: 'cosine',
      guidancePower: 3,
    }),
    'every option',
  );
  const refreshes = (refresh: string) =>
    json(...full, '--refresh', refresh).steps.flatMap((one: { refresh: boolean; step: number }) =>
      one.refresh ? one.step : [],
    );
  t.same(refreshes('0,7'), [0, 7]);
  t.same(refreshes('switch'), [0]);

  const text = magnets('plan', ...paper, '--batch', '2').stdout;
  const [title, , header, , first] = text.split('\n');
  t.equal(title, 'L, batch 2, 12 steps, 1/8x3,1/4x3,1/2x3,1x3');
  const cells = (line = '') =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  t.same(cells(header), [
    ...['step', 'width', 'heads', 'hidden', 'refresh'],
    ...['active rows', 'masked', 'masked after', 'FLOPs'],
  ]);
  t.same(cells(first).slice(0, 8), ['0', '1/8', '2', '512', 'yes', '514', '512', '506']);
  t.match(magnets('plan', '--model', 'XL').stdout, /3\.09x fewer/);
  t.match(magnets('plan', '--model', 'video-L', '--schedule', 'baseline').stdout, /1\.00x fewer/);
  t.match(
    magnets('plan', '--model', fixtureFolder('pre'), '--steps', '4').stdout,
    /^pre, batch 1, 4 steps, 1\/8x1,1\/4x1/,
  );
});

t.test('info', async (t) => {
  const info = JSON.parse(magnets('info', '--json').stdout);
  t.equal(info.cpu.instructionSets.at(-1), 'portable');
  t.match(info.backends, [
    { name: 'cpu', available: true },
    { name: 'cuda', available: false, reason: String },
  ]);
  t.match(magnets('info').stdout, /cuda: not used: /);
  const taskset = ['-c', '0', process.execPath, cli, 'info', '--json'];
  const { status, stdout } = spawnSync('taskset', taskset, { encoding: 'utf8' });
  if (status === 0) t.equal(JSON.parse(stdout).cpu.threads, 1, 'as many as the process may use');
});

t.test('help and mistakes', async (t) => {
  t.match(magnets('--help'), { status: 0, stdout: /magnets generate/ });
  for (const command of ['generate', 'predict', 'plan', 'bench', 'convert', 'info']) {
    t.match(magnets(command, '--help'), { status: 0, stdout: new RegExp(`^magnets ${command}`) });
  }
  t.match(magnets('paint'), {
    status: 2,
    stderr: /^magnets: Expected a command .* but received "paint"\n$/,
  });
  t.match(magnets('plan', '--modle', 'L'), { status: 2, stderr: /Unknown option '--modle'/ });
  t.match(magnets('bench', '--dtype', 'bf16'), { status: 2, stderr: /Unknown option '--dtype'/ });
  t.match(magnets('plan', '--schedule', 'full'), { status: 1, stderr: /'baseline', which is/ });
  t.match(magnets('bench', '--batch', '1,x'), { status: 2, stderr: /a number for --batch/ });
  t.match(magnets('bench', '--batch', '1,0'), { status: 1, stderr: /for batch but received 0/ });
  t.match(magnets('plan', '--steps', 'many'), {
    status: 2,
    stderr: /Expected a number for --steps/,
  });
  t.match(magnets('plan', '--temperature', '1,x'), { status: 2, stderr: /a number for --temp/ });
  t.match(magnets('plan', '--refresh', 'always'), {
    status: 2,
    stderr: /Expected a number for --refresh/,
  });
  t.match(magnets('generate', 'a'), { status: 2, stderr: /Expected --out FILE/ });
  t.match(magnets('plan', '--steps', '0'), {
    status: 1,
    stderr: /^magnets: Expected an integer in 1 \.\. 1000 for steps but received 0\n$/,
  });
  t.match(magnets('plan', '--model', 'M'), {
    status: 1,
    stderr: /M.config\.json: expected a readable file/,
  });
  t.match(magnets('generate', 'z', '--model', fixtureFolder('post'), '--out', 'out.png'), {
    status: 1,
    stderr: /for label but received "z"/,
  });
  // In a process that has caught nothing before: where the CUDA library is built, it throws and the addon catches.
  t.match(magnets('bench', '--model', fixtureFolder('post'), '--device', 'cuda:0'), {
    status: 1,
    stderr: /^magnets: cannot open cuda:0: .+\n$/,
  });
});
