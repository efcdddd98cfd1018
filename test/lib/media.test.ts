/**
 * Pixels as files, read back with other code than wrote them: PNG, which fast-png writes, with png.ts; APNG, which
 * lib/media/apng.ts writes, with fast-png; GIF, which gifenc writes, with omggif. And PNG and APNG as input.
 */

import { crc32, deflateSync } from 'node:zlib';
import { decode, decodeApng, encode } from 'fast-png';
import { GifReader } from 'omggif';
import t from 'tap';
import {
  animation,
  contactSheet,
  decodePng,
  encodePng,
  stepStrip,
  Tensor,
} from '../../lib/index.js';
import { framesOf } from '../../lib/media/pixels.js';
import { readPng } from './png.js';

/** A value of its own in every place, a multiple of 1/255. */
function pixelsOf(...dims: number[]): Tensor<'float32'> {
  const size = dims.reduce((product, extent) => product * extent, 1);
  return new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => ((i * 7) % 251) / 255),
    dims,
  );
}

const bytesOf = (pixels: Tensor<'float32'>) => pixels.data.map((value) => Math.round(255 * value));

/** The bytes of cell (row, column) of a sheet of scale 1, whose gap is 1. */
function cellOf(
  sheet: { width: number; channels: number; data: ArrayLike<number> },
  [height, width]: [number, number],
  row: number,
  column: number,
): number[] {
  const { channels, data } = sheet;
  return Array.from({ length: height * width * channels }, (_, i) => {
    const y = row * (height + 1) + 1 + Math.floor(i / (width * channels));
    const x = column * (width + 1) + 1 + (Math.floor(i / channels) % width);
    return data[(y * sheet.width + x) * channels + (i % channels)]!;
  });
}

t.test('one picture', async (t) => {
  for (const channels of [1, 3]) {
    const picture = pixelsOf(4, 5, channels);
    const png = readPng(encodePng(picture));
    t.match(png, { width: 5, height: 4, channels });
    t.same([...png.data], [...bytesOf(picture)]);
  }
  const beyond = new Tensor('float32', Float32Array.of(-0.5, 0, 0.5, 1, 1.5, 100), [1, 6, 1]);
  t.same([...readPng(encodePng(beyond)).data], [0, 0, 128, 255, 255, 255], 'values are clamped');
});

t.test('contact sheets', async (t) => {
  const pictures = pixelsOf(5, 2, 3, 3);
  const square = readPng(contactSheet(pictures));
  t.match(square, { width: 3 * 4 + 1, height: 2 * 3 + 1, channels: 3 });
  t.same(cellOf(square, [2, 3], 1, 1), [...bytesOf(pictures).subarray(4 * 18)]);

  const videos = pixelsOf(2, 4, 2, 3, 1);
  const rows = readPng(contactSheet(videos));
  t.match(rows, { width: 4 * 4 + 1, height: 2 * 3 + 1, channels: 1 }, 'a sample a row');
  t.same(cellOf(rows, [2, 3], 1, 2), [...bytesOf(videos).subarray(6 * 6, 7 * 6)]);
  t.match(readPng(contactSheet(videos, { scale: 2, columns: 2 })), { width: 18, height: 26 });
  const dark = new Tensor('float32', Float32Array.of(0.2, 0.4, 0.6), [3, 1, 1, 1]);
  t.same(
    [...readPng(contactSheet(dark)).data],
    [
      [255, 255, 255, 255, 255],
      [255, 51, 255, 102, 255],
      [255, 255, 255, 255, 255],
      [255, 153, 255, 255, 255],
      [255, 255, 255, 255, 255],
    ].flat(),
    'gaps and the place of a cell that is missing are white',
  );
  const one = readPng(contactSheet(pixelsOf(1, 2, 3, 1)));
  t.match(one, { width: 3, height: 2 }, 'one has no gap, and nothing is enlarged');
  const [first = 0, second = 0] = bytesOf(pixelsOf(1, 1, 2, 1));
  t.same(
    [...readPng(contactSheet(pixelsOf(1, 1, 2, 1), { scale: 2 })).data],
    [first, first, second, second, first, first, second, second],
  );
});

