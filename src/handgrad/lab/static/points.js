// Points in the plane: drawn, or of a pattern; behind them what the network says of every place.

import { look } from "./api.js";
import { css, picture } from "./charts.js";
import { button, field, fill, h, select } from "./dom.js";
import { latest } from "./moments.js";

const SIZE = 360;
const RANGE = 1.2; // coordinates go from -RANGE to RANGE
const COLORS = ["--c1", "--c2", "--c3", "--c4"];

function random(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// Patterns of n points: [x, y, class].
export function pattern(name, n = 300, noise = 0.08, seed = 1) {
  const draw = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(draw() || 1e-9)) * Math.cos(2 * Math.PI * draw());
  const points = [];
  for (let i = 0; i < n; i++) {
    const label = i % 2;
    let x, y, c = label;
    if (name === "circles") {
      const [r, a] = [label ? 0.9 : 0.4 * Math.sqrt(draw()), 2 * Math.PI * draw()];
      [x, y] = [r * Math.cos(a), r * Math.sin(a)];
    } else if (name === "spirals") {
      const t = Math.sqrt(draw());
      const a = 1.75 * 2 * Math.PI * t + label * Math.PI;
      [x, y] = [t * Math.cos(a), t * Math.sin(a)];
    } else if (name === "xor") {
      [x, y] = [2 * draw() - 1, 2 * draw() - 1];
      x += 0.06 * Math.sign(x);
      y += 0.06 * Math.sign(y);
      c = x * y > 0 ? 0 : 1;
    } else {
      const a = Math.PI * draw();
      [x, y] = label ? [0.5 * Math.cos(a) + 0.25, -0.5 * Math.sin(a) + 0.2] : [0.5 * Math.cos(a) - 0.25, 0.5 * Math.sin(a) - 0.2];
      [x, y] = [1.2 * x, 1.2 * y];
    }
    points.push([x + noise * normal(), y + noise * normal(), c].map((v) => Number(v.toFixed(4))));
  }
  return points;
}

export class Points {
  constructor(kept, onchange) {
    this.kept = kept;
    this.onchange = onchange;
    this.kind = "circles";
    this.noise = 0.05;
    this.label = 0;
    this.ground = null;
    kept.points ??= pattern(this.kind, 300, this.noise);
    this.board = h("canvas", { width: SIZE, height: SIZE, class: "plane", role: "img", tabindex: "0" });
    this.said = h("p", { class: "small", role: "status" });
    this.planes = h("div", { class: "unit-planes" });
    this.element = h("div", { class: "points" }, this.board, h("div", {}, this.tools(), this.said), this.planes);
    this.board.addEventListener("pointerdown", (event) => this.add(event));
    this.ask = latest((id, weights) => this.load(id, weights));
    this.paint = () => this.draw();
    addEventListener("theme", this.paint);
  }

  tools() {
    const make = () => {
      this.set(pattern(this.kind, 300, this.noise, 1 + Math.floor(Math.random() * 1e6)));
    };
    const noise = h("input", { type: "range", min: "0", max: "0.3", step: "0.01", value: this.noise, "aria-label": "Noise", onchange: () => { this.noise = Number(noise.value); make(); } });
    const kinds = ["circles", "spirals", "xor", "moons"];
    return h("div", { class: "narrow" },
      field("Pattern", select(kinds, this.kind, (v) => { this.kind = v; make(); })), field("Noise", noise),
      field("Press to add", select([["0", "class A"], ["1", "class B"], ["2", "class C"]], "0", (v) => (this.label = Number(v)))),
      h("div", { class: "bar-of-acts" }, button("New", make), button("Clear", () => this.set([]))));
  }

  set(points) {
    this.kept.points = points;
    this.kept.uploaded = undefined;
    this.ground = null;
    fill(this.planes);
    this.draw();
    if (points.length >= 10 && new Set(points.map((p) => p[2])).size > 1) this.onchange();
  }

  add(event) {
    const scale = (2 * RANGE) / this.board.clientWidth;
    const [x, y] = [event.offsetX * scale - RANGE, RANGE - event.offsetY * scale];
    this.set([...this.kept.points, [Number(x.toFixed(4)), Number(y.toFixed(4)), this.label]]);
  }

  boundary(id, weights) {
    this.ask(id, weights).catch(() => {});
  }

  async load(id, weights) {
    const found = await look(id, "plane", { weights, low: [-RANGE, -RANGE], high: [RANGE, RANGE], size: 60 });
    this.ground = found;
    this.said.textContent = found.step === null ? "What the trained network says." : `What the network says at step ${found.step}.`;
    const units = found.units.filter((u) => u.planes.length > 1).slice(0, 6);
    fill(this.planes, units.length && h("h3", {}, "What each unit says of the plane"), units.map((u) =>
      h("div", { class: "row" }, h("span", { class: "name" }, u.label), u.planes.map((p, i) => upright(p, `unit ${i + 1} of ${u.label}`)))));
    this.draw();
  }

  draw() {
    const context = this.board.getContext("2d");
    const inks = COLORS.map((name) => css(name));
    context.fillStyle = css("--card");
    context.fillRect(0, 0, SIZE, SIZE);
    if (this.ground) this.behind(context, inks);
    const at = (v) => ((v + RANGE) / (2 * RANGE)) * SIZE;
    for (const [x, y, label] of this.kept.points) {
      context.beginPath();
      context.arc(at(x), SIZE - at(y), 3.6, 0, 7);
      context.fillStyle = inks[label % inks.length];
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = css("--card");
      context.stroke();
    }
    const classes = new Set(this.kept.points.map((p) => p[2])).size;
    this.board.setAttribute("aria-label", `${this.kept.points.length} points of ${classes} classes in the plane${this.ground ? ", with what the network says of each place behind them" : ""}`);
  }

  behind(context, inks) {
    const { size, outputs, classes } = this.ground;
    const planes = outputs.map((o) => ({ ...o, bytes: Uint8Array.from(atob(o.data), (c) => c.charCodeAt(0)) }));
    const colors = classes.map((name) => rgb(inks["ABCD".indexOf(name)] ?? inks[0]));
    const back = rgb(css("--card"));
    const image = context.createImageData(size, size);
    for (let i = 0; i < size * size; i++) {
      const row = size - 1 - Math.floor(i / size);
      const from = row * size + (i % size);
      const mixed = [0, 0, 0];
      planes.forEach((p, c) => {
        const share = p.low + (p.bytes[from] / 255) * (p.high - p.low);
        for (let k = 0; k < 3; k++) mixed[k] += share * colors[c][k];
      });
      for (let k = 0; k < 3; k++) image.data[4 * i + k] = 0.5 * mixed[k] + 0.5 * back[k];
      image.data[4 * i + 3] = 255;
    }
    const small = h("canvas", { width: size, height: size });
    small.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, SIZE, SIZE);
  }

  close() {
    removeEventListener("theme", this.paint);
  }
}

// The first row of a grid is the lowest y.
function upright(packed, label) {
  const canvas = picture(packed, "signed", label);
  canvas.style.transform = "scaleY(-1)";
  return canvas;
}

function rgb(text) {
  const hex = text.replace("#", "");
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}
