// Names of dots, beside them: as many as fit, none over another, the same dots first at every place and distance.

const LINE = 18; // pixels of height
const GAP = 6; // between a dot and its name, and around a name
const WIDEST = 160;
const FEWEST = 60; // names while the whole map is seen
const MOST = 160;
const TRIES = 20; // of dots in the window for each name: where so many have no room, others hardly have
const GROWTH = 40; // more of them, each time that the map is seen from half as far

export class Labels {
  #widths = new Map();
  #placed = []; // {row, left, top} of the names that are shown

  // `layer` is an element over the canvas; `order` the rows in the order in which they are named; `address` of a row.
  constructor(layer, { x, y, texts, order, address }) {
    Object.assign(this, { layer, x, y, texts, address, order: Uint32Array.from(order) });
    this.context = document.createElement("canvas").getContext("2d");
    this.context.font = getComputedStyle(layer).font;
  }

  #width(row) {
    let width = this.#widths.get(row);
    if (width === undefined) {
      width = Math.min(WIDEST, this.context.measureText(this.texts[row]).width);
      this.#widths.set(row, width);
    }
    return width;
  }

  // Returns the rows that get a name, with its left and top: those in `first` before all others, none over the box `free`.
  place(plane, { hidden, first, free }) {
    const most = Math.min(MOST, FEWEST + GROWTH * Math.max(0, Math.log2(plane.scale / plane.whole)));
    const taken = new Map(); // boxes by the lines they cross
    const placed = [];
    const given = new Set();
    const take = (box) => {
      for (let line = Math.floor(box.top / LINE); line <= Math.floor(box.bottom / LINE); line += 1) {
        taken.set(line, [...(taken.get(line) ?? []), box]);
      }
    };
    const fits = (left, top, width) => {
      const lines = [Math.floor(top / LINE), Math.floor((top + LINE) / LINE)];
      const box = { left: left - GAP, right: left + width + GAP, top, bottom: top + LINE };
      const crosses = (other) =>
        box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom;
      if (lines.some((line) => taken.get(line)?.some(crosses))) {
        return false;
      }
      take(box);
      return true;
    };
    const { x, y } = this;
    const [[west, north], [east, south]] = [plane.point(0, 0), plane.point(plane.width, plane.height)];
    const seen = (row) => x[row] >= west && x[row] < east && y[row] <= north && y[row] > south;
    const name = (row) => {
      if (given.has(row)) {
        return;
      }
      const [left, top] = plane.pixel(x[row], y[row]);
      const width = this.#width(row);
      if (left + GAP + width < plane.width && top > LINE && top + LINE < plane.height && fits(left + GAP, top - LINE / 2, width)) {
        placed.push({ row, left: left + GAP, top: top - LINE / 2 });
        given.add(row);
      }
    };
    take(free);
    first.filter(seen).forEach(name);
    let tries = 0;
    for (let place = 0; place < this.order.length && placed.length < most + first.length && tries < TRIES * most; place += 1) {
      const row = this.order[place];
      if (seen(row) && (hidden === null || !hidden[row])) {
        tries += 1;
        name(row);
      }
    }
    return placed;
  }

  // The row whose name is at a place of the canvas, -1 where there is none: names let pointers through.
  at({ left, top }) {
    const holds = (name) => left >= name.left && left < name.left + this.#width(name.row) && top >= name.top && top < name.top + LINE;
    return this.#placed.find(holds)?.row ?? -1;
  }

  draw(plane, options) {
    const placed = (this.#placed = this.place(plane, options));
    while (this.layer.children.length < placed.length) {
      const link = document.createElement("a");
      link.className = "token";
      link.translate = false;
      link.tabIndex = -1; // all of them are reached by search, and from the lists
      this.layer.append(link);
    }
    [...this.layer.children].forEach((link, number) => {
      link.hidden = number >= placed.length;
      if (!link.hidden) {
        const { row, left, top } = placed[number];
        link.textContent = this.texts[row];
        link.href = this.address(row);
        link.dataset.row = row;
        link.style.transform = `translate(${left}px, ${top}px)`;
      }
    });
  }
}
