// Which color a token has by the byte of a column.

import { NONE } from "./columns.js";

// Okabe and Ito's colors, which color-blind readers tell apart, and greys for what is left.
const CATEGORIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a6761d", "#66a61e", "#e7298a", "#888888"];
// Five colors of viridis, between which others are mixed.
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const SEEN_IN_THE_DARK = 0.3; // from where on they stand out from a dark page
export const GREY = [128, 128, 128];

const hex = (text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));

function mixed(share) {
  const at = Math.min(share * (RAMP.length - 1), RAMP.length - 1.001);
  const [from, to] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
  return from.map((value, part) => value + (to[part] - value) * (at % 1));
}

// The color of each byte: `plain` for all tokens where they are not colored by a column.
export function palette(column, plain) {
  if (column === null) {
    return Array.from({ length: 256 }, () => plain);
  }
  const least = matchMedia("(prefers-color-scheme: dark)").matches ? SEEN_IN_THE_DARK : 0;
  const colors = Array.from({ length: 256 }, (_, code) => {
    if (column.labels) {
      return hex(CATEGORIES[Math.min(code, CATEGORIES.length - 1)]);
    }
    return mixed(least + (1 - least) * Math.min(1, code / (column.steps - 1)));
  });
  colors[NONE] = GREY;
  return colors;
}

export const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;

// Reads a color as the browser writes it: "rgb(0, 114, 178)".
export const rgb = (text) => text.match(/[\d.]+/g).slice(0, 3).map(Number);