t.test('animations', async (t) => {
  for (const channels of [1, 3] as const) {
    const videos = pixelsOf(3, 4, 2, 3, channels);
    const bytes = bytesOf(videos);
    const size = 6 * channels;
    const apng = decodeApng(animation(videos, 'apng', { fps: 25 }), { checkCrc: true });
    t.match(apng, { width: 9, height: 7, channels, numberOfFrames: 4, numberOfPlays: 0 });
    t.same(
      apng.frames.map((frame) => frame.delayDenominator / frame.delayNumber),
      [25, 25, 25, 25],
    );
    t.same(
      apng.frames.map((frame) => frame.sequenceNumber),
      [0, 1, 3, 5],
      'each fdAT counts too',
    );
    apng.frames.forEach(({ data }, frame) => {
      const cell = cellOf({ width: 9, channels, data }, [2, 3], 1, 0);
      t.same(cell, [...bytes.subarray((2 * 4 + frame) * size, (2 * 4 + frame + 1) * size)]);
    });

    const gif = new GifReader(Buffer.from(animation(videos, 'gif', { columns: 3 })));
    t.match([gif.width, gif.height, gif.numFrames(), gif.loopCount()], [13, 4, 4, 0]);
    for (let frame = 0; frame < 4; ++frame) {
      t.equal(gif.frameInfo(frame).delay, 13, '8 a second, in 1/100 s');
      const data = new Uint8Array(13 * 4 * 4);
      gif.decodeAndBlitFrameRGBA(frame, data);
      const rgba = cellOf({ width: 13, channels: 4, data }, [2, 3], 0, 1);
      const own = bytes.subarray((4 + frame) * size, (4 + frame + 1) * size);
      const expected = Array.from({ length: 24 }, (_, i) =>
        i % 4 === 3 ? 255 : own[Math.floor(i / 4) * channels + (channels === 3 ? i % 4 : 0)]!,
      );
      const error = Math.max(...rgba.map((value, i) => Math.abs(value - expected[i]!)));
      // A palette's colors keep 5 bits of red and blue at least.
      t.ok(error <= (channels === 1 ? 0 : 8), `frame ${frame}: error ${error}`);
    }
  }
});

t.test('a strip of steps', async (t) => {
  // 3 steps of 4 frames of 2 x 4 pixels, on a grid of 2 x 1 x 2 tokens.
  const pixels = pixelsOf(3, 4, 2, 4, 1);
  const masked = Uint8Array.of(1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0);
  const strip = readPng(stepStrip(pixels, masked, [2, 1, 2]));
  t.match(strip, { width: 4 * 5 + 1, height: 3 * 3 + 1 });
  for (let i = 0; i < 12; ++i) {
    const [step, frame] = [Math.floor(i / 4), i % 4];
    const expected = [...bytesOf(pixels).subarray(i * 8, (i + 1) * 8)].map((value, place) => {
      const token = step * 4 + (frame < 2 ? 0 : 2) + (place % 4 < 2 ? 0 : 1);
      return masked[token] ? 128 : value;
    });
    t.same(cellOf(strip, [2, 4], step, frame), expected, `step ${step}, frame ${frame}`);
  }
  const pictures = readPng(stepStrip(pixelsOf(3, 2, 4, 3), masked, [1, 2, 2]));
  t.match(pictures, { width: 3 * 5 + 1, height: 2 + 2, channels: 3 }, 'pictures in one row');
  t.same(cellOf(pictures, [2, 4], 0, 0), Array(24).fill(128));
});

