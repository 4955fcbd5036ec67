// One map: its dots, names, lines to true neighbors, and the shape that is drawn on it.

import { Dots, radius } from "./dots.js";
import { palette, rgb } from "./colors.js";
import { Labels } from "./labels.js";
import { shape } from "./made.js";
import { Plane, bounds, listen, nearest } from "./plane.js";
import { Pen } from "./region.js";

const REACH_PIXELS = 16; // how far from a dot still means it
const HALF_CAPTION = 75; // pixels, of what is said at the disc
const SETTLED_MS = 200; // after which a moved map is drawn finely
const FLIGHT_MS = 500;
const NEAR = 8; // times as near as the whole is seen, at least, where one flies to a token

const still = matchMedia("(prefers-reduced-motion: reduce)");

const views = {
  closer: (view) => view.plane.zoom(1.5),
  further: (view) => view.plane.zoom(1 / 1.5),
  whole: (view) => view.showAll(),
};

export class View {
  #timer = 0;
  #waiting = false;
  #pen = null;
  #printed = false; // whether it has the size of paper
  #flight = null; // where the map is flying to
  labels = null;
  apart = { count: 0 }; // untrained tokens, and the box they stand in

  // `told` is what the whole map is told of: picked(row), hovered(row), drawn(layout, corners), settled(). `state` is
  // what all maps show: {column, codes, hidden, shown, picked, lit, region, tool}.
  constructor(frame, { x, y }, state, told) {
    Object.assign(this, { frame, x, y, state, told, layout: frame.dataset.layout });
    this.canvas = frame.querySelector("canvas");
    this.joins = frame.querySelector(".joins");
    this.plane = new Plane(this.canvas);
    this.dots = new Dots(this.canvas);
    this.showAll();
  }

  name(texts, order, apart, address) {
    this.apart = { count: apart.length, ...bounds(this.x, this.y, apart) };
    this.labels = new Labels(this.frame.querySelector(".names"), { x: this.x, y: this.y, texts, order, address });
  }

  showAll() {
    this.#flight = null;
    this.plane.showWhole(bounds(this.x, this.y, this.x.keys()));
  }

  // Brings a token to the middle, from where all its surroundings are seen on the way.
  flyTo(row) {
    if (!this.#has(row)) {
      return;
    }
    const { plane } = this;
    const flight = { x: this.x[row], y: this.y[row], scale: Math.max(plane.scale, NEAR * plane.whole) };
    const from = { scale: plane.scale, across: (flight.x - plane.x) * plane.scale, up: (flight.y - plane.y) * plane.scale };
    const began = performance.now();
    this.#flight = flight;
    const step = () => {
      if (this.#flight !== flight) {
        return;
      }
      const share = still.matches ? 1 : Math.min(1, (performance.now() - began) / FLIGHT_MS);
      const eased = share * share * (3 - 2 * share);
      plane.scale = from.scale * (flight.scale / from.scale) ** eased;
      plane.x = flight.x - ((1 - eased) * from.across) / plane.scale;
      plane.y = flight.y - ((1 - eased) * from.up) / plane.scale;
      this.changed();
      if (share < 1) {
        requestAnimationFrame(step);
      }
    };
    step();
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  // Draws with the next frame, coarsely, and finely once nothing has changed for a while.
  changed = () => {
    if (this.#printed) {
      return;
    }
    if (!this.#waiting) {
      this.#waiting = true;
      requestAnimationFrame(() => {
        this.#waiting = false;
        if (!this.#printed) {
          this.draw(1);
        }
      });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.at = this.at; // what a link will show, to the last pixel
      this.draw(window.devicePixelRatio);
      this.told.settled();
    }, SETTLED_MS);
  };

