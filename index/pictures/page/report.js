// Draws every chart of the page into the element of its name.

// Moves the texts of a chart apart, and hides those it finds no room for. Vega-Lite has no word for this, Vega has.
const ANCHORS = ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"];
const OFFSETS = [6, 20, 40]; // pixels, the nearest that is free
const LABELS = {
  type: "label",
  size: { signal: "[max(width, 1), max(height, 1)]" },
  avoidMarks: ["points_marks"],
  anchor: OFFSETS.flatMap(() => ANCHORS),
  offset: OFFSETS.flatMap((offset) => ANCHORS.map(() => offset)),
  padding: 0,
};

// From a dot to its label: what stands further off must not seem to be of another dot.
const LEADERS = {
  type: "rule",
  from: { data: "labels_marks" },
  interactive: false,
  encode: {
    update: {
      x: { field: "x" },
      y: { field: "y" },
      x2: { scale: "x", field: "datum.across" },
      y2: { scale: "y", field: "datum.up" },
      opacity: { field: "opacity" },
      stroke: { value: "var(--soft)" },
      strokeWidth: { value: 0.75 },
    },
  },
};

function placeLabels(specification) {
  const labels = specification.marks.find((mark) => mark.name === "labels_marks");
  if (labels) {
    labels.transform = [LABELS];
    specification.marks.push({ ...LEADERS, aria: false });
  }
  return specification;
}

const OPTIONS = {
  actions: false,
  ast: true, // expressions are interpreted: the page allows no eval
  defaultStyle: false,
  patch: placeLabels,
  renderer: "svg",
  tooltip: { disableDefaultStyle: true },
};

const PRINTED_WIDTH = 640; // pixels: as wide as A4 between its margins, so that texts keep their size on paper

const charts = JSON.parse(document.getElementById("charts").textContent);
const views = [];
for (const [name, specification] of Object.entries(charts)) {
  vegaEmbed(document.getElementById(name), specification, OPTIONS).then(({ view }) => views.push(view));
}

addEventListener("beforeprint", () => views.forEach((view) => view.width(PRINTED_WIDTH).run()));
addEventListener("afterprint", () => dispatchEvent(new Event("resize"))); // as wide again as what contains them