t.test('pixels out of range become the nearest end, and numbers between are rounded', async (t) => {
  const values = [
    -0.5,
    -0.001,
    0,
    0.4999,
    0.5,
    0.999,
    1,
    1.001,
    1.01,
    2,
    1e30,
    -Infinity,
    Infinity,
  ];
  const bytes = [0, 0, 0, 127, 128, 255, 255, 255, 255, 255, 255, 0, 255];
  const pixels = (...dims: number[]) => new Tensor('float32', Float32Array.from(values), dims);
  const length = values.length;
  const wide = [1, length] as [number, number];
  t.same([...readPng(encodePng(pixels(1, length, 1))).data], bytes);
  t.same([...readPng(contactSheet(pixels(1, 1, length, 1))).data], bytes);
  const strip = readPng(stepStrip(pixels(1, 1, length, 1), new Uint8Array(length), [1, 1, length]));
  t.same([...strip.data], bytes);
  const videos = pixels(1, 1, 1, length, 1);
  t.same([...decodeApng(animation(videos, 'apng')).frames[0]!.data], bytes);
  const gif = new GifReader(Buffer.from(animation(videos, 'gif')));
  const rgba = new Uint8Array(4 * length);
  gif.decodeAndBlitFrameRGBA(0, rgba);
  t.same(
    [...rgba].filter((_, i) => i % 4 === 0),
    bytes,
  );
  const two = new Tensor('float32', Float32Array.of(...values, ...values), [2, ...wide, 1]);
  t.same(cellOf(readPng(contactSheet(two)), wide, 0, 1), bytes, 'in a sheet of several');

  const wrong = new Tensor('float32', Float32Array.of(0, Number.NaN), [1, 1, 2, 1]);
  const refused = { name: 'RangeError', message: /^Expected numbers for pixels but received NaN$/ };
  t.throws(() => contactSheet(wrong), refused);
  t.throws(() => animation(wrong, 'gif'), refused);
  t.throws(() => stepStrip(wrong, new Uint8Array(2), [1, 1, 2]), refused);
  t.throws(() => encodePng(new Tensor('float32', wrong.data, [1, 2, 1])), refused);
});

t.test('a GIF of as many colors as pixels takes no longer than one of few', async (t) => {
  const [side, count] = [256, 256 * 256 * 3];
  let state = 1;
  const noise = Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  });
  const before = process.cpuUsage();
  const bytes = animation(new Tensor('float32', noise, [1, 1, side, side, 3]), 'gif');
  const seconds = process.cpuUsage(before).user / 1e6;
  t.ok(seconds < 4, `${seconds} s, where its time is not the square of the colors`);
  const rgba = new Uint8Array(side * side * 4);
  new GifReader(Buffer.from(bytes)).decodeAndBlitFrameRGBA(0, rgba);
  const errors = noise.map((value, i) =>
    Math.abs(rgba[4 * Math.floor(i / 3) + (i % 3)]! - 255 * value),
  );
  const mean = errors.reduce((sum, error) => sum + error) / count;
  t.ok(mean < 16, `256 colors lie ${mean} from noise`); // a sixth of its range, and half of that, and half
});

t.test('wrong arguments', async (t) => {
  const video = pixelsOf(1, 2, 2, 2, 1);
  const wrong = { name: 'RangeError' };
  t.throws(() => contactSheet(pixelsOf(2, 2)), { ...wrong, message: /for pixels but received/ });
  t.throws(() => contactSheet(pixelsOf(1, 2, 2, 2)), wrong);
  t.throws(() => contactSheet(pixelsOf(0, 2, 2, 1)), wrong);
  t.throws(() => animation(pixelsOf(1, 0, 2, 2, 1), 'apng'), wrong);
  t.throws(() => contactSheet(video, { scale: 0 }), wrong);
  t.throws(() => contactSheet(new Float32Array(4) as never), { name: 'TypeError' });
  t.throws(() => encodePng(pixelsOf(1, 2, 2, 1)), wrong);
  t.throws(() => encodePng(pixelsOf(2, 2, 2)), wrong);
  t.throws(() => encodePng(pixelsOf(0, 2, 1)), wrong);
  const tokens = new Tensor('uint8', new Uint8Array(4), [2, 2, 1]);
  t.throws(() => encodePng(tokens as never), { name: 'TypeError' });
  t.throws(() => stepStrip(video, new Uint8Array(3), [2, 1, 1]), {
    ...wrong,
    message: 'Expected 1 x 2 elements (steps x tokens) for masked but received 3',
  });
  t.throws(() => stepStrip(video, [0, 0] as never, [2, 1, 1]), { name: 'TypeError' });
  const wide = pixelsOf(1, 4, 1, 70_000, 1);
  t.throws(() => animation(wide, 'gif'), {
    ...wrong,
    message:
      'Expected a picture of at most 65535 x 65535 pixels (not 70000 x 1) for scale but received 1',
  });
  t.equal(decodeApng(animation(wide, 'apng')).width, 70_000);
  const large = { ...wrong, message: /^Expected 4 frames of at most 1073741824 bytes \(not 114/ };
  t.throws(() => animation(wide, 'apng', { scale: 64 }), large);
  t.throws(() => animation(video, 'gif', { fps: 0 }), { ...wrong, message: /1 \.\. 50 for fps/ });
  t.throws(() => animation(video, 'mp4' as 'gif'), {
    ...wrong,
    message: /one of apng, gif for format/,
  });
});

const size = { width: 3, height: 2, channels: 1 } as const;
/** The bytes that decoded frames stand for. */
const decoded = (file: Uint8Array, options: Parameters<typeof decodePng>[1] = size) => [
  ...bytesOf(decodePng(file, options)),
];

t.test('a PNG or an APNG is read as it was written', async (t) => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
  const frame = decodePng(encode({ ...size, data }), size);
  t.match(frame, { type: 'float32', dims: [1, 2, 3, 1] });
  t.same([...frame.data], [...Float32Array.from(data, (value) => value / 255)]);
  t.same(decoded(encode({ ...size, data }, { interlace: 'Adam7' })), [...data]);
  const video = pixelsOf(1, 3, 2, 3, 3);
  const rgb = { ...size, channels: 3 };
  t.same(decodePng(animation(video, 'apng'), rgb).dims, [3, 2, 3, 3]);
  t.same(decoded(animation(video, 'apng'), rgb), [...bytesOf(video)]);
});

