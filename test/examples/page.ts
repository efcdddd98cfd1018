/** The example server's page in a real browser: what is planned, the race, the editor, on a desk and on a phone. */

import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';
import { decodePng, type Model, plan } from '../../lib/index.js';
import type { Installed } from './install.js';

/** Debian's Chromium, or undefined where there is none. */
export const chromium = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => process.env.PATH!.split(delimiter).map((folder) => join(folder, name)))
  .find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const settings = {
  desk: { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  phone: {
    viewport: { width: 390, height: 844 },
    colorScheme: 'dark',
    isMobile: true,
    hasTouch: true,
    reducedMotion: 'reduce',
  },
} as const;

interface ServedModel {
  id: string;
  config: { classLabels: string[] };
}

/** A request to the server, as a test may answer it instead. */
interface Route {
  abort(): Promise<void>;
  continue(): Promise<void>;
  fetch(): Promise<{ json(): Promise<{ data: ServedModel[] }> }>;
  fulfill(answer: {
    status?: number;
    contentType?: string;
    body?: string;
    json?: object;
  }): Promise<void>;
}

export async function checkPage(t: Test, example: Installed, url: string, model: Model) {
  // biome-ignore lint/suspicious/noExplicitAny: its types are in the folder of the example
  const { default: playwright } = (await example.load('playwright-core')) as any;
  const browser = await playwright.chromium.launch({
    executablePath: chromium,
    args: ['--no-sandbox'], // tests may run as root
  });
  t.teardown(() => browser.close());
  const axe = readFileSync(example.path('node_modules/axe-core/axe.min.js'), 'utf8');

  /** A page that is open, with the mistakes that it reports. */
  const open = async (name: keyof typeof settings) => {
    const context = await browser.newContext(settings[name]);
    const page = await context.newPage();
    const mistakes: string[] = [];
    page.on('pageerror', (error: Error) => mistakes.push(error.message));
    page.on('console', (message: { type(): string; text(): string }) => {
      if (message.type() === 'error') mistakes.push(message.text());
    });
    await page.clock.install();
    await page.goto(url);
    const text = (selector: string): Promise<string> => page.locator(selector).textContent();
    /** Both have run; what is left of their slow motion is skipped. */
    const ended = async () => {
      await page.waitForFunction(`document.querySelector('#pace').textContent !== ''`);
      await page.clock.fastForward(60_000);
      await page.locator('#slow').waitFor({ state: 'visible' });
    };
    const violations = () =>
      page.evaluate(`${axe}; axe.run().then(({ violations }) =>
        violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`);
    return { page, mistakes, text, ended, violations };
  };

  const desk = await open('desk');
  await t.test('a race', async (t) => {
    const { page, text, ended } = desk;
    // It has asked for six pictures already. What they cost is that of the library's own plan.
    const masked = Array(6).fill(49);
    const planned = (schedule: string) => plan({ model: model.config, schedule, masked });
    const ratio = planned('paper').flopsRatio.toFixed(2);
    t.match(await text('#cost'), `: ${ratio}× fewer`);
    await ended();
    t.match(await text('#verdict'), `${ratio}× fewer FLOPs`);
    const gigaflops = (flops: number) => (flops / 1e9).toFixed(2);
    t.equal(await text('#nested .flops dd'), gigaflops(planned('paper').flops));
    t.equal(await text('#baseline .flops dd'), gigaflops(planned('paper').baselineFlops));
    t.equal(await page.locator('.ticks .on').count(), 24, 'twelve steps each');

    // The pictures are those of the library.
    const options = { labels: ['t-shirt', 'dress', 'sneaker'], count: 6, seed: 7 };
    const { pixels } = await model.generate(options).result();
    const source: string = await page.locator('#nested img').nth(4).getAttribute('src');
    const bytes = Buffer.from(source.split(',')[1]!, 'base64');
    const { data } = decodePng(bytes, { height: 28, width: 28, channels: 1 });
    const own = pixels.data.subarray(4 * 784, 5 * 784);
    t.ok(data.every((value, i) => Math.abs(value - own[i]!) <= 0.5 / 255 + 1e-6));

    // Watched again, the one that took less time is ahead: the narrow steps, unless the server had other work meanwhile.
    const seconds = async (lane: string) => Number(await text(`#${lane} .clock dd`));
    const isAhead = (await seconds('nested')) < (await seconds('baseline'));
    const [ahead, behind] = isAhead ? ['nested', 'baseline'] : ['baseline', 'nested'];
    await page.locator('#slow').click();
    await page.waitForFunction(
      `document.querySelectorAll('#${ahead} .ticks .on').length === 12 &&
       document.querySelectorAll('#${behind} .ticks .on').length < 12`,
    );
    await ended();
  });

  await t.test('a schedule that is drawn', async (t) => {
    const { page, text, ended } = desk;
    // From the top of the first column to that of the last: the full width at every step.
    const column = (i: number) => page.locator('.schedule [role=slider]').nth(i).boundingBox();
    const [from, to] = [await column(0), await column(11)];
    await page.mouse.move(from.x + 5, from.y + 5);
    await page.mouse.down();
    await page.mouse.move(to.x + 5, to.y + 5, { steps: 60 });
    await page.mouse.up();
    // Then by keys: the first three steps at the width 1/2.
    for (const i of [0, 1, 2]) {
      await page.locator('.schedule [role=slider]').nth(i).focus();
      await page.keyboard.press('ArrowDown');
    }
    await page.locator('#count').fill('1');
    const ratio = plan({ model: model.config, schedule: '1/2x3,1x9' }).flopsRatio.toFixed(2);
    t.match(await text('#cost'), `: ${ratio}× fewer`);
    const requests: { schedule: string; steps: number; seed: number }[] = [];
    page.on('request', (request: { postDataJSON(): (typeof requests)[0] | null }) => {
      const body = request.postDataJSON();
      if (body !== null) requests.push(body);
    });
    await page.locator('#seed').fill('5');
    await page.locator('#generate').click();
    await page.locator('#slow').waitFor({ state: 'hidden' });
    await ended();
    t.match(requests, [
      { schedule: '1/2x3,1x9', steps: 12, seed: 5, count: 1 },
      { schedule: 'baseline', steps: 12, seed: 5, count: 1 },
    ]);
    t.equal(await text('#nested .what'), '1/2x3, 1x9');

    await page.locator('#seed').fill('x');
    t.notOk(await page.locator('#request').evaluate('(form) => form.checkValidity()'));
  });

  const phone = await open('phone');
  await t.test('an edit', async (t) => {
    const { page, text, ended } = phone;
    await ended();
    await page.locator('#nested .pictures button').first().tap();
    const image = page.locator('.board img');
    const pixelsOf = async () => {
      const source: string = await image.getAttribute('src');
      const bytes = Buffer.from(source.split(',')[1]!, 'base64');
      return decodePng(bytes, { height: 28, width: 28, channels: 1 }).data;
    };
    const before = await pixelsOf();
    const requests: { tokens: number[][]; labels: string[] }[] = [];
    page.on('request', (request: { postDataJSON(): (typeof requests)[0] | null }) => {
      const body = request.postDataJSON();
      if (body !== null) requests.push(body);
    });
    // A stroke over the middle row, and one more cell by a key.
    const box = await page.locator('.cells').boundingBox();
    const cell = box.width / 7;
    await page.mouse.move(box.x + cell / 2, box.y + 3.5 * cell);
    await page.mouse.down();
    await page.mouse.move(box.x + 6.5 * cell, box.y + 3.5 * cell, { steps: 30 });
    await page.mouse.up();
    await page.locator('.cells button').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press(' ');
    const painted = [1, 21, 22, 23, 24, 25, 26, 27];
    t.equal(await page.locator('.cells [aria-pressed=true]').count(), painted.length);
    await page.locator('#fill-label').selectOption('coat');
    await page.locator('#fill').click();
    await page.locator('#undo:enabled').waitFor();
    t.match(await text('#fill-note'), /^8 tokens drawn anew/);
    t.equal(requests.length, 1);
    t.same(requests[0]!.labels, ['coat']);
    const masked = requests[0]!.tokens[0]!.flatMap((token, i) => (token < 0 ? [i] : []));
    t.same(masked, painted);
    const edited = await pixelsOf();
    t.notSame(edited, before, 'something else is drawn');
    await page.locator('#undo').click();
    t.same(await pixelsOf(), before);

    // What is drawn in one picture does not come into another that is taken meanwhile.
    await page.locator('.cells button').first().click();
    const aborted = page.waitForEvent('requestfailed', { timeout: 10_000 });
    await page.evaluate(`document.querySelector('#fill').click();
      document.querySelectorAll('#nested .pictures button')[1].click()`);
    await aborted;
    const other = await page.locator('#nested .pictures img').nth(1).getAttribute('src');
    t.equal(await image.getAttribute('src'), other);
    t.equal(await text('#fill-note'), '');
    t.ok(await page.locator('#undo').isDisabled());
  });

  await t.test('one quick stroke', async (t) => {
    const { page } = phone;
    // Two events, far from each other: what lies between is drawn, too.
    await page.locator('.cells').scrollIntoViewIfNeeded();
    const board = await page.locator('.cells').boundingBox();
    await page.mouse.move(board.x + 5, board.y + 5);
    await page.mouse.down();
    await page.mouse.move(board.x + board.width - 5, board.y + board.height - 5);
    await page.mouse.up();
    const masked = page.locator('.cells [aria-pressed=true]');
    t.equal(await masked.count(), 7, 'a diagonal');
    await page.locator('#clear').click();
    t.equal(await masked.count(), 0);

    await page.locator('#schedule').scrollIntoViewIfNeeded();
    const columns = page.locator('.schedule [role=slider]');
    const [from, to] = [await columns.nth(0).boundingBox(), await columns.nth(11).boundingBox()];
    await page.mouse.move(from.x + 5, from.y + 5);
    await page.mouse.down();
    await page.mouse.move(to.x + 5, to.y + 5);
    await page.mouse.up();
    const levels = await columns.evaluateAll(
      (all: { getAttribute(name: string): string | null }[]) =>
        all.map((each) => each.getAttribute('aria-valuenow')),
    );
    t.same(levels, Array(12).fill('4'), 'the full width at every step');
  });

  await t.test('a server that fails, and comes back', async (t) => {
    const { page, text, ended } = phone;
    const fail = async (answer: (route: Route) => Promise<void>, words: string) => {
      await page.route('**/v1/generations', answer);
      await page.locator('#generate').click();
      await page.waitForFunction(
        `document.querySelector('#verdict').textContent === ${JSON.stringify(words)} &&
         document.querySelector('#generate').textContent === 'Generate'`,
      );
      await page.unroute('**/v1/generations');
    };
    await fail((route) => route.abort(), 'The server cannot be reached.');
    const proxy = { status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' };
    await fail((route) => route.fulfill(proxy), 'The server answered with status 502.');
    const busy = { status: 429, json: { error: { message: '16 requests are waiting already' } } };
    await fail((route) => route.fulfill(busy), '16 requests are waiting already');
    const cut = { contentType: 'text/event-stream', body: 'event: step\ndata: {"seco' };
    await fail((route) => route.fulfill(cut), 'The server ended its answer before the result.');
    t.ok(await page.locator('#slow').isHidden(), 'there is nothing to watch again');

    await page.locator('#generate').click();
    await ended();
    t.match(await text('#verdict'), /as|fewer FLOPs/);

    // A fill that fails keeps the mask, to be tried again.
    await page.locator('#baseline .pictures button').first().click();
    t.equal(await page.locator('.pictures [aria-current]').count(), 1, 'the edited one is marked');
    await page.locator('#mask-all').click();
    await page.route('**/v1/generations', (route: Route) => route.abort());
    await page.locator('#fill').click();
    await page.waitForFunction(`document.querySelector('#fill-note').textContent !== ''`);
    t.equal(await text('#fill-note'), 'The server cannot be reached.');
    t.equal(await page.locator('.cells [aria-pressed=true]').count(), 49);
    await page.unroute('**/v1/generations');
    await page.locator('#fill').click();
    await page.locator('#undo:enabled').waitFor();
    t.match(await text('#fill-note'), /^49 tokens drawn anew/);
    phone.mistakes.length = 0; // Chromium reports each failed request
  });

  await t.test('long names on a narrow screen', async (t) => {
    const context = await browser.newContext({ viewport: { width: 320, height: 640 } });
    const page = await context.newPage();
    let asked = 0;
    await page.route('**/v1/models', async (route: Route) => {
      if (++asked === 1) return route.abort(); // the server is not there yet: the page tries again
      const answer = await (await route.fetch()).json();
      const [own] = answer.data as [ServedModel];
      const longest = 'electric_locomotive'.repeat(5);
      const config = { ...own.config, classLabels: [longest, ...own.config.classLabels.slice(1)] };
      const ids = [own.id, '/srv/models/halton-384-large-of-a-long-name', 'c', 'd', 'e'];
      return route.fulfill({ json: { data: ids.map((id) => ({ ...own, id, config })) } });
    });
    await page.goto(url);
    await page.waitForFunction(
      `/Trying again/.test(document.querySelector('#verdict').textContent)`,
    );
    await page.locator('#models label').first().waitFor();
    // Wide and narrow in turn: the longest text that a schedule can have.
    await page.locator('#steps').fill('24');
    for (let i = 0; i < 24; i += 2) {
      await page.locator('.schedule [role=slider]').nth(i).focus();
      await page.keyboard.press('End');
      await page
        .locator('.schedule [role=slider]')
        .nth(i + 1)
        .focus();
      await page.keyboard.press('Home');
    }
    await page.locator('#generate').click();
    await page.locator('#generate').click();
    const outside = await page.evaluate(`[...document.querySelectorAll('body *')]
      .filter((each) => each.getBoundingClientRect().right > 320).map((each) => each.outerHTML)`);
    t.same(outside, [], 'nothing is cut off');
    const [left, right] = await page.evaluate(`['nested', 'baseline'].map((id) =>
      document.querySelector('#' + id + ' .pictures').getBoundingClientRect().top)`);
    t.equal(left, right, 'the lanes stay side by side');
    await context.close();
  });

  for (const [name, { page, mistakes, violations }] of Object.entries({ desk, phone })) {
    await t.test(`for everybody, on a ${name}`, async (t) => {
      if (name === 'desk') await page.locator('#nested .pictures button').first().click();
      t.same(await violations(), [], 'accessible');
      for (const [role, named] of [
        ['slider', 'Steps'],
        ['slider', 'Step 12'],
        ['slider', 'Pictures'],
        ['slider', 'Guidance'],
        ['textbox', 'Seed'],
        ['combobox', 'Fill in as'],
      ] as const) {
        t.equal(await page.getByRole(role, { name: named, exact: true }).count(), 1, named);
      }
      const { width } = settings[name as keyof typeof settings].viewport;
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'fits');
      const screen = await page.screenshot({ path: example.path(`${name}.png`) });
      t.ok(screen.length > 20_000, 'it shows something');
      const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      t.equal(background, name === 'desk' ? 'rgb(245, 243, 238)' : 'rgb(16, 18, 20)');
      t.same(mistakes, []);
    });
  }
}
