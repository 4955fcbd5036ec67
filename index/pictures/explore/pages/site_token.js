// The page of a token in an exported site: `token.html?id=46835`, or `?q=planet` from the search box.

import { made, token } from "./made.js";
import { tools } from "./tables.js";

const { load, ofRow, only, rows, run } = logoscope;
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

// The charts of a token, filled with what its tables hold: `run` draws them.
function showCharts(found, vocabulary, charts) {
  const named = (row) => ({ text: vocabulary.texts[row], id: String(vocabulary.ids[row]), marks: "", address: `token.html?id=${vocabulary.ids[row]}` });
  const byRank = ({ rows, distances, tied }, { resolution }) =>
    rows.map((row, place) => {
      const distance = distances[place];
      const ends = { low: Math.max(0, distance - resolution), high: distance + resolution };
      return { ...named(row), rank: place + 1, distance, ...ends, tied: tied[place] === "1" ? "yes" : "no" };
    });
  const [first, second] = found.lists.map(({ rows }) => rows);
  const shared = (k) => first.slice(0, k).filter((row) => second.slice(0, k).includes(row)).length / k;
  const lengths = Array.from({ length: Math.min(first.length, second.length) }, (_, place) => place + 1);
  const density = charts.density.specification;
  const [bars, line] = density?.layer ?? [];
  const own = { data: { values: [{ text: "this token", density: found.density, below: "" }] } };
  const filled = [
    ...charts.ranks.map((chart, place) => [chart, byRank(found.lists[place], chart)]),
    [charts.overlap, lengths.map((k) => ({ k, share: shared(k), chance: charts.overlap.chance[k - 1] }))],
  ].filter(([, values]) => values.length);
  const shown = filled.map(([chart, values]) => ({ ...chart, specification: { ...chart.specification, data: { values } } }));
  if (bars) {
    const layer = found.density === null || !line ? [bars] : [bars, { ...line, ...own, encoding: { x: line.encoding.x } }];
    shown.push({ ...charts.density, specification: { ...density, layer } });
  }
  const figures = shown.map(({ title, caption }, place) =>
    made("figure", {}, made("h3", {}, title), made("div", { className: "chart", id: `chart-${place + 1}` }), made("figcaption", {}, caption)),
  );
  const specifications = Object.fromEntries(shown.map(({ specification }, place) => [`chart-${place + 1}`, specification]));
  const handed = made("script", { type: "application/json", id: "charts" }, JSON.stringify(specifications));
  const heading = made("h2", { id: "charts-name" }, "Charts");
  main.append(made("section", { ariaLabel: "Charts" }, heading, made("div", { className: "charts" }, ...figures), handed));
  run("assets/charts.js");
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
  const row = await only(typed);
  if (row === undefined) {
    choose(typed, await rows(typed, 20), vocabulary);
  } else {
    const found = await ofRow("tokens", row);
    show(row, found, vocabulary);
    if (found.lists.some((list) => list.rows.length)) {
      showCharts(found, vocabulary, await load("charts"));
    }
  }
  main.setAttribute("aria-busy", "false");
}

start();