const signature = Buffer.from('89504e470d0a1a0a', 'hex');

function chunk(type: string, data: number[] | Uint8Array = []): Buffer {
  const body = Buffer.concat([Buffer.from(type), Uint8Array.from(data)]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

const header = chunk('IHDR', [0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 0]);
/** The first number is that of the chunk among all fcTL and fdAT. */
const control = (sequence: number, [width, height]: number[], [x, y]: number[], disposal: number) =>
  chunk(
    'fcTL',
    [sequence, width!, height!, x!, y!]
      .flatMap((n) => [0, 0, 0, n])
      .concat([0, 1, 0, 8, disposal, 0]),
  );
/** Rows, each after a 0: not filtered. */
const rows = (...bytes: number[]) => deflateSync(Uint8Array.from(bytes));
const later = (sequence: number, data: Uint8Array) => chunk('fdAT', [0, 0, 0, sequence, ...data]);

t.test('frames that are a part of the picture lie over those before', async (t) => {
  const first = rows(0, 1, 2, 3, 0, 4, 5, 6);
  const file = Buffer.concat([
    signature,
    header,
    chunk('acTL', [0, 0, 0, 4, 0, 0, 0, 0]),
    control(0, [3, 2], [0, 0], 0),
    chunk('IDAT', first.subarray(0, 5)),
    chunk('IDAT', first.subarray(5)),
    control(1, [2, 1], [1, 1], 1),
    later(2, rows(0, 7, 8)),
    control(3, [1, 1], [0, 0], 2),
    later(4, rows(0, 9)),
    control(5, [1, 1], [2, 0], 0),
    later(6, rows(0, 10)),
    chunk('IEND'),
  ]);
  t.same(decoded(file), [
    ...[1, 2, 3, 4, 5, 6],
    ...[1, 2, 3, 4, 7, 8],
    ...[9, 2, 3, 4, 0, 0],
    ...[1, 2, 10, 4, 0, 0],
  ]);
});

t.test('other files are refused', async (t) => {
  const refused = (bytes: Uint8Array, message: RegExp) =>
    t.throws(() => decodePng(bytes, { ...size, name: 'a.png' }), { code: 'ERR_MEDIA', message });
  const expected = /^a\.png: expected a PNG or APNG of 3 x 2 gray pixels of 8 bits: /;
  const data = new Uint8Array(18);
  const colored = encode({ width: 3, height: 2, channels: 3, data });
  for (const colors of [[], [1, 2, 3, 4], Array(257 * 3).fill(0)]) {
    const bytes = Buffer.concat([
      colored.subarray(0, 33),
      chunk('PLTE', colors),
      colored.subarray(33),
    ]);
    t.throws(() => decodePng(bytes, { ...size, channels: 3 }), { message: /a PLTE that is none$/ });
  }
  refused(Buffer.from('GIF89a'), /: it is no PNG$/);
  refused(signature, expected);
  refused(
    encode({ width: 2, height: 3, channels: 1, data: data.subarray(0, 6) }),
    /: it has 2 x 3 pixels of 8 bits and PNG's color type 0$/,
  );
  refused(encode({ width: 3, height: 2, channels: 3, data }), /: it has 3 x 2 .* type 2$/);
  refused(
    encode({ width: 3, height: 2, channels: 1, depth: 16, data: new Uint16Array(6) }),
    /: it has 3 x 2 pixels of 16 bits/,
  );
  const file = (...chunks: Buffer[]) =>
    Buffer.concat([signature, header, ...chunks, chunk('IEND')]);
  refused(file(chunk('IDAT', rows(0, 1, 2, 3, 0, 4, 5, 6).subarray(0, 9))), expected);
  refused(file(chunk('IDAT', rows(0, 1, 2, 3))), expected);
  refused(file(), expected);
  const pixels = chunk('IDAT', rows(0, 1, 2, 3, 0, 4, 5, 6));
  const animated = (count: number) => chunk('acTL', [0, 0, 0, count, 0, 0, 0, 0]);
  refused(file(animated(1), control(0, [3, 2], [1, 0], 0), pixels), /larger than the picture$/);
  refused(file(control(0, [3, 2], [0, 0], 0), pixels), /: it has frames but no acTL/);
  refused(file(animated(1), control(0, [2, 2], [0, 0], 0), pixels), /not the whole picture$/);
  refused(file(animated(1), pixels), /: it has 0 frames instead of 1$/);
  refused(file(animated(0), pixels), /: it has 0 frames, which is not 1 \.\. 4096$/);
  refused(file(chunk('acTL', [0, 0, 16, 1, 0, 0, 0, 0]), pixels), /: it has 4097 frames, which/);
  refused(file(pixels, animated(1), control(0, [3, 2], [0, 0], 0)), /: its acTL is out of order$/);
  refused(file(pixels, chunk('tEXt'), pixels), /: its IDAT are apart$/);
  refused(file(header, pixels), /: it has no IHDR at its start, or another$/);
  refused(file(chunk('PLTE', [1, 2, 3]), pixels), /: it has a PLTE that is none$/); // of a gray picture
  refused(file(pixels, chunk('KEYS')), /: it has a chunk KEYS, which is not known$/);
  refused(file(chunk('IDAT', rows(0, 1, 2, 3, 5, 4, 5, 6))), /: it has a row with filter 5$/);
  refused(file(chunk('IDAT', [...rows(0, 1, 2, 3, 0, 4, 5, 6), 0])), /bytes after its pixels$/);
  refused(Buffer.concat([file(pixels), chunk('tEXt')]), /: it goes on after its last chunk$/);
  t.same(decoded(file(chunk('tEXt', [1]), pixels, chunk('tIME', [1]))), [1, 2, 3, 4, 5, 6]);
  refused(file(chunk('fcTL', [0])), expected);
  t.throws(() => decodePng(file(), size), { message: /^picture: expected a PNG/ }, 'unnamed');
});

/** The chunks of a sound file. */
function chunksOf(bytes: Uint8Array): Buffer[] {
  const file = Buffer.from(bytes);
  const chunks: Buffer[] = [];
  for (let at = 8; at < file.length; at += chunks.at(-1)!.length) {
    chunks.push(file.subarray(at, at + 12 + file.readUInt32BE(at)));
  }
  return chunks;
}

t.test('no damage is read as sound', async (t) => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
  for (const [name, bytes] of [
    ['PNG', encode({ ...size, data })],
    ['APNG', animation(pixelsOf(1, 4, 2, 3, 1), 'apng')],
  ] as const) {
    let accepted: string[] = [];
    const attempt = (what: string, damaged: Uint8Array) => {
      try {
        decodePng(damaged, size);
        accepted.push(what);
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_MEDIA') accepted.push(`${what}: ${error}`);
      }
    };
    for (let bit = 0; bit < 8 * bytes.length; ++bit) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      attempt(`bit ${bit}`, damaged);
    }
    t.same(accepted, [], `${name}: every bit that flips`);
    accepted = [];
    for (let length = 0; length < bytes.length; ++length) {
      attempt(`${length} bytes`, bytes.subarray(0, length));
    }
    t.same(accepted, [], `${name}: every cut`);
    accepted = [];
    const chunks = chunksOf(bytes);
    chunks.forEach((own, i) => {
      const others = chunks.toSpliced(i, 1);
      attempt(`without chunk ${i}`, Buffer.concat([signature, ...others]));
      for (let to = 0; to < chunks.length; ++to) {
        if (to === i) continue;
        attempt(
          `chunk ${i} as number ${to}`,
          Buffer.concat([signature, ...others.toSpliced(to, 0, own)]),
        );
      }
    });
    t.same(accepted, [], `${name}: every chunk that is lost or out of place`);
  }
});

