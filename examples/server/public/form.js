// What is asked for, and what it will cost by formula.

import { plan } from 'magnets/plan';
import { button, get, gigaflops, input } from './dom.js';
import { ScheduleEditor } from './schedule.js';

/** @typedef {import('./api.js').ServedModel} ServedModel */

export const anySeed = () => Math.floor(Math.random() * 1e6);

export class RequestForm {
  /** @type {ServedModel} */
  model;
  /** The names of the labels that are chosen. @type {Set<string>} */
  #chosen = new Set();
  /** The preset that the schedule is; undefined once somebody has drawn. @type {string | undefined} */
  #preset = 'paper';
  #schedule;

  /**
   * @param {readonly [ServedModel, ...ServedModel[]]} models
   * @param {() => void} onModel called when somebody has chosen another model
   */
  constructor(models, onModel) {
    this.#schedule = new ScheduleEditor(get('schedule'), () => {
      this.#preset = undefined;
      this.#showPreset();
      this.#showCost();
    });
    get('models').replaceChildren(
      ...models.map((model, i) => {
        const label = document.createElement('label');
        const radio = document.createElement('input');
        radio.type = 'radio';
        radio.name = 'model';
        radio.checked = i === 0;
        radio.addEventListener('change', () => {
          this.#choose(model);
          onModel();
        });
        label.append(radio, model.id);
        return label;
      }),
    );
    for (const each of get('presets').querySelectorAll('button')) {
      each.addEventListener('click', () => {
        this.#preset = each.dataset.preset;
        this.#applyPreset();
      });
    }
    input('steps').addEventListener('input', () => {
      this.#showNumbers();
      this.#applyPreset();
    });
    for (const id of ['count', 'guidance']) {
      input(id).addEventListener('input', () => {
        this.#showNumbers();
        this.#showCost();
      });
    }
    button('dice').addEventListener('click', () => {
      input('seed').value = String(anySeed());
    });
    this.model = models[0];
    this.#choose(models[0]);
  }

  /** How many pictures. */
  get count() {
    return Number(input('count').value);
  }

  /** The options of `/v1/generations`. */
  request() {
    const seed = input('seed').value.trim();
    return {
      model: this.model.id,
      labels: this.#labels(),
      count: this.count,
      guidance: Number(input('guidance').value),
      seed: seed === '' ? undefined : Number(seed),
      steps: this.#schedule.steps,
      schedule: this.#schedule.text,
    };
  }

  /** In the order of the model; without any no class or, for a model that must have one, the first. */
  #labels() {
    const { classLabels, nullClass } = this.model.config;
    const names = classLabels.filter((name) => this.#chosen.has(name));
    return names.length > 0 ? names : nullClass ? [null] : [0];
  }

  /** @param {ServedModel} model */
  #choose(model) {
    this.model = model;
    const { classLabels, sampling, nullClass } = model.config;
    this.#chosen = new Set([0, 3, 7].flatMap((label) => classLabels[label] ?? []));
    get('labels').replaceChildren(...classLabels.map((name) => this.#chip(name)));
    input('guidance').value = String(nullClass ? sampling.guidance : 0);
    input('guidance').disabled = !nullClass;
    input('steps').value = String(Math.min(Number(input('steps').max), sampling.steps));
    this.#preset = 'paper';
    this.#applyPreset();
    this.#showLabels();
    this.#showNumbers();
  }

  /** A button that chooses a label. @param {string} name */
  #chip(name) {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = name;
    const show = () => chip.setAttribute('aria-pressed', String(this.#chosen.has(name)));
    chip.addEventListener('click', () => {
      if (!this.#chosen.delete(name)) this.#chosen.add(name);
      show();
      this.#showLabels();
    });
    show();
    return chip;
  }

  #applyPreset() {
    const { config } = this.model;
    const steps = Number(input('steps').value);
    const full = `${config.widths.at(-1)?.name}x${steps}`;
    if (this.#preset === undefined) this.#schedule.stretch(steps);
    else this.#schedule.set(config, this.#preset === 'full' ? full : this.#preset, steps);
    this.#showPreset();
    this.#showCost();
  }

  #showPreset() {
    for (const each of get('presets').querySelectorAll('button')) {
      each.setAttribute('aria-pressed', String(each.dataset.preset === this.#preset));
    }
  }

  #showLabels() {
    const { size } = this.#chosen;
    get('labels-note').textContent =
      size === 0 ? 'none chosen: no class' : size === 1 ? '' : 'they take turns';
  }

  #showNumbers() {
    for (const id of ['count', 'guidance', 'steps'])
      get(`${id}-value`).textContent = input(id).value;
  }

  #showCost() {
    const { config } = this.model;
    const masked = Array(this.count).fill(config.latentShape.reduce((a, b) => a * b, 1));
    const { steps, schedule, guidance } = this.request();
    const planned = plan({ model: config, steps, schedule, guidance, masked });
    this.#schedule.show(planned.steps);
    const ratio = document.createElement('strong');
    ratio.textContent = `${planned.flopsRatio.toFixed(2)}×`;
    get('cost').replaceChildren(
      `${gigaflops(planned.flops)} instead of ${gigaflops(planned.baselineFlops)} GFLOP: `,
      ratio,
      ' fewer',
    );
  }
}
