/** examples/server: its APIs, its limits, clients that leave, and how it stops. */

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { decodePng, load, type Pixels } from '../../lib/index.js';
import { install } from './install.js';
import { checkPage, chromium } from './page.js';
import { eventsOf, post, type ServerEvent, startServer } from './server.js';

const example = install('server', t);
const settings = { MAX_WAITING: '1', MAX_COUNT: '64', MAX_TERAFLOPS: '1' };
const { url } = await startServer(example, t, settings);
const generations = `${url}/v1/generations`;
const images = `${url}/v1/images/generations`;

const model = await load('fashion');
t.teardown(() => model.dispose());

/** Seconds of work: 49 steps of the whole model. */
const long = { labels: ['bag'], count: 32, steps: 49, schedule: 'baseline' };

/** A picture of 28 x 28 pixels, each of them `scale` times. */
function isPicture(bytes: Buffer, pixels: Pixels, sample: number, scale: number): boolean {
  const side = 28 * scale;
  const { data } = decodePng(bytes, { height: side, width: side, channels: 1 });
  return data.every((value, i) => {
    const [y, x] = [Math.floor(i / side / scale), Math.floor((i % side) / scale)];
    return Math.abs(value - pixels.data[(sample * 28 + y) * 28 + x]!) <= 0.5 / 255 + 1e-6;
  });
}

const fromUrl = (text: string) => Buffer.from(text.replace('data:image/png;base64,', ''), 'base64');

async function health() {
  return (await (await fetch(`${url}/health`)).json()) as { running: number; waiting: number };
}

async function until(condition: () => Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 500; ++i) {
    if (await condition()) return true;
    await wait(20);
  }
  return false;
}

async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return found === undefined ? 0 : Number(found.slice(line.length + 1));
}

t.test('its types', async (t) => t.equal(example.typeErrors(), ''));

t.test("OpenAI's client", async (t) => {
  // biome-ignore lint/suspicious/noExplicitAny: its types are in the folder of the example
  const { default: OpenAI } = (await example.load('openai')) as any;
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  t.match(await client.models.list(), { data: [{ id: 'fashion', object: 'model' }] });

  const own = await model.generate({ labels: ['bag'], count: 2, seed: 7 }).result();
  const request = { model: 'fashion', prompt: 'bag', n: 2, size: '56x56', seed: 7 };
  const answer = await client.images.generate({ ...request, response_format: 'b64_json' });
  t.match(answer, { size: '56x56', output_format: 'png', created: Number });
  t.equal(answer.data.length, 2);
  answer.data.forEach(({ b64_json }: { b64_json: string }, i: number) => {
    t.ok(isPicture(Buffer.from(b64_json, 'base64'), own.pixels, i, 2));
  });

  const byNumber = await client.images.generate({ prompt: '8', seed: 7, quality: 'auto' });
  t.equal(byNumber.data.length, 1, 'a bag has the number 8');
  t.ok(isPicture(fromUrl(byNumber.data[0].url), own.pixels, 0, 1));
  const none = await client.images.generate({ prompt: 'none', seed: 7 });
  const nothing = await model.generate({ labels: [null], seed: 7 }).result();
  t.ok(isPicture(fromUrl(none.data[0].url), nothing.pixels, 0, 1));

  await t.rejects(client.images.generate({ prompt: 'horse' }), {
    status: 400,
    message: /Expected one of t-shirt, .* for label but received "horse"/,
    param: 'label',
    type: 'invalid_request_error',
  });
});

