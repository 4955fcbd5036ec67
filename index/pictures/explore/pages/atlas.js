// The maps of the whole vocabulary, one or two beside each other: what is colored, shown, picked and lit is the same in
// both. The address keeps what is seen, so that a link shows the same.

import { addressOf, fromAddress } from "./address.js";
import { Columns } from "./columns.js";
import { legend } from "./legend.js";
import { made } from "./made.js";
import { describe, linkTo, nameOf, pickedToken } from "./picked.js";
import { readPlaces } from "./plane.js";
import { buffer, json } from "./received.js";
import { inside } from "./region.js";
import { TokenTable } from "./table.js";
import { View } from "./view.js";

const PRINTED = { width: "640px", height: "480px" }; // as wide as A4 between its margins
const PRINTED_RATIO = 3; // pixels of a dot on paper for each of CSS

const frames = [...document.querySelectorAll(".plane")];
const panel = document.querySelector(".panel");
const lines = document.querySelector(".tokens");
const select = panel.querySelector("[name=color]");
const source = frames[0].dataset.map;

const state = { column: null, codes: null, hidden: null, shown: null, picked: null, lit: -1, region: null, tool: "move" };
const layouts = new Map(); // {x, y} by their names
let ids, rowOf, texts, columns, table;
let legends = []; // those that are on the page
let ready = false;

const address = (row) => `/token/${ids[row]}`;
const link = (row) => linkTo(texts[row] ?? "", ids[row], address(row));
const name = (row, suspect) => nameOf(texts[row] ?? "", suspect, () => goTo(row));

async function places(layout) {
  if (!layouts.has(layout)) {
    const packed = await buffer(`${source}/places/${layout}`);
    const V = packed.byteLength / 8;
    layouts.set(layout, { x: new Float32Array(packed, 0, V), y: new Float32Array(packed, 4 * V, V) });
  }
  return layouts.get(layout);
}

// --- what is told of it -------------------------------------------------------------------------------------------

const told = {
  picked: (row) => pick(row),
  hovered: (row) => {
    panel.querySelector(".under").textContent = row < 0 ? "" : `${texts[row] ?? ""} #${ids[row]}`;
    if (views.length > 1 && row !== state.lit) {
      state.lit = row;
      views.forEach((view) => view.drawOver());
    }
  },
  drawn: async (layout, corners) => {
    if (corners !== null) {
      await keepTo({ layout, corners });
      filtered();
    }
  },
  settled: keepAddress,
};

let views = [];

function keepAddress() {
  if (!ready) {
    return;
  }
  const said = addressOf(views, state, columns, (row) => ids[row]);
  history.replaceState(null, "", said);
  const other = new URLSearchParams(said);
  if (views.length > 1) {
    other.delete("beside");
  } else {
    other.set("beside", "");
  }
  const beside = panel.querySelector(".beside"); // there is none where there is one map
  if (beside !== null) {
    beside.href = `${beside.pathname}?${other}`;
  }
}

// --- colors and filters -------------------------------------------------------------------------------------------

async function color(name) {
  state.column = columns.get(name);
  state.codes = state.column && (await columns.codes(name));
  select.value = state.column?.name ?? "";
  panel.querySelector(".meaning").textContent = state.column?.meaning ?? "";
  const parts = [...panel.querySelectorAll(".filters details")];
  parts.forEach((part) => (part.hidden = part.dataset.name === state.column?.name));
  const chosen = panel.querySelector(".chosen");
  legends = legends.filter((each) => !each.colored);
  chosen.replaceChildren();
  if (state.column !== null) {
    const own = legend(columns, name, { colored: true, changed: filtered });
    chosen.append(own.element);
    legends.push({ ...own, colored: true });
  }
  filtered();
}

// Each column under its name: its histogram or its boxes are made when it is first opened.
function offerFilters() {
  const parts = [...columns.all.values()].map((column) => {
    const part = made("details", {}, made("summary", { textContent: column.title }), made("p", { className: "meaning", textContent: column.meaning }));
    part.dataset.name = column.name;
    part.addEventListener("toggle", async () => {
      if (part.open && part.querySelector(".legend") === null) {
        const own = legend(columns, column.name, { colored: false, changed: filtered });
        part.append(own.element);
        legends.push(own);
        await own.update();
      }
    });
    return part;
  });
  panel.querySelector(".filters").append(...parts);
}

async function keepTo(region) {
  const at = region && (await places(region.layout));
  columns.within(region, at && ((row) => inside(region.corners, at.x[row], at.y[row])));
}

