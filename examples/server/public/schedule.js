// The schedule as a drawing: a column for each step, as high as its sub-model is wide.

import { formatSchedule, parseSchedule } from 'magnets/plan';

/** @typedef {import('magnets/plan').ModelShape} ModelShape */

export class ScheduleEditor {
  #root;
  #onChange;
  /** @type {ModelShape | undefined} */
  #model;
  /** @type {number[]} for each step the number of its width, from 0 */
  #levels = [];
  /** Where the stroke that is being drawn is. */
  #at = { step: 0, level: 0 };

  /**
   * @param {HTMLElement} root
   * @param {() => void} onChange called when somebody draws
   */
  constructor(root, onChange) {
    this.#root = root;
    this.#onChange = onChange;
    root.className = 'schedule';
    root.setAttribute('role', 'group');
    root.setAttribute('aria-label', 'Width of each step');
    const keys = 'Up and down change the width of a step, left and right go to another step.';
    root.setAttribute('aria-description', keys);
    root.addEventListener('pointerdown', (event) => this.#draw(event, true));
    root.addEventListener('pointermove', (event) => this.#draw(event, false));
    root.addEventListener('keydown', (event) => this.#key(event));
  }

  /** The schedule as the library reads it, such as `1/8x3,1x9`. */
  get text() {
    const widths = this.#model?.widths ?? [];
    /** @type {import('magnets/plan').Phase[]} */
    const phases = [];
    for (const level of this.#levels) {
      const width = at(widths, level);
      const last = phases.at(-1);
      if (last?.width === width) phases[phases.length - 1] = { width, steps: last.steps + 1 };
      else phases.push({ width, steps: 1 });
    }
    return formatSchedule(phases);
  }

  get steps() {
    return this.#levels.length;
  }

  /**
   * @param {ModelShape} model
   * @param {string} schedule a name or a text that the library reads
   * @param {number} steps
   */
  set(model, schedule, steps) {
    this.#model = model;
    const phases = parseSchedule(schedule, model, steps);
    this.#levels = phases.flatMap(({ width, steps: count }) =>
      Array(count).fill(model.widths.findIndex(({ name }) => name === width.name)),
    );
    this.#build();
  }

  /**
   * As many steps as this, with the drawn widths stretched.
   * @param {number} steps
   */
  stretch(steps) {
    const { length } = this.#levels;
    this.#levels = Array.from({ length: steps }, (_, i) =>
      at(this.#levels, Math.floor(((i + 0.5) * length) / steps)),
    );
    this.#build();
  }

  /**
   * Shows which rows each step computes.
   * @param {readonly import('magnets/plan').StepPlan[]} steps
   */
  show(steps) {
    const most = Math.max(...steps.map(({ activeRows }) => activeRows));
    const columns = this.#columns();
    columns.forEach((column, i) => {
      const step = steps[i];
      if (step === undefined) return;
      const { width, refresh, activeRows, flops } = step;
      column.style.setProperty('--rows', String(activeRows / most));
      column.classList.toggle('refresh', refresh);
      const rows = refresh ? 'every row' : `${activeRows} rows`;
      const text = `width ${width.name}, ${rows}, ${(flops / 1e9).toFixed(2)} GFLOP`;
      column.setAttribute('aria-valuetext', text);
      column.title = `Step ${i + 1}: ${text}`;
    });
  }

  #columns() {
    return /** @type {HTMLElement[]} */ ([...this.#root.querySelectorAll('[role=slider]')]);
  }

  #build() {
    const widths = this.#model?.widths ?? [];
    const names = document.createElement('div');
    names.className = 'names';
    names.setAttribute('aria-hidden', 'true');
    for (const { name } of [...widths].reverse()) names.append(element('span', name));
    names.append(element('span', 'rows'));
    const columns = this.#levels.map((_, i) => {
      const column = element('div', '');
      column.setAttribute('role', 'slider');
      column.setAttribute('aria-label', `Step ${i + 1}`);
      column.setAttribute('aria-orientation', 'vertical');
      column.setAttribute('aria-valuemin', '1');
      column.setAttribute('aria-valuemax', String(widths.length));
      for (const __ of widths) column.append(element('i', ''));
      column.append(element('b', ''));
      return column;
    });
    this.#root.style.setProperty('--levels', String(widths.length));
    this.#root.replaceChildren(names, ...columns);
    this.#refresh(0);
  }

  /** @param {number} focused the step that the Tab key reaches */
  #refresh(focused) {
    this.#columns().forEach((column, i) => {
      const level = at(this.#levels, i);
      column.tabIndex = i === focused ? 0 : -1;
      column.setAttribute('aria-valuenow', String(level + 1));
      [...column.querySelectorAll('i')].reverse().forEach((cell, height) => {
        cell.className = height <= level ? 'on' : '';
      });
    });
  }

  /**
   * @param {number} step
   * @param {number} level
   */
  #setLevel(step, level) {
    const most = (this.#model?.widths.length ?? 1) - 1;
    const clamped = Math.min(most, Math.max(0, level));
    const changed = this.#levels[step] !== clamped;
    this.#levels[step] = clamped;
    this.#refresh(step);
    if (changed) this.#onChange();
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} begins
   */
  #draw(event, begins) {
    if (!event.isPrimary || (begins && event.button !== 0)) return;
    if (begins) this.#root.setPointerCapture(event.pointerId);
    else if (!this.#root.hasPointerCapture(event.pointerId)) return;
    event.preventDefault();
    const to = this.#under(event);
    if (begins) this.#at = to;
    // A quick hand passes several columns before the next event: those between get the widths between.
    const { step, level } = this.#at;
    const columns = Math.abs(to.step - step) || 1;
    for (let i = 1; i <= columns; ++i) {
      const between = (/** @type {number} */ from, /** @type {number} */ until) =>
        Math.round(from + ((until - from) * i) / columns);
      this.#setLevel(between(step, to.step), between(level, to.level));
    }
    this.#at = to;
  }

  /**
   * The step and the width under a pointer.
   * @param {PointerEvent} event
   */
  #under({ clientX, clientY }) {
    const columns = this.#columns();
    const under = columns.findIndex((column) => clientX < column.getBoundingClientRect().right);
    const step = under < 0 ? columns.length - 1 : under;
    const cells = [...(columns[step]?.querySelectorAll('i') ?? [])];
    const above = cells.filter((cell) => cell.getBoundingClientRect().bottom < clientY);
    return { step, level: Math.max(0, cells.length - 1 - above.length) };
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const columns = this.#columns();
    const step = columns.indexOf(/** @type {HTMLElement} */ (event.target));
    if (step < 0) return;
    const level = at(this.#levels, step);
    const most = (this.#model?.widths.length ?? 1) - 1;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowUp: () => this.#setLevel(step, level + 1),
      ArrowDown: () => this.#setLevel(step, level - 1),
      Home: () => this.#setLevel(step, 0),
      End: () => this.#setLevel(step, most),
      ArrowRight: () => this.#focus(step + 1),
      ArrowLeft: () => this.#focus(step - 1),
    };
    const action = keys[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  /** @param {number} step */
  #focus(step) {
    const column = this.#columns()[step];
    if (column === undefined) return;
    this.#refresh(step);
    column.focus();
  }
}

/**
 * @template T
 * @param {readonly T[]} list
 * @param {number} index
 * @returns {T}
 */
function at(list, index) {
  const value = list[index];
  if (value === undefined) throw new RangeError(`there is no number ${index} of ${list.length}`);
  return value;
}

/** @param {string} tag @param {string} text */
function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}
