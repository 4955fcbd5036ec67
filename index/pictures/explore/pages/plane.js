// What part of the plane a canvas shows, and what a pointer, fingers and keys do to it.

import { buffer } from "./received.js";

const CLICK_PIXELS = 4; // a pointer that moved less has clicked
const STEP = 0.15; // of the window, for an arrow key
const CLOSER = 1.5; // for a key, a button or a double click
const WHEEL = 0.0015; // natural logarithm of the scale, for each pixel of the wheel
const [FURTHEST, NEAREST] = [0.25, 1e6]; // between which the scale is kept, in scales at which the whole is seen

export class Plane {
  x = 0; // of the point in the middle
  y = 0;
  whole = 1; // the scale at which all is seen
  #scale = 1;

  constructor(canvas) {
    this.canvas = canvas;
  }

  // Pixels for each unit.
  get scale() {
    return this.#scale;
  }

  set scale(pixels) {
    this.#scale = Math.min(NEAREST * this.whole, Math.max(FURTHEST * this.whole, pixels));
  }

  get width() {
    return this.canvas.clientWidth;
  }

  get height() {
    return this.canvas.clientHeight;
  }

  // How many units the shorter side of the window shows: what an address keeps, whatever the window's size.
  get span() {
    return Math.min(this.width, this.height) / this.scale;
  }

  set span(units) {
    this.scale = Math.min(this.width, this.height) / units;
  }

  pixel(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (this.y - y) * this.scale + this.height / 2];
  }

  point(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y - (top - this.height / 2) / this.scale];
  }

  // Shows a box, with a margin around it; a box of nothing is left alone.
  show({ left, right, low, high }) {
    if (left > right) {
      return;
    }
    this.x = (left + right) / 2;
    this.y = (low + high) / 2;
    this.scale = this.#fitting({ left, right, low, high });
  }

  // Shows the box of all there is: how far one can go away, and how near, is counted from there.
  showWhole(box) {
    if (box.left <= box.right) {
      this.whole = this.#fitting(box);
    }
    this.show(box);
  }

  #fitting({ left, right, low, high }) {
    return 0.9 * Math.min(Math.max(1, this.width) / (right - left || 1), Math.max(1, this.height) / (high - low || 1));
  }

  move(across, down) {
    this.x -= across / this.scale;
    this.y += down / this.scale;
  }

  // Makes everything larger by a factor; what lies under a pixel stays there.
  zoom(factor, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.point(left, top);
    this.scale *= factor;
    const [nowX, nowY] = this.point(left, top);
    this.x += x - nowX;
    this.y += y - nowY;
  }
}

export function bounds(x, y, rows) {
  const box = { left: Infinity, right: -Infinity, low: Infinity, high: -Infinity };
  for (const row of rows) {
    if (!Number.isNaN(x[row])) {
      box.left = Math.min(box.left, x[row]);
      box.right = Math.max(box.right, x[row]);
      box.low = Math.min(box.low, y[row]);
      box.high = Math.max(box.high, y[row]);
    }
  }
  return box;
}

// Drag, pinch, wheel and keys move the plane and call `moved`; a click calls `clicked`, a pointer that hovers `hovered`.
// `wheel` says whether the wheel belongs to the map, or to the page around it. Where `drawing` is `wanted`, a pointer
// that is dragged calls its `began`, `moved` and `ended` instead.
export function listen(plane, { moved, clicked, hovered, wheel, drawing = null }) {
  const { canvas } = plane;
  const held = new Map(); // pointers that are down, by their ids
  let travelled = 0;
  let drawn = false;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { left: event.clientX - box.left, top: event.clientY - box.top };
  };
  const middle = () => {
    const all = [...held.values()];
    const left = all.reduce((sum, each) => sum + each.left, 0) / all.length;
    const top = all.reduce((sum, each) => sum + each.top, 0) / all.length;
    return { left, top, apart: Math.hypot(all[0].left - all.at(-1).left, all[0].top - all.at(-1).top) };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (held.size === 0) {
      drawn = drawing?.wanted(event) ?? false;
      if (drawn) {
        drawing.began(place(event));
      }
    }
    travelled = held.size ? Infinity : 0;
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) {
      hovered(place(event));
      return;
    }
    const before = middle();
    held.set(event.pointerId, place(event));
    const after = middle();
    travelled += Math.abs(after.left - before.left) + Math.abs(after.top - before.top);
    if (drawn) {
      drawing.moved(place(event));
      return;
    }
    plane.move(after.left - before.left, after.top - before.top);
    if (held.size > 1 && before.apart > 0) {
      plane.zoom(after.apart / before.apart, after.left, after.top);
    }
    moved();
  });
  canvas.addEventListener("pointerup", (event) => {
    held.delete(event.pointerId);
    if (drawn && !held.size) {
      drawing.ended();
    }
    if (!held.size && travelled < CLICK_PIXELS) {
      clicked(place(event));
    }
  });
  canvas.addEventListener("pointercancel", (event) => {
    held.delete(event.pointerId);
    if (drawn && !held.size) {
      drawing.ended();
    }
  });
  canvas.addEventListener("dblclick", (event) => {
    const { left, top } = place(event);
    plane.zoom(event.shiftKey ? 1 / CLOSER : CLOSER, left, top);
    moved();
  });
  if (wheel) {
    const zoom = (event) => {
      event.preventDefault();
      const { left, top } = place(event);
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 30);
      plane.zoom(Math.exp(-WHEEL * pixels * (event.ctrlKey ? 5 : 1)), left, top); // a pinch of a touchpad holds Ctrl
      moved();
    };
    canvas.addEventListener("wheel", zoom, { passive: false });
  }
  const keys = {
    ArrowLeft: () => plane.move(STEP * plane.width, 0),
    ArrowRight: () => plane.move(-STEP * plane.width, 0),
    ArrowUp: () => plane.move(0, STEP * plane.height),
    ArrowDown: () => plane.move(0, -STEP * plane.height),
    "+": () => plane.zoom(CLOSER),
    "=": () => plane.zoom(CLOSER),
    "-": () => plane.zoom(1 / CLOSER),
  };
  canvas.addEventListener("keydown", (event) => {
    if (keys[event.key] && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      keys[event.key]();
      moved();
    }
  });
}

// The row whose dot is nearest to a place on the canvas, at most `reach` pixels away; -1 where there is none. Rows that
// are hidden are not meant.
export function nearest(plane, { x, y, hidden = null }, { left, top }, reach) {
  const [atX, atY] = plane.point(left, top);
  let best = -1;
  let least = (reach / plane.scale) ** 2;
  for (let row = 0; row < x.length; row += 1) {
    const squared = (x[row] - atX) ** 2 + (y[row] - atY) ** 2;
    if (squared < least && !hidden?.[row]) {
      [best, least] = [row, squared];
    }
  }
  return best;
}

// Places, (V,) each, NaN without one, and token ids, as the server packs them.
export async function readPlaces(address) {
  const packed = await buffer(address);
  const V = packed.byteLength / 12;
  return [new Float32Array(packed, 0, V), new Float32Array(packed, 4 * V, V), new Int32Array(packed, 8 * V, V)];
}
