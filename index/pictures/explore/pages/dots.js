// Draws dots into a canvas by hand, pixel by pixel: 150,000 of them in a few milliseconds, with no graphics card.
// (The libraries that draw with one take a quarter of a second and more for each picture where there is none.)

const FAINT = 0.12; // opacity of what is filtered out
const LEAST = [0.4, 0.8]; // opacity of one dot, from afar and from near
const ROOM = 0.3; // radius of a dot from afar, of the way to the next one were they spread evenly
const SMALLEST = [0.5, 2.5]; // between which that is kept
const FULL = 48; // dots on one pixel that are wholly opaque
const MIXED = 5; // pixels of a dot up to which the colors of those on one pixel are mixed; of larger ones the last is seen
const LARGEST = 5; // radius of a dot from near
const ROOMIER = 2.2; // how fast dots grow as one comes nearer

// Opacities of a pixel by the dots on it, from 0 to 255: they grow with the logarithm, so that crowds stay told apart.
function opacities(size) {
  const least = LEAST[0] + ((LEAST[1] - LEAST[0]) * size) / LARGEST;
  return Uint8Array.from({ length: FULL + 1 }, (_, dots) =>
    dots === 0 ? 0 : Math.round(255 * (least + ((1 - least) * Math.log(dots)) / Math.log(FULL))),
  );
}

// Offsets of the pixels of a disc.
function disc(radius, width) {
  const offsets = [];
  const whole = Math.floor(radius);
  for (let up = -whole; up <= whole; up += 1) {
    for (let across = -whole; across <= whole; across += 1) {
      if (across * across + up * up <= radius * radius) {
        offsets.push(up * width + across);
      }
    }
  }
  return offsets;
}

// The radius of a dot in CSS pixels: while all of the map is seen as large as so many that are shown have room for,
// growing as one comes nearer.
export function radius(plane, shown) {
  const room = ROOM * Math.sqrt((plane.width * plane.height) / Math.max(1, shown));
  const least = Math.min(SMALLEST[1], Math.max(SMALLEST[0], room));
  return Math.min(LARGEST, Math.max(least, ROOMIER * Math.log(plane.scale / plane.whole)));
}

export class Dots {
  #size = 0;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
  }

  #resize(ratio) {
    const { canvas } = this;
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height || this.#size !== width * height) {
      canvas.width = width;
      canvas.height = height;
      this.#size = width * height;
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.counts = new Uint32Array(this.#size);
      this.faint = new Uint8Array(this.#size);
      this.sums = [0, 1, 2].map(() => new Uint32Array(this.#size));
    }
  }

  // `codes` are places in `palette` ([red, green, blue] each), one a row; `hidden` rows are drawn faintly in `soft`.
  draw(plane, { x, y, codes, palette, hidden, soft, size, ratio }) {
    this.#resize(ratio);
    const { counts, faint, sums, pixels, canvas } = this;
    const { width, height } = canvas;
    const offsets = disc(size * ratio, width);
    const mixed = offsets.length <= MIXED;
    counts.fill(0);
    faint.fill(0);
    pixels.fill(0);
    if (mixed) {
      sums.forEach((sum) => sum.fill(0));
    }
    const packed = Uint32Array.from(palette, pack);
    const margin = Math.ceil(size * ratio);
    const scale = plane.scale * ratio;
    const left = width / 2 - plane.x * scale;
    const top = height / 2 + plane.y * scale;
    const [red, green, blue] = sums;
    for (let row = 0; row < x.length; row += 1) {
      const across = Math.round(x[row] * scale + left);
      const down = Math.round(top - y[row] * scale);
      if (!(across >= margin && down >= margin && across < width - margin && down < height - margin)) {
        continue; // outside, or without a place
      }
      const at = down * width + across;
      if (hidden !== null && hidden[row]) {
        faint[at] = 1;
        continue;
      }
      const code = codes === null ? 0 : codes[row];
      if (mixed) {
        const color = palette[code];
        for (const offset of offsets) {
          counts[at + offset] += 1;
          red[at + offset] += color[0];
          green[at + offset] += color[1];
          blue[at + offset] += color[2];
        }
      } else {
        for (let place = 0; place < offsets.length; place += 1) {
          counts[at + offsets[place]] += 1;
          pixels[at + offsets[place]] = packed[code];
        }
      }
    }
    const opacity = opacities(size);
    const grey = (Math.round(255 * FAINT) << 24) | pack(soft);
    for (let at = 0; at < pixels.length; at += 1) {
      const dots = counts[at];
      if (dots) {
        const color = mixed
          ? (Math.round(blue[at] / dots) << 16) | (Math.round(green[at] / dots) << 8) | Math.round(red[at] / dots)
          : pixels[at];
        pixels[at] = (opacity[Math.min(dots, FULL)] << 24) | color;
      } else if (faint[at]) {
        pixels[at] = grey;
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

// A color in the bytes of a pixel, without its opacity.
function pack([red, green, blue]) {
  return (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);
}
