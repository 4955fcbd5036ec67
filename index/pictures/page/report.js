// Draws every chart of the page into the element of its name.

// Moves the texts of a chart apart, and hides those it finds no room for. Vega-Lite has no word for this, Vega has.
const LABELS = {
  type: "label",
  size: { signal: "[max(width, 1), max(height, 1)]" },
  avoidMarks: ["points_marks"],
  anchor: ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"],
  offset: [6],
  padding: 0,
};

function placeLabels(specification) {
  for (const mark of specification.marks) {
    if (mark.name === "labels_marks") {
      mark.transform = [LABELS];
    }
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
