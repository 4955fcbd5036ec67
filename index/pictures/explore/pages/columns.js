// What is known of each token, a byte for each column, and which tokens are shown: those that pass the filter of every
// column, and lie in the region that was drawn.

import { buffer } from "./received.js";

export const NONE = 255; // the byte of a token that has no value
const REGION = 1 << 31; // the bit of the region; those of columns stand below it

export class Columns {
  #codes = new Map(); // by name
  #values = new Map();
  #filters = new Map(); // by name, those that leave tokens out
  #failed; // (V,) a bit for each filter that a token does not pass

  // `described` are the columns as the server tells of them, `source` is where their bytes are.
  constructor(source, described, V) {
    this.source = source;
    this.all = new Map(described.map((each, place) => [each.name, { ...each, bit: 1 << place }]));
    this.V = V;
    this.#failed = new Uint32Array(V);
    this.region = null; // {layout, corners: [[x, y]]}
  }

  get(name) {
    return this.all.get(name) ?? null;
  }

  async codes(name) {
    if (!this.#codes.has(name)) {
      this.#codes.set(name, new Uint8Array(await buffer(`${this.source}/coloring/${name}`)));
    }
    return this.#codes.get(name);
  }

  // The numbers of a column, (V,), NaN without one; of a category its bytes.
  async values(name) {
    if (this.get(name).labels) {
      return this.codes(name);
    }
    if (!this.#values.has(name)) {
      this.#values.set(name, new Float64Array(await buffer(`${this.source}/values/${name}`)));
    }
    return this.#values.get(name);
  }

  // --- filters ----------------------------------------------------------------------------------------------------

  // {hidden: [codes]} of a category, {from, to} of the steps of a number.
  filter(name) {
    return this.#filters.get(name) ?? whole(this.get(name));
  }

  get filtered() {
    return [...this.#filters.keys()];
  }

  async keep(name, filter) {
    const column = this.get(name);
    const codes = await this.codes(name);
    if (isWhole(column, filter)) {
      this.#filters.delete(name);
    } else {
      this.#filters.set(name, filter);
    }
    const passes = Array.from({ length: 256 }, (_, code) => shows(column, filter, code));
    this.#mark(column.bit, (row) => passes[codes[row]]);
  }

  // Keeps to the rows in a region: `inside` says of a row whether it is. No region: all rows.
  within(region, inside) {
    this.region = region;
    this.#mark(REGION, region === null ? () => true : inside);
  }

  async showAll() {
    this.within(null);
    await Promise.all(this.filtered.map((name) => this.keep(name, whole(this.get(name)))));
  }

  #mark(bit, passes) {
    for (let row = 0; row < this.V; row += 1) {
      this.#failed[row] = passes(row) ? this.#failed[row] & ~bit : this.#failed[row] | bit;
    }
  }

  // --- what is shown ----------------------------------------------------------------------------------------------

  // Which rows are not shown, (V,); null where all are.
  get hidden() {
    return this.region === null && this.#filters.size === 0 ? null : Uint8Array.from(this.#failed, (bits) => (bits ? 1 : 0));
  }

  get shown() {
    return this.#failed.reduce((rows, bits) => rows + (bits === 0), 0);
  }

  rows() {
    const rows = new Uint32Array(this.shown);
    let place = 0;
    this.#failed.forEach((bits, row) => {
      if (bits === 0) {
        rows[place] = row;
        place += 1;
      }
    });
    return rows;
  }

  // How many tokens there are of each byte, among those that all other filters show: (256,).
  async counts(name) {
    const [codes, others] = [await this.codes(name), ~this.get(name).bit];
    const counts = new Uint32Array(256);
    for (let row = 0; row < this.V; row += 1) {
      if ((this.#failed[row] & others) === 0) {
        counts[codes[row]] += 1;
      }
    }
    return counts;
  }
}

export const whole = (column) => (column.labels ? { hidden: [] } : { from: 0, to: column.steps });

const isWhole = (column, filter) => (column.labels ? filter.hidden.length === 0 : filter.from === 0 && filter.to === column.steps);

function shows(column, filter, code) {
  return column.labels ? !filter.hidden.includes(code) : isWhole(column, filter) || (code !== NONE && code >= filter.from && code < filter.to);
}

// A filter in an address, `not 1,2` or `0,125`, and read back from it.
export const written = (filter) => (filter.hidden ? `not ${filter.hidden.join(",")}` : `${filter.from},${filter.to}`);

export function read(column, text) {
  const numbers = (text.match(/\d+/g) ?? []).map(Number);
  if (column.labels) {
    return { hidden: numbers.filter((code) => code < column.labels.length || code === NONE) };
  }
  const [from, to] = numbers;
  return numbers.length === 2 && from < to && to <= column.steps ? { from, to } : whole(column);
}

// The value at which a step of a number begins.
export function value(column, step) {
  const share = step / column.steps;
  if (column.scale === "log") {
    return column.low * (column.high / column.low) ** share;
  }
  return column.low + (column.high - column.low) * share;
}

// A number as it is read: three digits, or all of a large one.
export const printed = (number) =>
  Math.abs(number) >= 1000 ? Math.round(number).toLocaleString("en") : Number(number.toPrecision(3)).toString();