t.test('events of every step', async (t) => {
  const options = { labels: ['boot', null], count: 3, steps: 6, guidance: 1, seed: 11 };
  const response = await post(generations, { ...options, previews: true });
  t.equal(response.headers.get('content-type'), 'text/event-stream');
  const events: ServerEvent[] = [];
  for await (const each of eventsOf(response)) events.push(each);
  t.same(
    events.map(({ event }) => event),
    ['plan', ...Array(6).fill('step'), 'result'],
  );

  const generation = model.generate(options);
  const [plan, ...steps] = events.map(({ data }) => data);
  const result = steps.pop();
  t.match(plan, { seed: 11, labels: ['boot', null, 'boot'], flops: generation.plannedFlops });
  t.equal(plan.baselineFlops, generation.baselineFlops);
  let i = 0;
  for await (const step of generation) {
    const { width, masked, flops, activeRows } = step;
    t.match(steps[i], { step: i, steps: 6, width, masked, flops, activeRows, seconds: Number });
    t.match(plan.steps[0][i], { width, flops, activeRows });
    const preview = await generation.preview(step);
    t.equal(steps[i].previews.length, 3);
    t.ok(isPicture(fromUrl(steps[i].previews[2]), preview, 2, 1), `the preview of step ${i}`);
    ++i;
  }
  const own = await generation.result();
  t.same(result.tokens.flat(), [...own.tokens.data]);
  t.equal(result.flops, own.flops);
  t.ok(isPicture(fromUrl(result.pictures[1]), own.pixels, 1, 1));

  // Editing: what is known stays, the rest is drawn anew.
  const tokens = own.tokens.data.slice(0, 49).map((token, j) => (j % 3 === 0 ? -1 : token));
  const edited = await post(generations, { labels: ['bag'], tokens: [[...tokens]] });
  let last: ServerEvent | undefined;
  for await (const each of eventsOf(edited)) {
    t.notOk('previews' in each.data, 'none where they are not asked for');
    last = each;
  }
  t.ok(tokens.every((token, j) => token < 0 || token === last!.data.tokens[0][j]));
});

