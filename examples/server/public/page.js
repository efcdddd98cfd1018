// The page: the form, the two lanes in which its request runs beside the baseline, and the editor.

import { fetchModels } from './api.js';
import { button, get, messageOf, scrolling } from './dom.js';
import { Editor } from './editor.js';
import { anySeed, RequestForm } from './form.js';
import { Lane } from './lane.js';
import { Race } from './race.js';

const [first, ...others] = await fetchModels();
if (first === undefined) throw new Error('the server has no models');

/** What runs now. @type {AbortController | undefined} */
let running;

const form = new RequestForm([first, ...others], run);
const editor = new Editor(form);
const lanes = [get('nested'), get('baseline')].map((root) => {
  const lane = new Lane(root, (i) => edit(lane, i));
  return lane;
});
const race = new Race(lanes, (slower) => {
  if (running !== undefined) get('verdict').textContent = '';
  get('pace').textContent =
    slower === undefined
      ? 'Shown as they ran, one after the other.'
      : slower === 1
        ? 'Both ran one after the other; shown side by side.'
        : `Both ran one after the other; shown side by side, ${slower} times slower.`;
});

/** @param {Lane} lane @param {number} number of the picture */
function edit({ result, plan }, number) {
  const tokens = result?.tokens[number];
  const picture = result?.pictures[number];
  if (tokens !== undefined && picture !== undefined) {
    editor.open({ tokens, picture }, plan?.labels[number]);
  }
}

/** Runs what the form asks for, instead of what runs. */
async function run() {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  const nested = form.request();
  nested.seed ??= anySeed(); // the same for both
  const baseline = { ...nested, schedule: 'baseline' };
  const what = [nested.schedule, 'full width, every row, no cache'];
  lanes.forEach((lane, i) => {
    lane.reset(nested.count, form.model.sample, what[i] ?? '');
  });
  editor.close();
  showReplay(false);
  get('pace').textContent = '';
  get('verdict').textContent = 'The server runs both, one after the other…';
  button('generate').textContent = 'Stop';
  try {
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

run();
