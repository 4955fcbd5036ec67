// Copies a table, or saves it as CSV: all its columns, also those that a narrow window hides, with every digit. Tokens
// are written as they are printed.

import { csvLine, save } from "./saved.js";

const SAID_MS = 1500; // for which a button says that it has copied

// The text of a cell, or the whole number behind a rounded one.
const written = (cell) => (cell.querySelector("data")?.value ?? cell.textContent).trim();

const rows = (table) => Array.from(table.rows, (row) => Array.from(row.cells, written));

const csv = (table) => rows(table).map(csvLine).join("");

const tabbed = (table) => rows(table).map((row) => row.map((text) => text.replace(/\s/g, " ")).join("\t")).join("\n");

function fileName(table) {
  const said = `${document.title.split(" · ")[0]} ${table.caption?.firstChild.textContent ?? "table"}`;
  return `${said.replace(/[^\p{L}\p{N}#]+/gu, "-").replace(/^-+|-+$/g, "")}.csv`;
}

const keep = (table) => save(fileName(table), "text/csv", csv(table));

async function copy(table, button) {
  const name = button.textContent;
  try {
    await navigator.clipboard.writeText(tabbed(table));
    button.textContent = "copied";
  } catch {
    button.textContent = "not allowed"; // by the browser
  }
  setTimeout(() => (button.textContent = name), SAID_MS);
}

// Puts the buttons of a table beside its name, or above it.
export function tools(table) {
  const place = document.createElement("span");
  place.className = "keep-table";
  for (const [name, act] of [["copy", copy], ["CSV", keep]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => act(table, button));
    place.append(button);
  }
  if (table.caption) {
    table.caption.append(place);
  } else {
    table.before(place);
  }
}
