// What a map shows, as its address keeps it: a link shows the same.

import { read, written } from "./columns.js";
import * as region from "./region.js";

// at=x,y,span and at-cosine=... of each map; token; color; only=NAME:filter, again for each; area=LAYOUT:corners.
export function addressOf(views, state, columns, id) {
  const said = new URLSearchParams();
  if (views.length > 1) {
    said.set("beside", "");
  }
  views.forEach((view, place) => said.set(place === 0 ? "at" : `at-${view.layout}`, view.at));
  if (state.picked !== null) {
    said.set("token", id(state.picked.row));
  }
  if (state.column !== null) {
    said.set("color", state.column.name);
  }
  columns.filtered.forEach((name) => said.append("only", `${name}:${written(columns.filter(name))}`));
  if (columns.region !== null) {
    said.set("area", region.written(columns.region));
  }
  return `?${said}`;
}

// Returns {color, token, area}, and puts its filters into `columns`. `layouts` are the maps there are, shown or not: what
// is said of others, as an old link may, is left out.
export async function fromAddress(views, columns, layouts) {
  const said = new URLSearchParams(location.search);
  views.forEach((view, place) => (view.at = said.get(place === 0 ? "at" : `at-${view.layout}`) ?? ""));
  const filters = said.getAll("only").map((text) => text.split(/:(.*)/s)).filter(([name]) => columns.get(name) !== null);
  await Promise.all(filters.map(([name, text = ""]) => columns.keep(name, read(columns.get(name), text))));
  const area = region.read(said.get("area") ?? "");
  return { color: said.get("color") ?? "", token: said.get("token"), area: layouts.includes(area?.layout) ? area : null };
}
