// The page: the form, the two lanes in which its request runs beside the baseline, and the editor.

import { fetchModels } from './api.js';
import { button, get, messageOf, scrolling } from './dom.js';
import { Editor } from './editor.js';
import { anySeed, RequestForm } from './form.js';
import { Lane } from './lane.js';
import { Race } from './race.js';

const [first, ...others] = await models();
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
      ? 'Both ran one after the other.'
      : slower === 1
        ? 'Both ran one after the other; shown side by side.'
        : `Both ran one after the other; shown side by side, ${slower} times slower.`;
});

/** The server may be starting: it is asked until it answers. */
async function models() {
  for (;;) {
    try {
      const list = await fetchModels();
      get('verdict').textContent = '';
      return list;
    } catch (error) {
      get('verdict').textContent = `${messageOf(error)} Trying again…`;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

/** @param {Lane} lane @param {number} number of the picture */
function edit(lane, number) {
  const tokens = lane.result?.tokens[number];
  const picture = lane.result?.pictures[number];
  if (tokens === undefined || picture === undefined) return;
  for (const each of lanes) each.mark(each === lane ? number : undefined);
  editor.open({ tokens, picture }, lane.plan?.labels[number]);
}

/** Runs what the form asks for, instead of what runs. */
async function run() {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  const nested = form.request();
  nested.seed ??= anySeed(); // the same for both
  const baseline = { ...nested, schedule: 'baseline' };
  const what = [nested.schedule.replaceAll(',', ', '), 'full width, every row, no cache'];
  lanes.forEach((lane, i) => {
    lane.reset(nested.count, form.model.sample, what[i] ?? '');
  });
  editor.close();
  showReplay(false);
  get('pace').textContent = '';
  get('verdict').textContent = 'Waiting for the server to run both, one after the other…';
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
  const flops = compared(baseline.flops / nested.flops, 'fewer', 'more', 'as many', 'FLOPs');
  const time = compared(baseline.seconds / nested.seconds, 'less', 'more', 'as much', 'time');
  get('verdict').textContent = `${flops}, ${time}. Choose a picture to edit it.`;
}

/**
 * @param {number} ratio of the baseline's to ours
 * @param {string} below a word for less
 * @param {string} above a word for more
 * @param {string} equal a word for the same
 * @param {string} what
 */
function compared(ratio, below, above, equal, what) {
  const times = Math.max(ratio, 1 / ratio).toFixed(2);
  if (times === '1.00') return `${equal} ${what}`;
  return `${times}× ${ratio > 1 ? below : above} ${what}`;
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