// Shows what passes the filters, wherever tokens stand.
function filtered() {
  state.hidden = columns.hidden;
  state.region = columns.region;
  const { shown, V } = columns;
  state.shown = shown;
  const all = shown === V;
  panel.querySelector(".shown").textContent = all ? `All ${V.toLocaleString("en")} tokens are shown` : `${shown.toLocaleString("en")} of ${V.toLocaleString("en")} tokens are shown`;
  panel.querySelector(".all").hidden = all && columns.region === null;
  panel.querySelectorAll(".filters details").forEach((part) => part.classList.toggle("filtering", columns.filtered.includes(part.dataset.name)));
  legends.forEach((each) => each.update());
  if (lines.open) {
    table.update();
  }
  views.forEach((view) => view.changed());
}

// --- picking ------------------------------------------------------------------------------------------------------

function onTheSameSpot(row) {
  const { x, y } = views[0];
  return Array.from(x.keys()).filter((other) => other !== row && x[other] === x[row] && y[other] === y[row]);
}

async function pick(row) {
  state.picked = row < 0 ? null : await pickedToken(source, row);
  describe(panel.querySelector(".picked"), state.picked, { link, name, here: row < 0 ? [] : onTheSameSpot(row) });
  views.forEach((view) => view.changed());
}

// Picks a token that may be anywhere, and moves there: what is searched for, and the neighbors that are named.
async function goTo(row) {
  told.hovered(-1);
  await pick(row);
  views.forEach((view) => view.flyTo(row));
  panel.querySelector(".picked a").focus({ preventScroll: true }); // from where keys lead to its page, and its neighbors
}

// --- the whole ----------------------------------------------------------------------------------------------------

function listenToAll() {
  views.forEach((view) => {
    view.listen();
    view.canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && state.picked !== null) {
        location.assign(address(state.picked.row));
      } else if (event.key === "Enter") {
        told.hovered(view.middle); // which says it
        pick(view.middle);
      } else if (event.key === "Escape") {
        told.hovered(-1);
        pick(-1);
      }
    });
  });
  document.addEventListener("token", (event) => {
    const row = rowOf.get(event.detail);
    if (row !== undefined) {
      event.preventDefault();
      goTo(row);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input:not([type=checkbox], [type=range]), textarea, select")) {
      event.preventDefault();
      document.getElementById("search").focus();
    }
  });
  select.addEventListener("change", () => color(select.value));
  panel.querySelectorAll("[name=tool]").forEach((tool) => tool.addEventListener("change", () => (state.tool = tool.value)));
  panel.querySelector(".all").addEventListener("click", async () => {
    await columns.showAll();
    filtered();
  });
  lines.addEventListener("toggle", () => lines.open && table.update());
  addEventListener("beforeprint", () => views.forEach((view) => view.print(PRINTED, PRINTED_RATIO)));
  addEventListener("afterprint", () => views.forEach((view) => view.print(null, window.devicePixelRatio)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => views.forEach((view) => view.changed()));
}

async function start() {
  const [x, y, tokenIds] = await readPlaces(source);
  ids = tokenIds;
  rowOf = new Map(Array.from(ids, (id, row) => [id, row]));
  layouts.set(frames[0].dataset.layout, { x, y });
  for (const frame of frames) {
    views.push(new View(frame, await places(frame.dataset.layout), state, told));
  }
  views.forEach((view) => view.draw(1));
  const [names, described] = await Promise.all([json(`${source}/names`), json(`${source}/colorings`)]);
  texts = names.texts;
  columns = new Columns(source, described, ids.length);
  table = new TokenTable(lines, columns, { ids, texts, address }, pick);
  views.forEach((view) => view.name(texts, names.order, names.apart[view.layout], address));
  select.append(...described.map((each) => new Option(each.title, each.name)));
  offerFilters();
  const said = await fromAddress(views, columns, frames[0].dataset.layouts.split(" "));
  await keepTo(said.area);
  await color(said.color);
  const row = said.token === null ? undefined : rowOf.get(Number(said.token));
  if (row !== undefined) {
    await pick(row);
  }
  ready = true;
  listenToAll();
  views.forEach((view) => view.draw(window.devicePixelRatio));
  frames.forEach((frame) => frame.setAttribute("aria-busy", "false"));
}

// Says in place of a map that there is none, and leaves the error to the console.
function failed(error) {
  const said = "The map cannot be shown: not all of it has come. Load the page again; if that does not help, start the program again.";
  frames[0].append(made("p", { className: "problem", role: "alert", textContent: said }));
  frames.forEach((frame) => frame.setAttribute("aria-busy", "false"));
  throw error;
}

start().catch(failed);
