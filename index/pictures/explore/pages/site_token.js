// The page of a token in an exported site: `token.html?id=46835`, or `?q=planet` from the search box.

import { made, token } from "./made.js";
import { tools } from "./tables.js";

const { load, ofRow, rows } = logoscope;
const main = document.getElementById("main");

// A distance as it is shown everywhere: six decimals, or powers of ten where these would hide it.
const length = (value) => (value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(2) : value.toFixed(6));

function link(row, { ids, texts }) {
  return made("a", { href: `token.html?id=${ids[row]}` }, token(texts[row]));
}

function cell(text, className = "") {
  return made("td", { className }, text);
}

function figure(value, className = "") {
  return made("td", { className }, made("data", { value: String(value) }, length(value)));
}

function line(place, list, other, vocabulary) {
  const row = list.rows[place];
  const marks = [
    other.rows.includes(row) ? ["●", "in both lists"] : null,
    list.twins[place] === "1" ? ["≡", "a twin, the same vector"] : null,
    list.tied[place] === "1" ? ["=", "tied: as far as the one before or after"] : null,
    vocabulary.hubs.has(row) ? ["*", "a hub"] : null,
    vocabulary.untrained.has(row) ? ["†", "untrained"] : null,
  ].filter(Boolean);
  const suspect = vocabulary.hubs.has(row) || vocabulary.untrained.has(row);
  const rank = other.rows.indexOf(row) + 1;
  const signs = marks.map(([sign, title]) => made("abbr", { title, className: sign === "●" ? "both" : "" }, sign));
  return made(
    "tr",
    { className: `${rank ? "shared" : ""} ${suspect ? "suspect" : ""}` },
    made("th", { scope: "row" }, String(place + 1)),
    cell(String(vocabulary.ids[row]), "wide"),
    ...(list.similarities ? [figure(list.similarities[place])] : []),
    figure(list.distances[place], list.similarities ? "wider" : ""),
    made("td", {}, ...signs),
    cell(vocabulary.hubness[row].toLocaleString("en"), "wide"),
    cell(rank ? String(rank) : `>${other.rows.length}`),
    made("td", {}, link(row, vocabulary)),
  );
}

function table(list, other, vocabulary) {
  const measures = list.similarities ? [["similarity", ""], ["chord", "wider"]] : [["logometers", ""]];
  const columns = [["rank", ""], ["id", "wide"], ...measures, ["", ""], ["hubness", "wide"], [`by ${other.name}`, ""], ["token", ""]];
  const body = made("tbody", {}, ...list.rows.map((_, place) => line(place, list, other, vocabulary)));
  const head = made("tr", {}, ...columns.map(([name, className]) => made("th", { scope: "col", className }, name || made("span", { className: "hidden" }, "marks"))));
  const whole = made("table", { className: "figures" }, made("caption", {}, list.caption), ...(list.rows.length ? [made("thead", {}, head), body] : []));
  whole.dataset.geometry = list.name;
  const region = made("div", { className: "scroll", role: "region", ariaLabel: list.caption, tabIndex: 0 }, whole);
  tools(whole);
  return region;
}

function show(row, found, vocabulary) {
  const number = `#${vocabulary.ids[row]}`;
  const text = vocabulary.texts[row];
  document.title = `${text} ${number} · ${document.body.dataset.name}`;
  const name = made("h1", { id: "token" }, token(text), " ", made("small", {}, number));
  const without = found.without ? ["; without untrained tokens and hubs ", made("strong", {}, found.without)] : [];
  const verdict = made(
    "section",
    { className: "verdict", ariaLabel: "Overlap" },
    made("h2", { id: "verdict" }, "Overlap: ", made("strong", {}, found.verdict), ...without),
    made("p", { className: "overlap" }, found.brief),
    made("p", {}, found.meaning),
  );
  verdict.dataset.verdict = found.verdict;
  const [first, second] = found.lists;
  const lists = made("div", { className: "lists" }, table(first, second, vocabulary), table(second, first, vocabulary));
  const facts = found.facts.map(([key, value]) => made("tr", {}, made("th", { scope: "row" }, key), made("td", {}, value)));
  const twins = found.twins.flatMap((twin, place) => [place ? ", " : "", link(twin, vocabulary), ` #${vocabulary.ids[twin]}`]);
  const more = found.twin_count > found.twins.length ? [` and ${(found.twin_count - found.twins.length).toLocaleString("en")} more`] : [];
  facts.push(made("tr", {}, made("th", { scope: "row" }, "twins"), made("td", {}, ...(twins.length ? [...twins, ...more] : ["none"]))));
  const legend = made("p", { className: "legend" }, "● in both lists · = tied: as far as the one before or after, within the resolution · ≡ a twin, the same vector · * a hub, † untrained: in many lists, whoever's they are");
  const onMap = "mapped" in document.body.dataset ? [made("p", {}, made("a", { href: `index.html?token=${vocabulary.ids[row]}` }, "On the map"))] : [];
  main.replaceChildren(name, verdict, ...onMap, lists, legend, made("section", { ariaLabel: "The token" }, made("h2", {}, "The token"), made("table", { className: "facts" }, ...facts)));
}

function choose(typed, near, vocabulary) {
  document.title = `No such token · ${document.body.dataset.name}`;
  const items = near.map((row) => made("li", {}, link(row, vocabulary), ` #${vocabulary.ids[row]}`));
  const problem = made("p", { className: "problem", role: "alert" }, "no token is printed as ", token(typed));
  main.replaceChildren(made("h1", {}, "No such token"), problem, ...(items.length ? [made("h2", {}, "Did you mean"), made("ul", { className: "near" }, ...items)] : []));
}

async function start() {
  const read = await load("vocabulary");
  const vocabulary = { ...read, hubs: new Set(read.hubs), untrained: new Set(read.untrained) };
  const said = new URLSearchParams(location.search);
  const typed = said.get("q") ?? `#${said.get("id") ?? ""}`;
  const found = await rows(typed, 20);
  const printed = typed.replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
  const meant = found.length && (/^#?\d+$/.test(typed) || [printed, `␣${printed}`].includes(vocabulary.texts[found[0]]));
  if (meant) {
    show(found[0], await ofRow("tokens", found[0]), vocabulary);
  } else {
    choose(typed, found, vocabulary);
  }
  main.setAttribute("aria-busy", "false");
}

start();
