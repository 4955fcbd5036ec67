// The map of the whole vocabulary: dots, names, colors, and the true neighbors of a token that is picked. The address
// keeps what is seen, so that a link shows the same.

import { Dots, radius } from "./dots.js";
import { Labels } from "./labels.js";
import * as legend from "./legend.js";
import { Plane, bounds, listen, nearest, readPlaces } from "./plane.js";

const REACH_PIXELS = 16; // how far from a dot still means it
const SHOWN_HERE = 12; // tokens on one spot that are named
const SETTLED_MS = 200; // after which a moved map is drawn finely, and its address kept

const frame = document.querySelector(".plane");
const canvas = frame.querySelector("canvas");
const joins = frame.querySelector(".joins");
const panel = document.querySelector(".panel");
const under = panel.querySelector(".under");
const select = panel.querySelector("[name=color]");
const source = frame.dataset.map;

const plane = new Plane(canvas);
const dots = new Dots(canvas);
let x, y, ids, rowOf;
let texts = [];
let labels = null;
let wholeScale = 1;
let colorings = [];
let coloring = null;
let codes = null;
let filter = legend.whole(null);
let hidden = null;
let picked = null; // {row, lists, twins}
let timer = 0;
let waiting = false;

const address = (row) => `/token/${ids[row]}`;
const json = async (path) => (await fetch(`${source}/${path}`)).json();

function draw(fine) {
  dots.draw(plane, {
    ...{ x, y, codes, hidden },
    palette: legend.palette(coloring, legend.plainColor(canvas)),
    soft: [128, 128, 128],
    size: radius(plane, wholeScale),
    ratio: fine ? window.devicePixelRatio : 1,
  });
  const first = picked === null ? [] : [picked.row, ...joined().map(([row]) => row)];
  labels?.draw(plane, { whole: wholeScale, hidden, first, free: buttonsBox() });
  drawJoins();
}

function buttonsBox() {
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = frame.querySelector(".zoom");
  return { left: offsetLeft, right: offsetLeft + offsetWidth, top: offsetTop, bottom: offsetTop + offsetHeight };
}

function moved() {
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(false);
    });
  }
  clearTimeout(timer);
  timer = setTimeout(() => {
    draw(true);
    keepAddress();
  }, SETTLED_MS);
}

// --- the address --------------------------------------------------------------------------------------------------

function keepAddress() {
  const said = new URLSearchParams();
  const short = (number) => Number(number.toPrecision(5));
  said.set("at", [plane.x, plane.y, plane.span].map(short).join(","));
  if (picked !== null) {
    said.set("token", ids[picked.row]);
  }
  if (coloring !== null) {
    said.set("color", coloring.name);
    if (!legend.isWhole(coloring, filter)) {
      said.set("only", coloring.labels ? `not ${filter.hidden.join(",")}` : `${filter.from},${filter.to}`);
    }
  }
  history.replaceState(null, "", `?${said}`);
}

function readFilter(text) {
  const numbers = (text.match(/\d+/g) ?? []).map(Number);
  if (coloring.labels) {
    return { hidden: numbers.filter((code) => code < coloring.labels.length || code === legend.NONE) };
  }
  return numbers.length === 2 ? { from: numbers[0], to: numbers[1] } : legend.whole(coloring);
}

async function readAddress() {
  const said = new URLSearchParams(location.search);
  const [atX, atY, span] = (said.get("at") ?? "").split(",").map(Number);
  if (span > 0 && Number.isFinite(atX) && Number.isFinite(atY)) {
    Object.assign(plane, { x: atX, y: atY, span });
  }
  await color(said.get("color") ?? "", said.get("only"));
  const row = said.has("token") ? rowOf.get(Number(said.get("token"))) : undefined;
  if (row !== undefined) {
    await pick(row);
  }
}

// --- colors -------------------------------------------------------------------------------------------------------

async function color(name, only = null) {
  coloring = colorings.find((each) => each.name === name) ?? null;
  codes = coloring && new Uint8Array(await (await fetch(`${source}/coloring/${name}`)).arrayBuffer());
  select.value = coloring?.name ?? "";
  panel.querySelector(".meaning").textContent = coloring?.meaning ?? "";
  show(only === null || coloring === null ? legend.whole(coloring) : readFilter(only));
}

function show(wanted) {
  filter = wanted;
  hidden = legend.hiddenRows(coloring, codes, filter);
  legend.draw(panel.querySelector(".legend"), coloring, codes, filter, show);
  moved();
}

// --- picking ------------------------------------------------------------------------------------------------------

