// One picture in which painted parts are drawn anew.

import { generate } from './api.js';
import { button, get, gigaflops, messageOf, scrolling } from './dom.js';
import { Painter } from './painter.js';

/** @typedef {import('./form.js').RequestForm} RequestForm */
/** @typedef {{ tokens: number[], picture: string }} Version of the picture; picture: its URL */

/** Milliseconds that each step of a fill is shown, so that it can be watched. */
const watchable = 90;
/** Milliseconds that a fill may take. */
const patience = 120_000;

export class Editor {
  #form;
  #painter;
  /** The newest last. @type {Version[]} */
  #versions = [];
  /** Ends what is being drawn; undefined while nothing is. @type {AbortController | undefined} */
  #filling;

  /** @param {RequestForm} form */
  constructor(form) {
    this.#form = form;
    this.#painter = new Painter(get('editor'), () => this.#showTools());
    button('fill').addEventListener('click', () => this.#fillIn());
    button('clear').addEventListener('click', () => this.#painter.fill(false));
    button('mask-all').addEventListener('click', () => this.#painter.fill(true));
    button('undo').addEventListener('click', () => {
      this.#versions.pop();
      this.#showNewest();
    });
  }

  /**
   * Takes another picture, of the form's model.
   * @param {Version} version
   * @param {string | number | null | undefined} label
   */
  open(version, label) {
    this.close();
    const { config, sample } = this.#form.model;
    const [, rows, columns] = config.latentShape;
    this.#versions = [version];
    get('editor').hidden = false;
    get('editor').style.setProperty('--shape', `${sample.width} / ${sample.height}`);
    this.#painter.setGrid(rows, columns);
    const choices = /** @type {HTMLSelectElement} */ (get('fill-label'));
    choices.replaceChildren(...config.classLabels.map((name) => new Option(name)));
    if (typeof label === 'string') choices.value = label;
    get('fill-note').textContent = '';
    this.#showNewest();
    get('editor').scrollIntoView({ block: 'nearest', behavior: scrolling() });
    get('editor').focus({ preventScroll: true }); // the next Tab is the first part of the picture
  }

  /** What is being drawn belongs to a picture that nobody sees any more: it ends. */
  close() {
    this.#filling?.abort();
    this.#filling = undefined;
    get('editor').hidden = true;
  }

  #showNewest() {
    this.#painter.show(this.#versions.at(-1)?.picture ?? '');
    this.#showTools();
  }

  #showTools() {
    const filling = this.#filling !== undefined;
    const some = this.#painter.count > 0;
    button('fill').disabled = !some || filling;
    button('clear').disabled = !some || filling;
    button('mask-all').disabled = filling;
    button('undo').disabled = this.#versions.length < 2 || filling;
  }

  async #fillIn() {
    const newest = this.#versions.at(-1);
    if (newest === undefined) return;
    const { model, guidance, schedule, steps } = this.#form.request();
    const label = /** @type {HTMLSelectElement} */ (get('fill-label')).value;
    const tokens = [this.#painter.over(newest.tokens)];
    const masked = tokens.flat().filter((token) => token < 0).length;
    const request = { model, labels: [label], tokens, guidance, schedule, steps, previews: true };
    const controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(patience)]);
    const { mask } = this.#painter;
    this.#filling = controller;
    this.#painter.fill(false);
    get('fill-note').textContent = '';
    try {
      for await (const { event, data } of generate(request, signal)) {
        if (controller.signal.aborted) return; // events may have come before
        if (event === 'step' && data.previews?.[0] !== undefined) {
          this.#painter.show(data.previews[0]);
          await new Promise((resolve) => setTimeout(resolve, watchable));
        }
        if (event !== 'result') continue;
        this.#versions.push({ tokens: data.tokens[0] ?? [], picture: data.pictures[0] ?? '' });
        const cost = `${gigaflops(data.flops)} instead of ${gigaflops(data.baselineFlops)} GFLOP`;
        get('fill-note').textContent = `${masked} tokens drawn anew: ${cost}.`;
      }
    } catch (error) {
      if (controller.signal.aborted) return;
      get('fill-note').textContent = messageOf(error);
      this.#painter.mask = mask; // to try again
    } finally {
      if (this.#filling === controller) {
        this.#filling = undefined;
        this.#showNewest();
      }
    }
  }
}