t.test('every filter, as another reader undoes it', async (t) => {
  for (const channels of [1, 3]) {
    const [height, width] = [10, 5];
    const raw = Uint8Array.from({ length: height * (1 + width * channels) }, (_, i) =>
      i % (1 + width * channels) === 0
        ? Math.floor(i / (1 + width * channels)) % 5
        : (i * 89 + i ** 2) % 256,
    );
    const ihdr = chunk('IHDR', [0, 0, 0, width, 0, 0, 0, height, 8, channels - 1, 0, 0, 0]);
    const png = [signature, ihdr, chunk('IDAT', deflateSync(raw)), chunk('IEND')];
    const file = Buffer.concat(png);
    t.same(decoded(file, { height, width, channels }), [...decode(file).data]);
  }
});

t.test('what is unpacked is bounded beforehand', async (t) => {
  const bomb = deflateSync(Buffer.alloc(2 ** 26));
  const file = Buffer.concat([signature, header, chunk('IDAT', bomb), chunk('IEND')]);
  const before = process.resourceUsage().maxRSS;
  t.throws(() => decodePng(file, size), { message: /: its pixels are more than 8 bytes$/ });
  const grown = (process.resourceUsage().maxRSS - before) / 1024;
  t.ok(grown < 16, `${grown.toFixed(1)} MiB for a file that unpacks to 64`);
  t.throws(() => decodePng(file, { height: 65536, width: 65536, channels: 1 }), {
    name: 'RangeError',
  });
  const pixels = chunk('IDAT', rows(0, 1, 2, 3, 0, 4, 5, 6));
  const nothing = (count: number) =>
    Buffer.concat([signature, header, ...Array(count).fill(chunk('IDAT')), pixels, chunk('IEND')]);
  t.same(decoded(nothing(2 ** 16 - 3)), [1, 2, 3, 4, 5, 6]);
  t.throws(() => decodePng(nothing(2 ** 16 - 2), size), {
    code: 'ERR_MEDIA',
    message: /: it has more than 65536 chunks$/,
  });
  // A frame of one pixel costs a few bytes and shows the whole picture again.
  const [height, width] = [1024, 1024];
  const ihdr = chunk('IHDR', [0, 0, 4, 0, 0, 0, 4, 0, 8, 0, 0, 0, 0]);
  const number = (n: number) => [n >> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
  const whole = chunk('IDAT', deflateSync(Buffer.alloc(1024 * 1025)));
  const frames = Array.from({ length: 65 }, (_, i) => {
    const region = [1, 1, 0, 0].flatMap(number);
    const fcTL = chunk('fcTL', [...number(2 * i), ...region, 0, 1, 0, 8, 0, 0]);
    return [fcTL, chunk('fdAT', [...number(2 * i + 1), ...rows(0, 0)])];
  }).flat();
  const counted = chunk('acTL', [...number(65), 0, 0, 0, 0]);
  const animated = Buffer.concat([signature, ihdr, counted, whole, ...frames, chunk('IEND')]);
  t.throws(() => decodePng(animated, { height, width, channels: 1 }), {
    code: 'ERR_MEDIA',
    message: /: it has 65 frames, more than 67108864 values$/,
  });
});

t.test('a picture of more values than a list may have elements', async (t) => {
  const side = 11_600;
  const pixels = new Tensor('float32', new Float32Array(side * side), [1, side, side, 1]);
  t.equal(framesOf(pixels).picture(0, 0).data.length, side * side);
});

t.test('wrong arguments of decodePng', async (t) => {
  const bytes = encode({ ...size, data: new Uint8Array(6) });
  const wrong = (options: object, name: string, of: Uint8Array = bytes) =>
    t.throws(() => decodePng(of, { ...size, ...options }), { name });
  wrong({}, 'TypeError', 'a.png' as never);
  wrong({ width: 0 }, 'RangeError');
  wrong({ height: '2' }, 'TypeError');
  wrong({ channels: 2 }, 'RangeError');
  wrong({ channels: undefined }, 'TypeError');
  wrong({ name: 1 }, 'TypeError');
});
