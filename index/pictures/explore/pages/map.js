// Draws every token of the vocabulary as a dot, with the token of the page and its neighbors lit.

import { rgb } from "./colors.js";
import { Dots } from "./dots.js";
import { Plane, bounds, listen, nearest, readPlaces } from "./plane.js";

const DOT = 0.5; // radius of a dot in pixels, and of what is lit
const LIT = 4;
const CENTER = 6;
const REACH_PIXELS = 24; // how far from a dot still means it

const figure = document.querySelector(".map");
const canvas = figure.querySelector("canvas");
const under = figure.querySelector(".under");
const plane = new Plane(canvas);
const dots = new Dots(canvas);

let x, y, ids; // abscissas, ordinates (NaN without a place) and token ids, by row

const rowsIn = (place) =>
  Array.from(document.querySelectorAll(`.lists .scroll:nth-child(${place}) tr[data-row]`), (line) => Number(line.dataset.row));
const center = document.querySelector("h1[data-row]");
const first = new Set(rowsIn(1));
const second = new Set(rowsIn(2));

function light(row, radius, fill) {
  const [left, top] = plane.pixel(x[row], y[row]);
  dots.context.fillStyle = fill;
  dots.context.beginPath();
  dots.context.arc(left, top, radius, 0, 2 * Math.PI);
  dots.context.fill();
}

function draw() {
  const ratio = window.devicePixelRatio;
  const style = getComputedStyle(figure);
  const soft = rgb(getComputedStyle(canvas).color);
  dots.draw(plane, { x, y, codes: null, palette: [soft], hidden: null, soft, size: DOT, ratio });
  dots.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const row of [...second, ...first]) {
    const name = first.has(row) && second.has(row) ? "both" : first.has(row) ? "first" : "second";
    light(row, LIT, style.getPropertyValue(`--${name}`));
  }
  if (center) {
    light(Number(center.dataset.row), CENTER, style.getPropertyValue("--ink"));
  }
}

let named = -1;
async function name(at) {
  const row = nearest(plane, { x, y }, at, REACH_PIXELS);
  if (row === named) {
    return;
  }
  named = row;
  const answer = row < 0 ? null : await fetch(`/name/${ids[row]}`);
  if (row === named) {
    under.textContent = answer?.ok ? `${(await answer.json()).text} #${ids[row]}` : "";
  }
}

function open(at) {
  const row = nearest(plane, { x, y }, at, REACH_PIXELS);
  if (row >= 0) {
    location.assign(`/token/${ids[row]}${location.pathname.startsWith("/token/") ? location.search : ""}`);
  }
}

const views = {
  whole: () => plane.showWhole(bounds(x, y, x.keys())),
  near: () => plane.show(bounds(x, y, [Number(center.dataset.row), ...first, ...second])),
  closer: () => plane.zoom(1.5),
  further: () => plane.zoom(1 / 1.5),
};

async function start() {
  [x, y, ids] = await readPlaces(figure.dataset.points);
  views.whole();
  listen(plane, { moved: () => requestAnimationFrame(draw), clicked: open, hovered: name, wheel: false });
  figure.querySelector(".buttons").addEventListener("click", (event) => {
    views[event.target.value]?.();
    draw();
  });
  // Which calls it at once, too.
  new ResizeObserver(() => {
    draw();
    figure.setAttribute("aria-busy", "false");
  }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

start();
