/** The command line with a model of videos: animations, frame prediction, named schedules. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeApng, encode } from 'fast-png';
import { GifReader } from 'omggif';
import t from 'tap';
import { animation, load, Tensor } from '../../lib/index.js';
import { copyOf, fixtureFolder } from './fixtures.js';
import { magnets } from './magnets.js';
import { readPng } from './png.js';

t.test('generate: videos', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const generate = (file: string, ...args: string[]) => {
    const model = ['--model', fixtureFolder('video'), '--steps', '4', '--seed', '7'];
    const out = join(folder, file);
    return { out, ...magnets('generate', ...model, ...args, '--out', out) };
  };
  const sheet = generate('out.png', '--label', '3', '--count', '2');
  t.match(sheet, { status: 0, stderr: '', stdout: /^2 videos in 4 steps / });
  t.match(
    readPng(readFileSync(sheet.out)),
    { width: 6 * (6 * 3 + 3) + 3, height: 2 * (4 * 3 + 3) + 3, channels: 1 },
    'a sample a row',
  );

  const strip = join(folder, 'strip.png');
  const gif = generate('out.gif', 'a', '--label', 'b', 'c', '--fps', '20', '--strip', strip);
  t.match(gif, { status: 0, stdout: /^3 videos/ });
  const read = new GifReader(readFileSync(gif.out));
  t.same([read.width, read.height, read.numFrames()], [2 * 21 + 3, 2 * 15 + 3, 6]);
  t.equal(read.frameInfo(0).delay, 5);
  t.match(readPng(readFileSync(strip)), { width: 6 * 21 + 3, height: 4 * 15 + 3 }, 'a step a row');

  const apng = generate('out.apng', 'a', '--scale', '1');
  t.match(apng, { status: 0, stdout: /^1 video / });
  t.match(decodeApng(readFileSync(apng.out)), { width: 6, height: 4, numberOfFrames: 6 });

  t.match(generate('out.mp4', 'a'), {
    status: 2,
    stderr: /Expected a file that ends in \.apng, \.gif or \.png, .* for --out but received "/,
  });
  t.match(magnets('generate', 'a', '--model', fixtureFolder('post'), '--out', 'out.gif'), {
    status: 2,
    stderr: /Expected a file that ends in \.png for --out but received "out\.gif"/,
  });
});

t.test('predict', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const model = ['--model', fixtureFolder('video'), '--steps', '4'];
  const given = join(folder, 'given.apng');
  magnets('generate', 'b', ...model, '--seed', '0', '--scale', '1', '--out', given);
  // Its last three frames as pictures.
  const last = decodeApng(readFileSync(given)).frames.slice(3);
  const pictures = last.map(({ data }, i) => {
    const file = join(folder, `${i}.png`);
    writeFileSync(file, encode({ width: 6, height: 4, channels: 1, data }));
    return file;
  });

  const out = join(folder, 'rest.apng');
  const predict = (...args: string[]) =>
    magnets('predict', ...model, '--seed', '0', '--scale', '1', '--out', out, ...args);
  t.match(predict('--frames', given), { status: 0, stderr: '', stdout: /^1 video in 4 steps / });
  const rest = decodeApng(readFileSync(out));
  t.match(rest, { width: 6, height: 4, numberOfFrames: 3 });
  const values = last.flatMap(({ data }) => Array.from(data, (value) => value / 255));
  const frames = new Tensor('float32', Float32Array.from(values), [1, 3, 4, 6, 1]);
  const loaded = await load(fixtureFolder('video'));
  const { predicted } = await loaded.predict({ frames, steps: 4, seed: 0 }).result();
  loaded.dispose();
  t.same(readFileSync(out), animation(predicted, 'apng'), 'as by the API');
  t.match(predict('--frames', ...pictures), { status: 0 });
  t.same(decodeApng(readFileSync(out)).frames, rest.frames, 'the last frames are taken');
  const [first = '', ...others] = pictures;
  t.match(predict('--frames', ...others, first), { status: 0 });
  t.notSame(decodeApng(readFileSync(out)).frames, rest.frames, 'in this order');

  const strip = join(folder, 'strip.png');
  const several = predict('--frames', given, '--count', '5', '--json', '--strip', strip);
  t.match(JSON.parse(several.stdout), { model: 'video', count: 5, steps: 4, out, strip });
  t.match(decodeApng(readFileSync(out)), { width: 3 * 7 + 1, height: 2 * 5 + 1 });
  t.match(readPng(readFileSync(strip)), { width: 6 * 7 + 1, height: 4 * 5 + 1 });

  t.match(predict(), { status: 2, stderr: /Expected --frames FILE\.\.\./ });
  t.match(predict('--frames', first), {
    status: 1,
    stderr: /Expected at least 3 frames for frames but received 1/,
  });
  const large = join(folder, 'large.png');
  writeFileSync(large, encode({ width: 8, height: 4, channels: 1, data: new Uint8Array(32) }));
  t.match(predict('--frames', first, large, first), {
    status: 1,
    stderr:
      /large\.png: expected a PNG or APNG of 6 x 4 gray pixels of 8 bits: it has 8 x 4 pixels/,
  });
  t.match(predict('--frames', join(folder, 'none.png')), {
    status: 1,
    stderr: /none\.png: expected a readable file but there is none/,
  });
  t.match(predict('--frames', folder), { status: 1, stderr: /expected a readable file but it is/ });
  t.match(predict('--frames', '/dev/zero'), {
    status: 1,
    stderr: /zero: expected frames of at most 67108864 bytes/,
  });
  t.match(predict('--frames', first, '--model', fixtureFolder('post')), {
    status: 2,
    stderr: /ends in \.png/,
  });
  t.match(
    magnets('predict', '--frames', first, '--model', fixtureFolder('post'), '--out', 'rest.png'),
    { status: 1, stderr: /post predicts no frames: its config\.json has no "prediction"/ },
  );
});

t.test('a named schedule, and videos, in plan and bench', async (t) => {
  const { folder, write } = copyOf('video', t);
  write('schedules.json', { 'auto:0.33': { schedule: '1/8x3,1x2' } });
  const args = ['--model', folder, '--schedule', 'auto:0.33', '--json'];
  const plan = JSON.parse(magnets('plan', ...args).stdout);
  t.match(plan, { schedule: '1/8x3,1x2', model: { schedules: { 'auto:0.33': '1/8x3,1x2' } } });
  t.equal(plan.steps.length, 5);
  t.match(magnets('plan', ...args, '--steps', '6'), {
    status: 1,
    stderr: /Expected 6 steps in all/,
  });
  t.match(magnets('plan', '--model', folder, '--schedule', 'auto:1'), {
    status: 1,
    stderr: /'baseline' or 'auto:0\.33' for schedule but received "auto:1"/,
  });
  const { stdout } = magnets('bench', ...args, '--batch', '2', '--repeats', '1');
  t.match(JSON.parse(stdout).rows, [
    { name: 'baseline', batch: 2, steps: 5, schedule: '1x5' },
    { name: 'auto:0.33', batch: 2, steps: 5, schedule: '1/8x3,1x2', flops: Number },
  ]);
});
