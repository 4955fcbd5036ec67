// The token that is picked, and its true neighbors in both geometries.

import { made, shape, token } from "./made.js";
import { json } from "./received.js";

const SHOWN_HERE = 12; // tokens on one spot that are named
const NEAREST = 8; // true neighbors that are named

// {row, lists, suspect, joined}: `joined` are the rows that lines lead to, and which lists they are in.
export async function pickedToken(source, row) {
  const near = await json(`${source}/near/${row}`);
  const [first, second] = Object.values(near.lists).map((rows) => new Set(rows));
  const why = (each) => (first.has(each) && second.has(each) ? "both" : first.has(each) ? "first" : "second");
  return { row, ...near, joined: [...new Set([...first, ...second])].map((each) => [each, why(each)]) };
}

// Fills `section` with what is known of it; `link` makes a link of a row, `name` a button that picks it, `here` are the
// rows on the same spot.
export function describe(section, picked, { link, name, here }) {
  section.hidden = picked === null;
  if (picked === null) {
    return;
  }
  section.querySelector("h2").replaceChildren(link(picked.row));
  const suspect = new Set(picked.suspect);
  const said = (why, where) => {
    const rows = picked.joined.filter(([, each]) => each === why).map(([row]) => row);
    const doubted = rows.filter((row) => suspect.has(row)).length;
    return made("li", {}, swatch(why), ` ${rows.length} in ${where}${doubted ? `, ${doubted} of them untrained or hubs` : ""}`);
  };
  const [first, second] = Object.keys(picked.lists);
  const key = made("ul", { className: "key" }, said("both", "both lists"), said("first", `${first} only`), said("second", `${second} only`));
  const doubt = "* Untrained tokens and hubs are in many lists, whoever's they are.";
  section.querySelector(".joined").replaceChildren("Lines lead to its true neighbors:", key);
  const nearest = Object.entries(picked.lists).filter(([, rows]) => rows.length);
  section.querySelector(".nearest").replaceChildren(
    ...nearest.map(([label, rows]) => {
      const names = rows.slice(0, NEAREST).flatMap((row) => [" ", name(row, suspect.has(row))]);
      return made("p", {}, `Nearest, ${label}:`, ...names);
    }),
    suspect.size ? made("p", { className: "meaning", textContent: doubt }) : "",
  );
  const lines = here.slice(0, SHOWN_HERE).map((row) => made("li", {}, link(row)));
  if (here.length > SHOWN_HERE) {
    lines.push(made("li", { textContent: `and ${(here.length - SHOWN_HERE).toLocaleString("en")} more on the same spot` }));
  }
  section.querySelector(".here").replaceChildren(...lines);
}

// A line as the map draws it, by the lists that its end is in.
function swatch(why) {
  return shape("svg", { viewBox: "0 0 28 6", "aria-hidden": "true" }, shape("line", { x1: 0, x2: 28, y1: 3, y2: 3, class: why }));
}

// A button that is called by a token; one that is untrained or a hub is marked.
export function nameOf(text, suspect, act) {
  const button = made("button", { type: "button", className: suspect ? "suspect" : "" }, token(text), suspect ? " *" : "");
  button.addEventListener("click", act);
  return button;
}

// A link to the page of a token.
export const linkTo = (text, id, address) => made("a", { href: address }, token(text), ` #${id}`);
