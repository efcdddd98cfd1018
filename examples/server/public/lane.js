// One run of a request as it is shown: pictures, ticks, FLOPs and the clock.

/**
 * @typedef {import('./api.js').Plan} Plan
 * @typedef {import('./api.js').Step} Step
 * @typedef {import('./api.js').Result} Result
 * @typedef {{ at: number, flops: number, step: Step }} Moment what is known after a step: seconds and FLOPs up to it
 */

export class Lane {
  /** @type {Plan | undefined} */
  plan;
  /** @type {Moment[]} */
  moments = [];
  /** @type {Result | undefined} */
  result;
  #root;
  #onPick;
  #shown = -1;

  /**
   * @param {HTMLElement} root
   * @param {(picture: number) => void} onPick called when somebody takes a picture that is ready
   */
  constructor(root, onPick) {
    this.#root = root;
    this.#onPick = onPick;
  }

  /** Seconds of all steps that are known. */
  get seconds() {
    return this.moments.at(-1)?.at ?? 0;
  }

  /**
   * Empties the lane for so many pictures.
   * @param {number} count
   * @param {{ height: number, width: number }} sample
   * @param {string} what
   */
  reset(count, { height, width }, what) {
    this.plan = undefined;
    this.moments = [];
    this.result = undefined;
    this.#part('.what').textContent = this.#part('.what').title = what; // it may be too long to be shown whole
    const pictures = this.#part('.pictures');
    pictures.style.setProperty('--columns', String(Math.ceil(Math.sqrt(count))));
    pictures.replaceChildren(
      ...Array.from({ length: count }, (_, i) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.disabled = true;
        button.style.aspectRatio = `${width} / ${height}`;
        button.addEventListener('click', () => this.#onPick(i));
        return button;
      }),
    );
    this.#part('.ticks').replaceChildren();
    this.rewind();
  }

  /** @param {Plan} plan */
  setPlan(plan) {
    this.plan = plan;
    const steps = plan.steps.flat();
    const most = plan.baselineFlops / steps.length; // a step of the baseline
    this.#part('.ticks').replaceChildren(
      ...steps.map(({ flops }) => {
        const tick = document.createElement('span');
        tick.style.setProperty('--height', String(flops / most));
        return tick;
      }),
    );
  }

  /** @param {Step} step */
  add(step) {
    const last = this.moments.at(-1) ?? { at: 0, flops: 0 };
    this.moments.push({ at: last.at + step.seconds, flops: last.flops + step.flops, step });
  }

  /** Back to the time before the first step. */
  rewind() {
    this.#shown = -1;
    for (const button of this.#buttons()) {
      button.replaceChildren();
      button.disabled = true;
    }
    for (const tick of this.#part('.ticks').children) tick.className = '';
    this.#root.classList.remove('done');
    this.#meters(0, 0, 0, 1);
  }

  /**
   * Shows what was known after so many seconds.
   * @param {number} seconds
   * @param {number} longest seconds that fill the bar of the clock
   * @returns {boolean} whether all is shown
   */
  show(seconds, longest) {
    let last = this.#shown;
    while (last + 1 < this.moments.length && (this.moments[last + 1]?.at ?? 0) <= seconds) ++last;
    const moment = this.moments[last];
    if (last !== this.#shown && moment !== undefined) {
      this.#draw(moment.step.previews ?? []);
      [...this.#part('.ticks').children].forEach((tick, i) => {
        tick.className = i <= last ? 'on' : '';
      });
      this.#shown = last;
    }
    const time = Math.min(seconds, this.seconds);
    this.#meters(moment?.flops ?? 0, this.plan?.baselineFlops ?? 0, time, longest);
    const done = this.result !== undefined && last === this.moments.length - 1;
    if (done && !this.#root.classList.contains('done')) {
      this.#root.classList.add('done');
      this.#draw(this.result?.pictures ?? []);
      for (const button of this.#buttons()) button.disabled = false;
    }
    return done;
  }

  /** Marks the picture that is edited. @param {number | undefined} number */
  mark(number) {
    this.#buttons().forEach((button, i) => {
      if (i === number) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    });
  }

  /** @param {readonly string[]} pictures */
  #draw(pictures) {
    const labels = this.plan?.labels ?? [];
    this.#buttons().forEach((button, i) => {
      const url = pictures[i];
      if (url === undefined) return;
      const image = button.querySelector('img') ?? new Image();
      image.src = url;
      image.alt = `Picture ${i + 1}, ${labels[i] ?? 'no class'}`;
      button.title = `${labels[i] ?? 'no class'}: edit it`;
      button.replaceChildren(image);
    });
  }

  /**
   * @param {number} flops
   * @param {number} baselineFlops
   * @param {number} seconds
   * @param {number} longest
   */
  #meters(flops, baselineFlops, seconds, longest) {
    const share = baselineFlops === 0 ? 0 : flops / baselineFlops;
    this.#meter('.flops', (flops / 1e9).toFixed(2), share);
    this.#meter('.clock', seconds.toFixed(3), seconds / longest);
  }

  /**
   * @param {string} selector
   * @param {string} text
   * @param {number} share
   */
  #meter(selector, text, share) {
    const meter = this.#part(selector);
    const value = meter.querySelector('dd');
    if (value !== null) value.textContent = text;
    meter.style.setProperty('--share', String(Math.min(1, share)));
  }

  #buttons() {
    return [...this.#part('.pictures').querySelectorAll('button')];
  }

  /** @param {string} selector */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}
