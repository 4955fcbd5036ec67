// What the colors mean, and which tokens are shown: boxes to tick for a category, two ends to move for a number.

import { rgb } from "./dots.js";

export const NONE = 255;
// Okabe and Ito's colors, which color-blind readers tell apart, and greys for what is left.
const CATEGORIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a6761d", "#66a61e", "#e7298a", "#888888"];
// Five colors of viridis, between which others are mixed.
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const GREY = [128, 128, 128];

const hex = (text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));

function mixed(share) {
  const at = Math.min(share * (RAMP.length - 1), RAMP.length - 1.001);
  const [from, to] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
  return from.map((value, part) => value + (to[part] - value) * (at % 1));
}

// The color of each code: of all tokens alike where there is no coloring.
export function palette(coloring, plain) {
  if (coloring === null) {
    return Array.from({ length: 256 }, () => plain);
  }
  const colors = Array.from({ length: 256 }, (_, code) => {
    if (coloring.labels) {
      return hex(CATEGORIES[Math.min(code, CATEGORIES.length - 1)]);
    }
    return mixed(Math.min(1, code / (coloring.steps - 1)));
  });
  colors[NONE] = GREY;
  return colors;
}

// The value at which a step of a number begins.
export function value(coloring, step) {
  const share = step / coloring.steps;
  if (coloring.scale === "log") {
    return coloring.low * (coloring.high / coloring.low) ** share;
  }
  return coloring.low + (coloring.high - coloring.low) * share;
}

const shown = (number) => (Math.abs(number) >= 1000 ? Math.round(number).toLocaleString("en") : Number(number.toPrecision(3)).toString());
const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;

// Fills `element` with the legend of a coloring. `filter` is {hidden: [codes]} or {from, to}; `changed` is called with a
// new one.
export function draw(element, coloring, codes, filter, changed) {
  element.replaceChildren();
  if (coloring === null) {
    return;
  }
  const counts = new Uint32Array(256);
  codes.forEach((code) => (counts[code] += 1));
  const colors = palette(coloring, GREY);
  if (coloring.labels) {
    const all = [...coloring.labels.map((label, code) => [label, code]), ...(counts[NONE] ? [["none", NONE]] : [])];
    for (const [label, code] of all) {
      element.append(choice(label, counts[code], colors[code], !filter.hidden.includes(code), (checked) =>
        changed({ hidden: checked ? filter.hidden.filter((each) => each !== code) : [...filter.hidden, code] })));
    }
  } else {
    element.append(histogram(coloring, counts, colors, filter), ...["from", "to"].map((end) => slider(end, coloring, filter, changed)));
  }
}

function choice(label, count, color, checked, changed) {
  const line = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = checked;
  box.addEventListener("change", () => changed(box.checked));
  const [text, number] = [document.createElement("span"), document.createElement("span")];
  text.textContent = label;
  number.textContent = count.toLocaleString("en");
  line.append(box, swatch(color), text, number);
  return line;
}

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, each]) => made.setAttribute(key, each));
  return made;
}

function swatch(color) {
  const image = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
  image.classList.add("swatch");
  image.append(shape("circle", { cx: 5, cy: 5, r: 5, fill: css(color) }));
  return image;
}

function histogram(coloring, counts, colors, { from, to }) {
  const most = Math.max(1, ...counts.slice(0, coloring.steps));
  const image = shape("svg", { viewBox: `0 0 ${coloring.steps} 100`, preserveAspectRatio: "none", role: "img" });
  image.setAttribute("aria-label", `Histogram of ${coloring.title}`);
  for (let step = 0; step < coloring.steps; step += 1) {
    const height = counts[step] ? Math.max(2, (100 * counts[step]) / most) : 0;
    const fill = step >= from && step < to ? css(colors[step]) : "gray";
    image.append(shape("rect", { x: step, y: 100 - height, width: 1, height, fill }));
  }
  return image;
}

function slider(end, coloring, filter, changed) {
  const line = document.createElement("label");
  line.className = "range";
  const text = document.createElement("span");
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: coloring.steps, step: 1, name: end });
  input.value = filter[end];
  const say = () => (text.textContent = `${end} ${shown(value(coloring, Number(input.value)))}`);
  say();
  input.addEventListener("input", say);
  input.addEventListener("change", () => changed({ ...filter, [end]: Number(input.value) }));
  line.append(text, input);
  return line;
}

// Which rows are not shown: null where all are.
export function hiddenRows(coloring, codes, filter) {
  if (coloring === null || isWhole(coloring, filter)) {
    return null;
  }
  const shows = (code) => (coloring.labels ? !filter.hidden.includes(code) : code !== NONE && code >= filter.from && code < filter.to);
  const known = Array.from({ length: 256 }, (_, code) => (shows(code) ? 0 : 1));
  return codes.map((code) => known[code]);
}

export const whole = (coloring) => (coloring?.labels ? { hidden: [] } : { from: 0, to: coloring?.steps ?? 0 });

export const isWhole = (coloring, filter) => (coloring.labels ? filter.hidden.length === 0 : filter.from === 0 && filter.to === coloring.steps);

export const plainColor = (element) => rgb(getComputedStyle(element).color);
