// A rectangle or a lasso that is drawn over a map: a polygon in the map's own units.

const LEAST_PIXELS = 3; // between two corners of a lasso
const MOST_CORNERS = 60; // that an address keeps

// Whether a place is inside, by how often a ray from it crosses the sides.
export function inside(corners, x, y) {
  let within = false;
  for (let at = 0, before = corners.length - 1; at < corners.length; before = at, at += 1) {
    const [[x1, y1], [x2, y2]] = [corners[at], corners[before]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) {
      within = !within;
    }
  }
  return within;
}

export const rectangle = ([x1, y1], [x2, y2]) => [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];

// Draws what `shape` ("rectangle" or "lasso") says while a pointer is held; null while the shape is not large enough.
export class Pen {
  constructor(plane, shape, { left, top }) {
    Object.assign(this, { plane, shape, pixels: [[left, top]] });
  }

  move({ left, top }) {
    const [lastLeft, lastTop] = this.pixels.at(-1);
    if (this.shape === "rectangle") {
      this.pixels[1] = [left, top];
    } else if (Math.hypot(left - lastLeft, top - lastTop) >= LEAST_PIXELS) {
      this.pixels.push([left, top]);
    }
  }

  get corners() {
    const points = this.pixels.map(([left, top]) => this.plane.point(left, top));
    if (this.shape === "rectangle") {
      return points.length < 2 ? null : short(rectangle(...points));
    }
    const every = Math.ceil(points.length / MOST_CORNERS);
    const kept = points.filter((_, place) => place % every === 0);
    return kept.length < 3 ? null : short(kept);
  }
}

// As an address keeps them, so that a link selects the same tokens.
const short = (corners) => corners.map((corner) => corner.map((number) => Number(number.toPrecision(6))));

export const written = ({ layout, corners }) => `${layout}:${corners.flat().join(",")}`;

export function read(text) {
  const [layout, numbers = ""] = text.split(":");
  const all = numbers.split(",").map(Number);
  if (all.length < 6 || all.length % 2 || !all.every(Number.isFinite)) {
    return null;
  }
  return { layout, corners: Array.from({ length: all.length / 2 }, (_, at) => [all[2 * at], all[2 * at + 1]]) };
}