t.test("bad input is refused in the library's words", async (t) => {
  const nested = '['.repeat(1e5) + ']'.repeat(1e5);
  for (const [path, body, status, message] of [
    [generations, { labels: ['horse'] }, 400, /^Expected one of t-shirt, .* received "horse"$/],
    [generations, { steps: 0 }, 400, 'Expected an integer in 1 .. 1000 for steps but received 0'],
    [generations, { lables: [] }, 400, /^Expected options among labels, .* received "lables"$/],
    [generations, { schedule: '1/3x4' }, 400, /./],
    [generations, { tokens: [[1]] }, 400, /for tokens but received/],
    [generations, { count: 65 }, 400, 'Expected an integer in 1 .. 64 for count but received 65'],
    [generations, { labels: Array(65).fill(1) }, 400, /1 \.\. 64 for count but received 65/],
    [generations, { count: '2' }, 400, /for count but received "2"/],
    [generations, { ...long, count: 64 }, 413, /at most 1 TFLOP .* received one of \d\.\d+ TFLOP/],
    [generations, { model: 'L' }, 404, 'Expected one of fashion for model but received "L"'],
    [generations, { previews: 1 }, 400, 'Expected a boolean for previews but received 1'],
    [generations, '{', 400, /./],
    [generations, '[]', 400, 'Expected an object for body but received []'],
    [generations, '"bag"', 400, /./],
    [generations, `"${'x'.repeat(1e5)}"`, 400, /^.{10,200}$/],
    [images, nested, 400, 'Expected an object for body but received lists within lists'],
    [images, `{"prompt":"bag","size":${nested}}`, 400, /for size but received lists within lists$/],
    [images, `{"prompt":"bag","n":"${'9'.repeat(1e5)}"}`, 400, /^.{10,200}$/],
    [generations, { model: 'L'.repeat(1e5) }, 404, /for model but received "L{76}\.{3}$/],
    [generations, { signal: 1 }, 400, 'Expected options without signal but received "signal"'],
    [images, {}, 400, /for label but received undefined/],
    [
      images,
      { prompt: 'bag', count: 2 },
      400,
      /^Expected options without labels, count, .*"count"$/,
    ],
    [images, { prompt: 'bag', n: 0 }, 400, /for count but received 0/],
    [images, { prompt: 'bag', size: '30x30' }, 400, /^Expected auto or a multiple of 28x28/],
    [
      images,
      { prompt: 'bag', response_format: 'gif' },
      400,
      /for response_format but received "gif"/,
    ],
    [
      images,
      { prompt: 'bag', output_format: 'webp' },
      400,
      /^Expected one of png for output_format/,
    ],
    [`${url}/v1/other`, {}, 404, /is not served here/],
    [`${url}/%ff`, {}, 400, /^'\/%ff' is not a valid url/],
  ] as const) {
    const response = await post(path, body);
    const { error } = (await response.json()) as { error: { message: string; type: string } };
    t.match(
      { status: response.status, ...error },
      { status, message, type: 'invalid_request_error' },
      JSON.stringify(body).slice(0, 60),
    );
  }
});

const skip = chromium === undefined && 'there is no Chromium';
t.test('the page', { skip }, (t) => checkPage(t, example, url, model));

t.test('limits, and clients that leave', async (t) => {
  const left = 'magnets_requests_total{model="fashion",outcome="aborted"}';
  const refused = 'magnets_answers_total{status="429"}';
  const before = [await metric(left), await metric(refused)] as const;
  const [first, second] = [new AbortController(), new AbortController()];
  const events = eventsOf(await post(generations, long, first.signal));
  t.match(await events.next(), { value: { event: 'plan' } });
  const waiting = t.rejects(post(generations, {}, second.signal), { name: 'AbortError' });
  t.ok(await until(async () => (await health()).waiting === 1));

  const third = await post(generations, {});
  t.equal(third.status, 429);
  t.equal(third.headers.get('retry-after'), '1');
  t.match(await third.json(), { error: { message: /^1 requests are waiting already/ } });
  t.equal((await post(images, { prompt: 'bag' })).status, 200, 'pictures take no turn');

  second.abort();
  await waiting;
  t.ok(await until(async () => (await health()).waiting === 0), 'it waits no longer');
  t.match(await health(), { running: 1 });

  t.match(await events.next(), { value: { event: 'step' } });
  first.abort();
  await t.rejects(events.next(), { name: 'AbortError' });
  t.ok(await until(async () => (await health()).running === 0), 'its work has ended');
  const step = 'magnets_steps_total{model="fashion",width="1"}';
  const ran = await metric(step);
  await wait(300);
  t.equal(await metric(step), ran, 'no step runs for who has left');
  t.same([await metric(left), await metric(refused)], [before[0] + 1, before[1] + 1]);
  t.equal((await post(generations, {})).status, 200, 'the next one has its turn');
});

t.test('pictures share batches, as many as may wait', async (t) => {
  const server = await startServer(example, t, { MAX_QUEUED: '3' });
  const path = `${server.url}/v1/images/generations`;
  const running = async () => {
    const response = await fetch(`${server.url}/health`);
    return (await response.json()) as { running: number; waiting: number };
  };
  const first = post(path, { prompt: 'bag', n: 16, steps: 49, schedule: 'baseline' });
  t.ok(await until(async () => (await running()).running === 1));
  const others = ['boot', 'bag', '3'].map((prompt, seed) => post(path, { prompt, seed }));
  t.ok(await until(async () => (await running()).waiting === 3));
  const refused = await post(path, { prompt: 'bag' });
  t.equal(refused.status, 429);
  t.equal(refused.headers.get('retry-after'), '1');
  t.match(await refused.json(), { error: { code: 'ERR_BUSY' } });
  for (const answer of [first, ...others]) t.equal((await answer).status, 200);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  t.match(metrics, /magnets_batches_total\{model="fashion",samples="3"\} 1\n/);
  t.match(metrics, /magnets_requests_total\{model="fashion",outcome="refused"\} 1\n/);
});

t.test('a client that stops reading is hung up on', async (t) => {
  type Send = (event: string, data: object) => Promise<void>;
  type OpenEvents = (reply: object, client: AbortSignal, patience: number) => Send;
  const { openEvents } = (await example.load('./generations.js')) as { openEvents: OpenEvents };
  const server = createServer().listen(0);
  t.teardown(() => server.close());
  const socket = connect((server.address() as AddressInfo).port).pause();
  socket.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
  const [, raw] = (await once(server, 'request')) as [unknown, ServerResponse];
  const controller = new AbortController();
  raw.once('close', () => controller.abort());
  const send = openEvents({ raw, hijack: () => undefined }, controller.signal, 200);
  const endless = async () => {
    for (;;) await send('step', { text: '.'.repeat(100_000) });
  };
  const collect = setInterval(() => globalThis.gc!(), 50); // nothing that it waits for may go away
  await t.rejects(endless(), { name: 'AbortError' });
  clearInterval(collect);
  t.ok(raw.destroyed);
  socket.destroy();
});

t.test('metrics', async (t) => {
  const labels = '{model="fashion"}';
  const names = ['samples_total', 'flops_total', 'request_seconds_count'];
  const read = () => Promise.all(names.map((name) => metric(`magnets_${name}${labels}`)));
  const before = await read();
  const options = { labels: ['bag'], count: 5, seed: 1 };
  await (await post(generations, options)).text();
  await until(async () => (await health()).running === 0);
  const after = await read();
  t.same(
    after.map((value, i) => value - before[i]!),
    [5, model.generate(options).plannedFlops, 1],
  );
  t.ok((await metric('process_resident_memory_bytes')) > 0);
});

t.test('SIGTERM: what runs ends well, what waits is refused', async (t) => {
  const server = await startServer(example, t, { GRACE_SECONDS: '600' });
  const events = eventsOf(await post(`${server.url}/v1/generations`, { count: 32, seed: 1 }));
  t.match(await events.next(), { value: { event: 'plan' } });
  const waiting = post(`${server.url}/v1/generations`, {});
  await until(async () => {
    const response = await fetch(`${server.url}/health`);
    return ((await response.json()) as { waiting: number }).waiting === 1;
  });
  server.child.kill('SIGTERM');
  const refused = await waiting;
  t.equal(refused.status, 503);
  t.match(await refused.json(), { error: { message: 'the server is shutting down' } });
  let last: ServerEvent | undefined;
  for await (const each of events) last = each;
  t.equal(last?.event, 'result');
  t.equal(await server.ended, 0);
});

t.test('SIGTERM: what takes longer than the grace period is stopped', async (t) => {
  const server = await startServer(example, t, { GRACE_SECONDS: '0.2' });
  const events = eventsOf(await post(`${server.url}/v1/generations`, long));
  t.match(await events.next(), { value: { event: 'plan' } });
  server.child.kill('SIGTERM');
  let last: ServerEvent | undefined;
  for await (const each of events) last = each;
  t.match(last, { event: 'error', data: { error: { message: 'the server is shutting down' } } });
  t.equal(await server.ended, 0);
});

t.test('SIGTERM: nobody can keep it by asking or reading slowly', async (t) => {
  const server = await startServer(example, t, { GRACE_SECONDS: '0.2' });
  const head = (length: number) =>
    `POST /v1/images/generations HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  const { port } = new URL(server.url);
  const open = () => {
    const socket = connect(Number(port)).on('error', () => {}); // it is hung up on
    t.teardown(() => socket.destroy());
    return socket;
  };
  open().write(`${head(50)}{`);
  const large = JSON.stringify({ prompt: 'bag', n: 64, size: '1008x1008', steps: 1 });
  open()
    .pause()
    .write(`${head(large.length)}${large}`);
  t.ok(
    await until(async () => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return /magnets_samples_total\{model="fashion"\} 64\n/.test(text);
    }),
  );
  server.child.kill('SIGTERM');
  t.equal(await server.ended, 0);
});
