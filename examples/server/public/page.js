// The page: what is asked for, what it will cost, the two lanes, and the editor.

import { plan } from 'magnets/plan';
import { fetchModels, generate } from './api.js';
import { Lane } from './lane.js';
import { Painter } from './painter.js';
import { Race } from './race.js';
import { ScheduleEditor } from './schedule.js';

/** @typedef {import('./api.js').ServedModel} ServedModel */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
const get = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => get(id);
/** @param {string} id @returns {HTMLButtonElement} */
const button = (id) => get(id);

const models = await fetchModels();
let model = /** @type {ServedModel} */ (models[0]);
/** Labels that are chosen, in the order of the model. @type {Set<string>} */
let chosen = new Set();
/** The preset that the schedule is; undefined once somebody has drawn. @type {string | undefined} */
let preset = 'paper';
/** @type {AbortController | undefined} */
let running;

// ---- What is asked for

const schedule = new ScheduleEditor(get('schedule'), () => {
  preset = undefined;
  showPreset();
  showCost();
});

function request() {
  const seed = input('seed').value.trim();
  return {
    model: model.id,
    labels: labels(),
    count: Number(input('count').value),
    guidance: Number(input('guidance').value),
    seed: seed === '' ? undefined : Number(seed),
    steps: schedule.steps,
    schedule: schedule.text,
  };
}

function labels() {
  const names = model.config.classLabels.filter((name) => chosen.has(name));
  return names.length > 0 ? names : model.config.nullClass ? [null] : [0];
}

/** @param {ServedModel} next */
function chooseModel(next) {
  model = next;
  const { classLabels, sampling, nullClass } = model.config;
  chosen = new Set([0, 3, 7].flatMap((label) => classLabels[label] ?? []));
  get('labels').replaceChildren(
    ...classLabels.map((name) => {
      const chip = document.createElement('button');
      chip.type = 'button';
      chip.textContent = name;
      chip.setAttribute('aria-pressed', String(chosen.has(name)));
      chip.addEventListener('click', () => {
        if (!chosen.delete(name)) chosen.add(name);
        chip.setAttribute('aria-pressed', String(chosen.has(name)));
        showLabels();
      });
      return chip;
    }),
  );
  const fill = /** @type {HTMLSelectElement} */ (get('fill-label'));
  fill.replaceChildren(...classLabels.map((name) => new Option(name)));
  input('guidance').value = String(nullClass ? sampling.guidance : 0);
  input('guidance').disabled = !nullClass;
  input('steps').value = String(Math.min(24, sampling.steps));
  preset = 'paper';
  get('editor').hidden = true;
  applyPreset();
  showLabels();
  showNumbers();
  clearStage();
}

function applyPreset() {
  const steps = Number(input('steps').value);
  if (preset === undefined) schedule.stretch(steps);
  else schedule.set(model.config, preset === 'full' ? `1x${steps}` : preset, steps);
  showPreset();
  showCost();
}

function showPreset() {
  for (const each of get('presets').querySelectorAll('button')) {
    each.setAttribute('aria-pressed', String(each.dataset.preset === preset));
  }
}

function showLabels() {
  get('labels-note').textContent =
    chosen.size === 0 ? 'none chosen: no class' : chosen.size === 1 ? '' : 'they take turns';
}

function showNumbers() {
  for (const id of ['count', 'guidance', 'steps']) get(`${id}-value`).textContent = input(id).value;
}

/** What the request costs, by formula, while it is drawn. */
function showCost() {
  const count = Number(input('count').value);
  const masked = Array(count).fill(model.config.latentShape.reduce((a, b) => a * b, 1));
  const { steps, schedule: text, guidance } = request();
  const planned = plan({ model: model.config, steps, schedule: text, guidance, masked });
  schedule.show(planned.steps);
  const ratio = document.createElement('strong');
  ratio.textContent = `${planned.flopsRatio.toFixed(2)}×`;
  get('cost').replaceChildren(
    `${gigaflops(planned.flops)} instead of ${gigaflops(planned.baselineFlops)} GFLOP: `,
    ratio,
    ' fewer',
  );
}

/** @param {number} flops */
const gigaflops = (flops) => (flops / 1e9).toFixed(flops < 1e11 ? 1 : 0);

// ---- The two lanes

const lanes = [
  new Lane(get('nested'), (i) => edit(0, i)),
  new Lane(get('baseline'), (i) => edit(1, i)),
];
const race = new Race(lanes, (slower) => {
  if (running !== undefined) get('verdict').textContent = '';
  get('pace').textContent =
    slower === undefined
      ? 'Shown as they ran, one after the other.'
      : slower === 1
        ? 'Both ran one after the other; shown side by side.'
        : `Both ran one after the other; shown side by side, ${slower} times slower.`;
});

function clearStage() {
  const count = Number(input('count').value);
  const what = [schedule.text, 'full width, every row, no cache'];
  lanes.forEach((lane, i) => {
    lane.reset(count, model.sample, what[i] ?? '');
  });
  get('verdict').textContent = '';
  get('pace').textContent = '';
  showReplay(false);
}

