// A mask that is painted over the tokens of one picture.

export class Painter {
  #image;
  #cells;
  #onChange;
  #columns = 0;
  /** @type {boolean[]} of the token grid, for all frames of a video */
  #masked = [];
  /** What the stroke that is being painted makes of the cells under it. */
  #stroke = true;
  /** Where the stroke is, in columns and rows. */
  #at = { x: 0, y: 0 };

  /**
   * @param {HTMLElement} root with an image and the cells over it
   * @param {() => void} onChange
   */
  constructor(root, onChange) {
    this.#image = /** @type {HTMLImageElement} */ (root.querySelector('img'));
    this.#cells = /** @type {HTMLElement} */ (root.querySelector('.cells'));
    this.#onChange = onChange;
    this.#cells.addEventListener('pointerdown', (event) => this.#paint(event, true));
    this.#cells.addEventListener('pointermove', (event) => this.#paint(event, false));
    this.#cells.addEventListener('keydown', (event) => this.#key(event));
  }

  /** How many cells are masked. */
  get count() {
    return this.#masked.filter(Boolean).length;
  }

  /** For each cell whether it is masked. */
  get mask() {
    return [...this.#masked];
  }

  set mask(mask) {
    this.#masked = mask;
    this.#refresh();
  }

  /**
   * The tokens with -1 where they are masked.
   * @param {readonly number[]} tokens of all frames
   */
  over(tokens) {
    return tokens.map((token, i) => (this.#masked[i % this.#masked.length] ? -1 : token));
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  setGrid(rows, columns) {
    this.#columns = columns;
    this.#masked = Array(rows * columns).fill(false);
    this.#cells.style.setProperty('--columns', String(columns));
    this.#cells.replaceChildren(
      ...this.#masked.map((_, i) => {
        const cell = document.createElement('button');
        cell.type = 'button';
        cell.tabIndex = i === 0 ? 0 : -1;
        const place = `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;
        cell.setAttribute('aria-label', place);
        return cell;
      }),
    );
    this.#refresh();
  }

  /** @param {string} url */
  show(url) {
    this.#image.src = url;
  }

  /** @param {boolean} value of all cells */
  fill(value) {
    this.#masked.fill(value);
    this.#refresh();
  }

  #refresh() {
    [...this.#cells.children].forEach((cell, i) => {
      cell.setAttribute('aria-pressed', String(this.#masked[i]));
    });
    this.#onChange();
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} begins
   */
  #paint(event, begins) {
    if (!event.isPrimary || (begins && event.button !== 0)) return;
    if (begins) this.#cells.setPointerCapture(event.pointerId);
    else if (!this.#cells.hasPointerCapture(event.pointerId)) return;
    const box = this.#cells.getBoundingClientRect();
    const rows = this.#masked.length / this.#columns;
    const x = ((event.clientX - box.left) / box.width) * this.#columns;
    const y = ((event.clientY - box.top) / box.height) * rows;
    if (begins) {
      this.#at = { x, y };
      this.#stroke = !this.#masked[Math.floor(y) * this.#columns + Math.floor(x)];
    }
    // A quick hand is further than one cell when the next event comes: all between is painted, four points a cell.
    const { x: fromX, y: fromY } = this.#at;
    const points = Math.ceil(4 * Math.max(Math.abs(x - fromX), Math.abs(y - fromY))) || 1;
    for (let i = 1; i <= points; ++i) {
      const column = Math.floor(fromX + ((x - fromX) * i) / points);
      const row = Math.floor(fromY + ((y - fromY) * i) / points);
      if (column < 0 || column >= this.#columns || row < 0 || row >= rows) continue;
      this.#masked[row * this.#columns + column] = this.#stroke;
    }
    this.#at = { x, y };
    this.#refresh();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const cells = /** @type {HTMLElement[]} */ ([...this.#cells.children]);
    const cell = cells.indexOf(/** @type {HTMLElement} */ (event.target));
    if (cell < 0) return;
    if (event.key === ' ' || event.key === 'Enter') {
      event.preventDefault();
      this.#masked[cell] = !this.#masked[cell];
      this.#refresh();
      return;
    }
    /** @type {Record<string, number>} */
    const moves = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.#columns,
      ArrowUp: -this.#columns,
    };
    const next = cells[cell + (moves[event.key] ?? Number.NaN)];
    if (next === undefined) return;
    event.preventDefault();
    for (const other of cells) other.tabIndex = other === next ? 0 : -1;
    next.focus();
  }
}