const meant = (at) => nearest(plane, { x, y, hidden }, at, REACH_PIXELS);

const on = (row) => x.reduce((rows, each, other) => (each === x[row] && y[other] === y[row] ? [...rows, other] : rows), []);

// The rows that are joined with the picked one, and why.
function joined() {
  const [first, second] = Object.values(picked.lists).map((rows) => new Set(rows));
  return [...new Set([...first, ...second])]
    .filter((row) => !Number.isNaN(x[row]))
    .map((row) => [row, first.has(row) && second.has(row) ? "both" : first.has(row) ? "first" : "second"]);
}

async function pick(row) {
  if (row < 0) {
    picked = null;
    panel.querySelector(".picked").hidden = true;
    moved();
    return;
  }
  picked = { row, ...(await json(`near/${row}`)) };
  const section = panel.querySelector(".picked");
  section.hidden = false;
  section.querySelector("h2").replaceChildren(link(row));
  const counts = { both: 0, first: 0, second: 0 };
  joined().forEach(([, why]) => (counts[why] += 1));
  const suspect = new Set(picked.suspect);
  const doubted = joined().filter(([each, why]) => why === "both" && suspect.has(each)).length;
  const [first, second] = Object.keys(picked.lists);
  section.querySelector(".joined").textContent =
    `Lines lead to its true neighbors: ${counts.both} in both lists, ${counts.first} in ${first} only, ${counts.second} in ${second} only. ` +
    `${doubted} of the ${counts.both} are untrained tokens or hubs, which are in many lists whoever's they are.`;
  const others = on(row).filter((other) => other !== row);
  const lines = others.slice(0, SHOWN_HERE).map((other) => {
    const line = document.createElement("li");
    line.append(link(other));
    return line;
  });
  if (others.length > SHOWN_HERE) {
    const more = document.createElement("li");
    more.textContent = `and ${(others.length - SHOWN_HERE).toLocaleString("en")} more on the same spot`;
    lines.push(more);
  }
  section.querySelector(".here").replaceChildren(...lines);
  moved();
}

function link(row) {
  const made = document.createElement("a");
  made.href = address(row);
  const text = document.createElement("bdi");
  text.className = "token";
  text.translate = false;
  text.textContent = texts[row] ?? "";
  made.append(text, ` #${ids[row]}`);
  return made;
}

function drawJoins() {
  joins.replaceChildren();
  if (picked === null || Number.isNaN(x[picked.row])) {
    return;
  }
  const part = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, each]) => made.setAttribute(key, each));
    joins.append(made);
    return made;
  };
  const [left, top] = plane.pixel(x[picked.row], y[picked.row]);
  for (const [row, why] of joined()) {
    const [x2, y2] = plane.pixel(x[row], y[row]);
    part("line", { x1: left, y1: top, x2, y2 }).classList.add(why);
  }
  part("circle", { cx: left, cy: top, r: 7 });
}

// --- the whole ----------------------------------------------------------------------------------------------------

function showAll() {
  plane.show(bounds(x, y, x.keys()));
  wholeScale = plane.scale;
}

const views = {
  closer: () => plane.zoom(1.5),
  further: () => plane.zoom(1 / 1.5),
  whole: showAll,
};

function listenToAll() {
  listen(plane, {
    moved,
    wheel: true,
    clicked: (at) => pick(meant(at)),
    hovered: (at) => {
      const row = meant(at);
      under.textContent = row < 0 ? "" : `${texts[row] ?? ""} #${ids[row]}`;
    },
  });
  frame.querySelector(".zoom").addEventListener("click", (event) => {
    views[event.target.value]?.();
    moved();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "0") {
      showAll();
      moved();
    } else if (event.key === "Enter" && picked !== null) {
      location.assign(address(picked.row));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      document.getElementById("search").focus();
    }
  });
  select.addEventListener("change", () => color(select.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", moved);
  new ResizeObserver(moved).observe(canvas);
}

async function start() {
  [x, y, ids] = await readPlaces(source);
  rowOf = new Map(Array.from(ids, (id, row) => [id, row]));
  showAll();
  draw(true);
  const [names, offered] = await Promise.all([json("names"), json("colorings")]);
  texts = names.texts;
  colorings = offered;
  labels = new Labels(frame.querySelector(".names"), { x, y, texts, order: names.order, address });
  select.append(...colorings.map((each) => new Option(each.title, each.name)));
  await readAddress();
  listenToAll();
  draw(true);
  frame.setAttribute("aria-busy", "false");
}

start();
