// The tokens that are shown, a line each: only lines in the window are elements, however many there are. Sorted by any
// column, and kept as CSV or as ids.

import { NONE, printed } from "./columns.js";
import { made, token } from "./made.js";
import { csvLine, save } from "./saved.js";

const USUAL = ["id", "token", "kind", "density_distinct", "hubness", "causal_norm", "overlap_30"]; // columns until others are chosen
const LINE = 28; // pixels of height, as the style sheet says
const SPARE = 8; // lines above and below the window

export class TokenTable {
  #rows = new Uint32Array(0);
  #values = new Map();
  #by = { name: "id", down: false };

  // `section` holds a scrolled box with a table; `known` is {ids, texts, address}; `picked` is called with a row.
  constructor(section, columns, known, picked) {
    Object.assign(this, { section, columns, known });
    this.box = section.querySelector(".lines");
    this.body = section.querySelector("tbody");
    this.names = ["id", "token", ...columns.all.keys()];
    this.chosen = new Set(USUAL);
    this.#showHeads();
    section.querySelector(".choose").append(...[...columns.all.keys()].map((name) => this.#choice(name)));
    this.box.addEventListener("scroll", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.box);
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest("tr[data-row]");
      if (line && !event.target.closest("a")) {
        picked(Number(line.dataset.row));
      }
    });
    section.querySelector(".csv").addEventListener("click", () => save("tokens.csv", "text/csv", this.csv()));
    section.querySelector(".ids").addEventListener("click", () => save("tokens.txt", "text/plain", this.ids()));
  }

  #title = (name) => this.columns.get(name)?.title ?? name;

  // The columns that are shown, in their order.
  get #shown() {
    return this.names.filter((name) => this.chosen.has(name));
  }

  #choice(name) {
    const box = made("input", { type: "checkbox", checked: this.chosen.has(name) });
    box.addEventListener("change", () => {
      this.chosen[box.checked ? "add" : "delete"](name);
      this.#showHeads();
      this.update();
    });
    return made("label", {}, box, ` ${this.#title(name)}`);
  }

  #showHeads() {
    this.section.querySelector("thead tr").replaceChildren(...this.#shown.map((name) => this.#head(name)));
  }

  #head(name) {
    const button = made("button", { type: "button", textContent: this.#title(name) });
    button.addEventListener("click", () => {
      this.#by = { name, down: this.#by.name === name && !this.#by.down };
      this.update();
    });
    return made("th", { scope: "col" }, button);
  }

  // Reads what it needs, once, and shows the rows that all filters show.
  async update() {
    const names = [...this.columns.all.keys()];
    const values = await Promise.all(names.map((name) => this.columns.values(name)));
    names.forEach((name, place) => this.#values.set(name, values[place]));
    this.#rows = this.#sorted(this.columns.rows());
    this.section.querySelector("table").setAttribute("aria-rowcount", this.#rows.length + 1);
    const shown = this.#shown;
    this.section.querySelectorAll("th").forEach((head, place) => {
      const sorted = shown[place] === this.#by.name;
      head.setAttribute("aria-sort", sorted ? (this.#by.down ? "descending" : "ascending") : "none");
    });
    this.box.scrollTop = 0;
    this.#draw();
  }

  // Sorts rows that come in the order of the vocabulary, which ties keep; those without a value stand last.
  #sorted(rows) {
    const { name, down } = this.#by;
    const { ids, texts } = this.known;
    const sign = down ? -1 : 1;
    if (name === "token") {
      const collator = new Intl.Collator("en");
      return rows.sort((a, b) => sign * collator.compare(texts[a], texts[b]) || a - b);
    }
    const values = name === "id" ? ids : this.#values.get(name);
    const last = (value) => Number.isNaN(value) || (value === NONE && this.columns.get(name)?.labels !== undefined);
    return rows.sort((a, b) => last(values[a]) - last(values[b]) || sign * (values[a] - values[b]) || a - b);
  }

  // What a column says of a row: a word, a number, or "" for nothing.
  #cell(name, row) {
    if (name === "id") {
      return this.known.ids[row];
    }
    const value = this.#values.get(name)[row];
    const { labels } = this.columns.get(name);
    if (labels) {
      return labels[value] ?? "";
    }
    return Number.isNaN(value) ? "" : value;
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / LINE) - SPARE);
    const count = Math.ceil(this.box.clientHeight / LINE) + 2 * SPARE;
    const shown = this.#rows.subarray(first, first + count);
    const gap = (lines) => {
      const cell = made("td", { colSpan: this.#shown.length });
      cell.style.height = `${lines * LINE}px`;
      return made("tr", { className: "gap", ariaHidden: "true" }, cell);
    };
    const names = this.#shown;
    const lines = Array.from(shown, (row, place) => {
      const line = made("tr", {}, ...names.map((name) => this.#line(name, row)));
      line.dataset.row = row;
      line.setAttribute("aria-rowindex", first + place + 2);
      return line;
    });
    this.body.replaceChildren(gap(first), ...lines, gap(this.#rows.length - first - shown.length));
  }

  #line(name, row) {
    if (name === "token") {
      return made("td", {}, made("a", { href: this.known.address(row) }, token(this.known.texts[row])));
    }
    const said = this.#cell(name, row);
    return made("td", {}, typeof said === "number" && name !== "id" ? (Number.isFinite(said) ? printed(said) : "∞") : String(said));
  }

  // All columns of all rows, in the order shown; numbers in full.
  csv() {
    const line = (row) => this.names.map((name) => String(name === "token" ? this.known.texts[row] : this.#cell(name, row)));
    return [this.names, ...Array.from(this.#rows, line)].map(csvLine).join("");
  }

  ids() {
    return Array.from(this.#rows, (row) => `${this.known.ids[row]}\n`).join("");
  }
}
