// Draws every token of the vocabulary as a dot on a canvas, with the token of the page and its neighbors lit.

const figure = document.querySelector(".map");
const canvas = figure.querySelector("canvas");
const under = figure.querySelector(".under");
const context = canvas.getContext("2d");
const CLICK_PIXELS = 4; // a pointer that moved less has clicked
const DOT_OPACITY = 90; // of 255
const REACH_PIXELS = 24; // how far from a dot still means it

let x, y, ids; // abscissas, ordinates (NaN without a place) and token ids, by row
const view = { x: 0, y: 0, scale: 1 }; // what is in the middle, and pixels for each unit

const rowsIn = (place) =>
  Array.from(document.querySelectorAll(`.lists .scroll:nth-child(${place}) tr[data-row]`), (line) => Number(line.dataset.row));
const center = document.querySelector("h1[data-row]");
const first = new Set(rowsIn(1));
const second = new Set(rowsIn(2));

function bounds(rows) {
  const box = { left: Infinity, right: -Infinity, low: Infinity, high: -Infinity };
  for (const row of rows) {
    if (!Number.isNaN(x[row])) {
      box.left = Math.min(box.left, x[row]);
      box.right = Math.max(box.right, x[row]);
      box.low = Math.min(box.low, y[row]);
      box.high = Math.max(box.high, y[row]);
    }
  }
  return box;
}

function show(rows) {
  const box = bounds(rows);
  if (box.left > box.right) {
    return; // none of them has a place
  }
  view.x = (box.left + box.right) / 2;
  view.y = (box.low + box.high) / 2;
  const across = canvas.clientWidth / (box.right - box.left || 1);
  const up = canvas.clientHeight / (box.high - box.low || 1);
  view.scale = 0.9 * Math.min(across, up);
}

const pixelX = (row) => (x[row] - view.x) * view.scale + canvas.clientWidth / 2;
const pixelY = (row) => (view.y - y[row]) * view.scale + canvas.clientHeight / 2;

function color(name) {
  return getComputedStyle(figure).getPropertyValue(`--${name}`);
}

function dot(row, radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(pixelX(row), pixelY(row), radius, 0, 2 * Math.PI);
  context.fill();
}

// Every token a pixel, more opaque where several are: written by hand, because 150,000 rectangles take the canvas a second.
function drawAll(ratio) {
  const [red, green, blue] = getComputedStyle(canvas).color.match(/\d+/g).map(Number);
  const { width, height } = canvas;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const ink = (blue << 16) | (green << 8) | red; // little-endian, as the packed numbers are
  const scale = view.scale * ratio;
  const size = Math.round(ratio);
  for (let row = 0; row < x.length; row += 1) {
    const left = Math.round((x[row] - view.x) * scale + width / 2);
    const top = Math.round((view.y - y[row]) * scale + height / 2);
    if (left >= 0 && top >= 0 && left + size <= width && top + size <= height) {
      for (let at = 0; at < size * size; at += 1) {
        const pixel = (top + Math.floor(at / size)) * width + left + (at % size);
        pixels[pixel] = ((Math.min(255, (pixels[pixel] >>> 24) + DOT_OPACITY) << 24) | ink) >>> 0;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function draw() {
  const ratio = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  drawAll(ratio);
  context.scale(ratio, ratio);
  for (const row of [...second, ...first]) {
    dot(row, 4, color(first.has(row) && second.has(row) ? "both" : first.has(row) ? "first" : "second"));
  }
  if (center) {
    dot(Number(center.dataset.row), 6, color("ink"));
  }
}

function nearest(event) {
  const box = canvas.getBoundingClientRect();
  const atX = event.clientX - box.left;
  const atY = event.clientY - box.top;
  let best = -1;
  let least = REACH_PIXELS ** 2;
  for (let row = 0; row < x.length; row += 1) {
    const squared = (pixelX(row) - atX) ** 2 + (pixelY(row) - atY) ** 2;
    if (squared < least) {
      [best, least] = [row, squared];
    }
  }
  return best;
}

const address = (row) => `/token/${ids[row]}${location.pathname.startsWith("/token/") ? location.search : ""}`;

let named = -1;
async function name(event) {
  const row = nearest(event);
  if (row === named) {
    return;
  }
  named = row;
  const answer = row < 0 ? null : await fetch(`/name/${ids[row]}`);
  if (row === named) {
    under.textContent = answer?.ok ? `${(await answer.json()).text} #${ids[row]}` : "";
  }
}

const everything = () => x.keys();
const near = () => [Number(center.dataset.row), ...first, ...second];
const views = {
  whole: () => show(everything()),
  near: () => show(near()),
  closer: () => (view.scale *= 1.5),
  further: () => (view.scale /= 1.5),
};

let drag = null;
function listen() {
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, moved: 0 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === null) {
      name(event);
      return;
    }
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(dx) + Math.abs(dy) };
    view.x -= dx / view.scale;
    view.y += dy / view.scale;
    requestAnimationFrame(draw);
  });
  canvas.addEventListener("pointerup", (event) => {
    const row = drag !== null && drag.moved < CLICK_PIXELS ? nearest(event) : -1;
    drag = null;
    if (row >= 0) {
      location.assign(address(row));
    }
  });
  canvas.addEventListener("pointercancel", () => {
    drag = null;
  });
}

async function start() {
  const packed = await (await fetch(figure.dataset.points)).arrayBuffer();
  const V = packed.byteLength / 12;
  x = new Float32Array(packed, 0, V);
  y = new Float32Array(packed, 4 * V, V);
  ids = new Int32Array(packed, 8 * V, V);
  views.whole();
  listen();
  figure.querySelector(".buttons").addEventListener("click", (event) => {
    views[event.target.value]?.();
    draw();
  });
  // Which calls it at once, too.
  new ResizeObserver(() => {
    draw();
    figure.setAttribute("aria-busy", "false");
  }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

start();
