// The filter of a column, which is the legend of its colors as well: boxes to tick for a category; for a number a
// histogram to brush, with two ends that keys move. Counts are of the tokens that all other filters show.

import { NONE, printed, value, whole } from "./columns.js";
import { GREY, css, palette } from "./colors.js";
import { made, shape } from "./made.js";

const BARS = 50; // of a histogram
const LEAST_HEIGHT = 2; // of a bar that is not empty, in hundredths

// Returns {element, update}. `changed` is called after each new filter; `colored` says whether the map has its colors.
export function legend(columns, name, { colored, changed }) {
  const column = columns.get(name);
  const filter = async (wanted) => {
    await columns.keep(name, wanted);
    changed();
  };
  return column.labels ? boxes(columns, column, colored, filter) : histogram(columns, column, colored, filter);
}

function boxes(columns, column, colored, changed) {
  const colors = palette(column, GREY);
  const numbers = new Map();
  const element = made("div", { className: "legend" });
  const choice = (label, code) => {
    const box = made("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      const { hidden } = columns.filter(column.name);
      changed({ hidden: box.checked ? hidden.filter((each) => each !== code) : [...hidden, code] });
    });
    const number = made("span");
    numbers.set(code, { box, number });
    const text = made("span", { textContent: label });
    return made("label", {}, box, colored ? swatch(colors[code]) : "", text, number);
  };
  column.labels.forEach((label, code) => element.append(choice(label, code)));
  const none = choice("none", NONE);
  const update = async () => {
    const counts = await columns.counts(column.name);
    const { hidden } = columns.filter(column.name);
    if (counts[NONE] && !none.isConnected) {
      element.append(none);
    }
    numbers.forEach(({ box, number }, code) => {
      box.checked = !hidden.includes(code);
      number.textContent = counts[code].toLocaleString("en");
    });
  };
  return { element, update };
}

function swatch(color) {
  const image = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, shape("circle", { cx: 5, cy: 5, r: 5, fill: css(color) }));
  image.classList.add("swatch");
  return image;
}

function histogram(columns, column, colored, changed) {
  const { steps, name } = column;
  const width = steps / BARS;
  const colors = palette(colored ? column : null, [86, 120, 160]);
  const image = shape("svg", { viewBox: `0 0 ${steps} 100`, preserveAspectRatio: "none", role: "img" });
  const bars = Array.from({ length: BARS }, (_, bar) => shape("rect", { x: bar * width, width: width * 0.92 }));
  image.append(...bars);
  const ends = ["from", "to"].map((end) => slider(end, column, width, (step) => changed(moved(columns.filter(name), end, step, width))));
  brush(image, column, width, changed);
  const said = made("p", { className: "said" });
  const update = async () => {
    const counts = await columns.counts(name);
    const { from, to } = columns.filter(name);
    const sums = bars.map((_, bar) => counts.subarray(bar * width, (bar + 1) * width).reduce((sum, each) => sum + each, 0));
    const most = Math.max(1, ...sums);
    bars.forEach((bar, place) => {
      const height = sums[place] ? Math.max(LEAST_HEIGHT, (100 * sums[place]) / most) : 0;
      const within = place * width >= from && place * width < to;
      Object.entries({ y: 100 - height, height, fill: within ? css(colors[place * width]) : "gray", opacity: within ? 1 : 0.4 }).forEach(
        ([key, each]) => bar.setAttribute(key, each),
      );
    });
    ends.forEach((end) => end.show({ from, to }));
    const chosen = sums.slice(from / width, to / width).reduce((sum, each) => sum + each, 0);
    image.setAttribute("aria-label", `Histogram of ${column.title}: ${chosen.toLocaleString("en")} tokens from ${printed(value(column, from))} to ${printed(value(column, to))}`);
    const none = counts[NONE] ? `; ${counts[NONE].toLocaleString("en")} have none` : "";
    said.textContent = `${chosen.toLocaleString("en")} tokens, the highest bar ${most.toLocaleString("en")}${column.scale === "log" ? ", logarithmic" : ""}${none}`;
  };
  return { element: made("div", { className: "legend" }, image, ...ends.map((end) => end.element), said), update };
}

// A filter with one end moved, and the other out of its way.
function moved({ from, to }, end, step, width) {
  return end === "from" ? { from: Math.min(step, to - width), to } : { from, to: Math.max(step, from + width) };
}

function slider(end, column, width, changed) {
  const text = made("span");
  const input = made("input", { type: "range", min: 0, max: column.steps, step: width, name: end });
  const say = () => (text.textContent = `${end} ${printed(value(column, Number(input.value)))}`);
  input.addEventListener("input", () => {
    say();
    changed(Number(input.value));
  });
  const show = (filter) => {
    input.value = filter[end];
    say();
  };
  return { element: made("label", { className: "range" }, text, input), show };
}

// A pointer that is dragged over a histogram chooses the bars it crosses; a click chooses all again.
function brush(image, column, width, changed) {
  let began = null;
  let dragged = false;
  const bar = (event) => {
    const box = image.getBoundingClientRect();
    return Math.min(BARS - 1, Math.max(0, Math.floor((BARS * (event.clientX - box.left)) / box.width)));
  };
  const choose = (event) => {
    const ends = [began, bar(event)];
    dragged ||= ends[0] !== ends[1];
    changed(dragged ? { from: Math.min(...ends) * width, to: (Math.max(...ends) + 1) * width } : whole(column));
  };
  image.addEventListener("pointerdown", (event) => {
    [began, dragged] = [bar(event), false];
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    if (began !== null && (dragged || bar(event) !== began)) {
      choose(event);
    }
  });
  image.addEventListener("pointerup", (event) => {
    if (began !== null) {
      choose(event);
    }
    began = null;
  });
  image.addEventListener("pointercancel", () => (began = null));
}