  draw(ratio) {
    const { column, codes, hidden, shown, picked } = this.state;
    this.dots.draw(this.plane, {
      ...{ x: this.x, y: this.y, codes, hidden, ratio },
      palette: palette(column, rgb(getComputedStyle(this.canvas).color)),
      soft: [128, 128, 128],
      size: radius(this.plane, shown ?? this.x.length),
    });
    const first = picked === null ? [] : [picked.row, ...picked.joined.map(([row]) => row)];
    this.labels?.draw(this.plane, { hidden, first, free: this.#buttons() });
    this.drawOver();
  }

  // Gives the frame the size of paper, {width, height}, or again that of the window, and shows the same.
  print(paper, ratio) {
    const { at } = this;
    this.#printed = paper !== null;
    clearTimeout(this.#timer);
    Object.assign(this.frame.style, paper ?? { width: "", height: "" });
    this.at = at;
    this.draw(ratio);
  }

  #buttons() {
    const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = this.frame.querySelector(".zoom");
    return { left: offsetLeft, right: offsetLeft + offsetWidth, top: offsetTop, bottom: offsetTop + offsetHeight };
  }

  // Lines, rings and the region, over the dots.
  drawOver() {
    const { picked, lit, region } = this.state;
    const part = (kind, why, attributes) => {
      const one = shape(kind, attributes);
      one.classList.add(why);
      this.joins.append(one);
    };
    const ring = (row, why, r) => {
      const [cx, cy] = this.plane.pixel(this.x[row], this.y[row]);
      part("circle", why, { cx, cy, r });
    };
    this.joins.replaceChildren();
    this.#nameDisc();
    const corners = this.#pen?.corners ?? (region?.layout === this.layout ? region.corners : null);
    if (corners) {
      part("polygon", "region", { points: corners.map(([x, y]) => this.plane.pixel(x, y).join(",")).join(" ") });
    }
    if (picked !== null && this.#has(picked.row)) {
      const [x1, y1] = this.plane.pixel(this.x[picked.row], this.y[picked.row]);
      for (const [row, why] of picked.joined.filter(([each]) => this.#has(each))) {
        const [x2, y2] = this.plane.pixel(this.x[row], this.y[row]);
        part("line", why, { x1, y1, x2, y2 });
      }
      ring(picked.row, "picked", 7);
    }
    if (lit >= 0 && this.#has(lit)) {
      ring(lit, "lit", 10);
    }
  }

  // Says below the disc of untrained tokens what it is.
  #nameDisc() {
    const { count, left, right, low } = this.apart;
    if (count === 0) {
      return;
    }
    const [across, down] = this.plane.pixel((left + right) / 2, low);
    const caption = shape("text", { x: Math.min(across, this.plane.width - HALF_CAPTION), y: down + 16 });
    caption.textContent = `${count.toLocaleString("en")} untrained, in no order`;
    if (across < this.plane.width) {
      this.joins.append(caption);
    }
  }

  #has(row) {
    return !Number.isNaN(this.x[row]);
  }

  // --- what a pointer and keys do ---------------------------------------------------------------------------------

  #meant = (at) => {
    const named = this.labels.at(at);
    return named >= 0 ? named : nearest(this.plane, { x: this.x, y: this.y, hidden: this.state.hidden }, at, REACH_PIXELS);
  };

  // The row whose dot is nearest to the middle: what keys alone pick; -1 where none is shown.
  get middle() {
    const { width, height } = this.plane;
    return nearest(this.plane, { x: this.x, y: this.y, hidden: this.state.hidden }, { left: width / 2, top: height / 2 }, Infinity);
  }

  listen() {
    listen(this.plane, {
      moved: () => {
        this.#flight = null;
        this.changed();
      },
      wheel: true,
      clicked: (at) => this.told.picked(this.#meant(at)),
      hovered: (at) => this.told.hovered(this.#meant(at)),
      drawing: {
        wanted: (event) => this.state.tool !== "move" || event.shiftKey,
        began: (at) => (this.#pen = new Pen(this.plane, this.state.tool === "lasso" ? "lasso" : "rectangle", at)),
        moved: (at) => {
          this.#pen.move(at);
          this.drawOver();
        },
        ended: () => {
          const { corners } = this.#pen;
          this.#pen = null;
          this.told.drawn(this.layout, corners);
        },
      },
    });
    this.frame.querySelector(".zoom").addEventListener("click", (event) => {
      this.#flight = null;
      views[event.target.value]?.(this);
      this.changed();
    });
    this.canvas.addEventListener("keydown", (event) => {
      if (event.key === "0") {
        this.showAll();
        this.changed();
      } else if (event.key === "s") {
        this.told.drawn(this.layout, this.seen);
      }
    });
    new ResizeObserver(this.changed).observe(this.canvas);
  }

  // The corners of what is seen: what keys alone select.
  get seen() {
    const pen = new Pen(this.plane, "rectangle", { left: 0, top: 0 });
    pen.move({ left: this.plane.width, top: this.plane.height });
    return pen.corners;
  }

  // --- the address ------------------------------------------------------------------------------------------------

  // The middle and the span, to a ten-thousandth of what is seen.
  get at() {
    const { x, y, span } = this.plane;
    const digits = Math.min(12, Math.max(0, Math.ceil(4 - Math.log10(span))));
    return [Number(x.toFixed(digits)), Number(y.toFixed(digits)), Number(span.toPrecision(5))].join(",");
  }

  set at(text) {
    const [x, y, span] = text.split(",").map(Number);
    if (span > 0 && Number.isFinite(x) && Number.isFinite(y)) {
      Object.assign(this.plane, { x, y, span });
    }
  }
}