async function run() {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  const nested = request();
  clearStage();
  get('editor').hidden = true;
  get('verdict').textContent = 'The server runs both, one after the other…';
  button('generate').textContent = 'Stop';
  try {
    const baseline = { ...nested, schedule: 'baseline' };
    if (nested.seed === undefined) nested.seed = baseline.seed = anySeed();
    await race.run([nested, baseline], controller.signal);
    if (controller.signal.aborted) return;
    showReplay(true);
    showVerdict();
  } catch (error) {
    if (running === controller) {
      get('verdict').textContent = controller.signal.aborted ? '' : messageOf(error);
    }
  } finally {
    if (running === controller) {
      running = undefined;
      button('generate').textContent = 'Generate';
    }
  }
}

/** @param {boolean} possible */
function showReplay(possible) {
  button('slow').hidden = button('real').hidden = !possible;
}

function showVerdict() {
  const [nested, baseline] = lanes.map(({ result, seconds }) => ({
    flops: result?.flops ?? 0,
    seconds,
  }));
  if (nested === undefined || baseline === undefined) return;
  const flops = (baseline.flops / nested.flops).toFixed(2);
  const time = (baseline.seconds / nested.seconds).toFixed(2);
  get('verdict').textContent =
    `${flops}× fewer FLOPs, ${time}× less time. Choose a picture to edit it.`;
}

const scrolling = () =>
  matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth';

const anySeed = () => Math.floor(Math.random() * 1e6);

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

// ---- The editor

/** What has been edited, the newest last. @type {{ tokens: number[], picture: string }[]} */
let versions = [];
let filling = false;

const painter = new Painter(get('editor'), showTools);

/**
 * @param {number} lane
 * @param {number} picture
 */
function edit(lane, picture) {
  const { result, plan: planned } = lanes[lane] ?? {};
  const tokens = result?.tokens[picture];
  const url = result?.pictures[picture];
  if (tokens === undefined || url === undefined) return;
  const [, rows, columns] = model.config.latentShape;
  versions = [{ tokens, picture: url }];
  get('editor').hidden = false;
  get('editor').style.setProperty('--shape', `${model.sample.width} / ${model.sample.height}`);
  painter.setGrid(rows, columns);
  painter.show(url);
  const label = planned?.labels[picture];
  if (typeof label === 'string') /** @type {HTMLSelectElement} */ (get('fill-label')).value = label;
  get('fill-note').textContent = '';
  get('editor').scrollIntoView({ block: 'nearest', behavior: scrolling() });
}

function showTools() {
  const some = painter.count > 0;
  button('fill').disabled = !some || filling;
  button('clear').disabled = !some || filling;
  button('mask-all').disabled = filling;
  button('undo').disabled = versions.length < 2 || filling;
}

async function fillIn() {
  const current = versions.at(-1);
  if (current === undefined) return;
  const { value } = /** @type {HTMLSelectElement} */ (get('fill-label'));
  const { guidance, schedule: text, steps } = request();
  const tokens = [painter.over(current.tokens)];
  const masked = tokens.flat().filter((token) => token < 0).length;
  filling = true;
  painter.fill(false);
  try {
    const wish = { model: model.id, labels: [value], tokens, guidance, schedule: text, steps };
    for await (const { event, data } of generate(
      { ...wish, previews: true },
      AbortSignal.timeout(120_000),
    )) {
      if (event === 'step' && data.previews?.[0] !== undefined) {
        painter.show(data.previews[0]);
        await new Promise((resolve) => setTimeout(resolve, 90)); // so that it can be watched
      }
      if (event !== 'result') continue;
      versions.push({ tokens: data.tokens[0] ?? [], picture: data.pictures[0] ?? '' });
      const cost = `${gigaflops(data.flops)} instead of ${gigaflops(data.baselineFlops)} GFLOP`;
      get('fill-note').textContent = `${masked} tokens drawn anew: ${cost}.`;
    }
  } catch (error) {
    get('fill-note').textContent = messageOf(error);
  } finally {
    filling = false;
    painter.show(versions.at(-1)?.picture ?? '');
    showTools();
  }
}

// ---- What is pressed

get('models').replaceChildren(
  ...models.map((each, i) => {
    const label = document.createElement('label');
    const radio = document.createElement('input');
    radio.type = 'radio';
    radio.name = 'model';
    radio.checked = i === 0;
    radio.addEventListener('change', () => {
      chooseModel(each);
      run();
    });
    label.append(radio, each.id);
    return label;
  }),
);
for (const each of get('presets').querySelectorAll('button')) {
  each.addEventListener('click', () => {
    preset = each.dataset.preset;
    applyPreset();
  });
}
input('steps').addEventListener('input', () => {
  showNumbers();
  applyPreset();
});
for (const id of ['count', 'guidance']) {
  input(id).addEventListener('input', () => {
    showNumbers();
    showCost();
  });
}
button('dice').addEventListener('click', () => {
  input('seed').value = String(anySeed());
});
get('request').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running !== undefined) {
    running.abort();
    race.stop();
    return;
  }
  if (matchMedia('(max-width: 60rem)').matches)
    get('stage').scrollIntoView({ behavior: scrolling() });
  run();
});
button('slow').addEventListener('click', () => race.replay());
button('real').addEventListener('click', () => race.replay(1));
button('fill').addEventListener('click', fillIn);
button('clear').addEventListener('click', () => painter.fill(false));
button('mask-all').addEventListener('click', () => painter.fill(true));
button('undo').addEventListener('click', () => {
  versions.pop();
  painter.show(versions.at(-1)?.picture ?? '');
  showTools();
});

chooseModel(model);
run();
