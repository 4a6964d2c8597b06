// Curves (uPlot), histograms, and pictures of arrays.

import uPlot from "./uplot/uPlot.js";
import { h, number } from "./dom.js";

export const COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function color(i) {
  return css(COLORS[i % COLORS.length]);
}

// A chart of lines over steps.  Series: { label, mean, least, largest, dashed }, arrays of the length of x.
export class Lines {
  constructor(title, options = {}) {
    this.title = title;
    this.options = options;
    this.body = h("div", { class: "plot" });
    this.caption = h("figcaption", {}, title);
    this.element = h("figure", { class: "chart" }, this.caption, this.body);
    this.plot = null;
    this.given = null;
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(this.body);
    this.paint = () => this.given && this.draw(true);
    addEventListener("theme", this.paint);
  }

  set(x, series) {
    this.given = [x, series];
    this.draw(false);
  }

  draw(anew) {
    const [x, series] = this.given;
    const key = JSON.stringify([series.map((s) => [s.label, s.color, !!s.least]), this.options.log]);
    const data = [x];
    for (const s of series) {
      data.push(s.mean);
      if (s.least) data.push(s.least, s.largest);
    }
    this.body.setAttribute("role", "img");
    this.body.setAttribute("aria-label", said(this.title, x, series));
    if (this.plot && !anew && key === this.key) {
      this.plot.setData(data, !this.zoomed);
      return;
    }
    this.key = key;
    this.plot?.destroy();
    this.body.replaceChildren();
    if (!x.length) {
      this.plot = null;
      this.body.replaceChildren(h("p", { class: "muted" }, "No values yet."));
      return;
    }
    this.plot = new uPlot(this.settings(series), data, this.body);
  }

  settings(series) {
    const grid = { stroke: css("--grid"), width: 1 };
    const text = (v) => (v !== null && v !== undefined && this.options.percent ? `${number(100 * v, 4)} %` : number(v));
    const axis = { stroke: css("--muted"), grid, ticks: { show: false }, font: "12px system-ui" };
    const lines = [{ label: this.options.x ?? "step" }];
    const bands = [];
    for (const [i, s] of series.entries()) {
      const stroke = color(s.color ?? i);
      // where nobody points, the last value stands in the legend
      const value = (u, v, at, idx) => text(idx === null || idx === undefined ? u.data[at].findLast((w) => w !== null) : v);
      const dash = s.dashed ? [5, 4] : undefined;
      const fill = i === 0 && !s.least && series.length <= 2 ? `${stroke}16` : undefined;
      lines.push({ label: s.label, stroke, fill, width: 2, dash, value, points: { show: undefined, size: 5 }, spanGaps: true });
      if (s.least) {
        const thin = { stroke: "transparent", points: { show: false }, spanGaps: true };
        lines.push({ ...thin, label: "least", class: "hidden" }, { ...thin, label: "largest", class: "hidden" });
        const at = lines.length;
        bands.push({ series: [at - 1, at - 2], fill: `${stroke}28` });
      }
    }
    const scale = this.options.log ? { distr: 3 } : {};
    if (this.options.range) scale.range = this.options.range;
    const format = (_, values) => values.map((v) => (v === null ? "" : this.options.percent ? `${number(100 * v, 3)} %` : number(v, 4)));
    return {
      width: Math.max(this.body.clientWidth, 120),
      height: this.options.height ?? 220,
      scales: { x: { time: false }, y: scale },
      series: lines,
      bands,
      axes: [
        { ...axis, size: 34, values: (_, values) => values.map((v) => (v === null ? "" : v.toLocaleString("en"))) },
        { ...axis, size: 62, values: format },
      ],
      cursor: { sync: this.options.sync ? { key: this.options.sync } : undefined, drag: { x: true, y: false } },
      legend: { live: true },
      hooks: {
        setSelect: [(u) => this.zoom(u)],
        ready: [(u) => u.over.addEventListener("dblclick", () => this.whole())],
      },
    };
  }

  zoom(u) {
    if (u.select.width < 4) return;
    this.zoomed = true;
    const first = Math.floor(u.posToVal(u.select.left, "x"));
    const last = Math.ceil(u.posToVal(u.select.left + u.select.width, "x"));
    this.options.onzoom?.(first, last);
  }

  whole() {
    this.zoomed = false;
    this.options.onzoom?.(null, null);
  }

  resize() {
    if (this.plot && this.body.clientWidth) {
      this.plot.setSize({ width: this.body.clientWidth, height: this.options.height ?? 220 });
    }
  }

  close() {
    this.watch.disconnect();
    removeEventListener("theme", this.paint);
    this.plot?.destroy();
  }
}

function said(title, x, series) {
  const parts = series.map((s) => {
    const there = s.mean.filter((v) => v !== null && v !== undefined);
    if (!there.length) return `${s.label}: no value yet`;
    return `${s.label}: first ${number(there[0])}, last ${number(there.at(-1))}, least ${number(least(there))}`;
  });
  return `${title}, ${x.length ? `up to ${x.at(-1)}` : "empty"}. ${parts.join("; ")}`;
}

function least(values) {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

// -- pictures of arrays ---------------------------------------------------------------------------------

function bytes(packed) {
  const text = atob(packed.data);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

// Colors of 256 steps: gray; signed, blue below 0 and orange above; or heat from 0 on.
function tint(value, low, high, how) {
  if (how === "gray") return [value, value, value];
  const real = low + (value / 255) * (high - low);
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const t = Math.min(Math.abs(real) / size, 1);
  const back = document.documentElement.dataset.theme === "dark" ? [26, 30, 43] : [246, 247, 251];
  const ink = how === "heat" || real > 0 ? [226, 92, 20] : [44, 92, 222];
  return back.map((b, i) => b + (ink[i] - b) * t);
}

function drawn(values, height, width, channels, low, high, how) {
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const area = height * width;
  for (let i = 0; i < area; i++) {
    const rgb = channels === 3 ? [values[i], values[area + i], values[2 * area + i]] : tint(values[i], low, high, how);
    image.data.set([rgb[0], rgb[1], rgb[2], 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// One canvas of a packed array (H, W), (1, H, W) or (3, H, W).
export function picture(packed, how = "gray", label = "") {
  const sizes = packed.shape;
  const [height, width] = sizes.slice(-2);
  const channels = sizes.length === 3 ? sizes[0] : 1;
  const canvas = drawn(bytes(packed), height, width, channels, packed.low, packed.high, how);
  canvas.className = "pixels";
  if (label) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
  }
  return canvas;
}

// A row of colored cells of a packed vector: what the diagram has room for.
export function cells(packed) {
  const values = bytes(packed);
  const canvas = drawn(values, 1, values.length, 1, packed.low, packed.high, "signed");
  canvas.className = "cells";
  return canvas;
}

// Histograms moment after moment, the first at the back: a ridge for each.
export function ridges(found, label, steps, ink = "--c1") {
  const [width, tall, step] = [340, 46, found.counts.length];
  const gap = Math.min(100 / Math.max(step - 1, 1), 24);
  const height = Math.ceil(tall + gap * (step - 1) + 4);
  const canvas = h("canvas", { width: 2 * width, height: 2 * height, class: "ridges", role: "img" });
  canvas.setAttribute("aria-label", `Histograms of ${label} at ${step} moments, from ${number(found.low)} to ${number(found.high)}; root of the mean square at first ${number(found.sizes[0])}, at last ${number(found.sizes.at(-1))}`);
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  const stroke = css(ink);
  const back = css("--card");
  found.counts.forEach((counts, i) => {
    const base = tall + gap * i;
    const most = Math.max(...counts, 1);
    const x = (j) => ((j + 0.5) / counts.length) * width;
    const y = (n) => base - Math.sqrt(n / most) * tall;
    context.beginPath();
    context.moveTo(0, base);
    counts.forEach((n, j) => context.lineTo(x(j), y(n)));
    context.lineTo(width, base);
    context.fillStyle = back;
    context.fill();
    context.globalAlpha = 0.12 + (0.3 * (i + 1)) / step;
    context.fillStyle = stroke;
    context.fill();
    context.globalAlpha = 0.45 + (0.55 * (i + 1)) / step;
    context.strokeStyle = stroke;
    context.lineWidth = 1;
    context.stroke();
    context.globalAlpha = 1;
  });
  const zero = -found.low / (found.high - found.low);
  if (zero > 0 && zero < 1) {
    context.strokeStyle = css("--muted");
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(zero * width, 4);
    context.lineTo(zero * width, height);
    context.stroke();
  }
  return h("div", { class: "with-axis ridge" }, canvas,
    h("span", { class: "axis" }, h("span", {}, number(found.low, 3)), h("span", {}, number(found.high, 3))),
    h("span", { class: "small block" }, `back: ${at(steps[0])}, front: ${at(steps.at(-1))}`));
}

const at = (step) => (step === null || step === undefined ? "the end" : `step ${step}`);

// The line of a few values, without axes.
export function sparkLine(values, ink = "--c1") {
  const canvas = h("canvas", { width: 192, height: 52, class: "spark-line", "aria-hidden": "true" });
  const there = values.filter((v) => v !== null);
  if (there.length < 2) return canvas;
  canvas.dataset.values = there.length;
  const [low, high] = [Math.min(...there), Math.max(...there)];
  const context = canvas.getContext("2d");
  const stroke = css(ink);
  const x = (i) => 3 + (i / (values.length - 1)) * 186;
  const y = (v) => 47 - ((v - low) / (high - low || 1)) * 42;
  context.beginPath();
  values.forEach((v, i) => v !== null && context.lineTo(x(i), y(v)));
  context.strokeStyle = stroke;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(x(values.length - 1), 52);
  context.lineTo(x(0), 52);
  context.fillStyle = `${stroke}1c`;
  context.fill();
  return canvas;
}

// Many canvases of a packed array (N, H, W) or (N, C, H, W): the maps of a layer, or its filters.
export function maps(packed, label, how = "signed") {
  const sizes = packed.shape;
  const values = bytes(packed);
  const [height, width] = sizes.slice(-2);
  const channels = sizes.length === 4 ? sizes[1] : 1;
  const area = height * width * channels;
  const found = [];
  for (let i = 0; i < sizes[0]; i++) {
    const part = values.subarray(i * area, (i + 1) * area);
    const canvas = drawn(part, height, width, channels, packed.low, packed.high, how);
    canvas.className = "pixels";
    canvas.title = `${label} ${i + 1}`;
    found.push(canvas);
  }
  const text = `${sizes[0]} pictures of ${label}, from ${number(packed.low)} to ${number(packed.high)}`;
  return h("div", { class: "maps", role: "img", "aria-label": text }, found);
}

// Bars of numbers, positive to the right and negative to the left, or upwards in little room.
export function strip(values, label, how = "signed") {
  const width = Math.min(values.length, 1024);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const canvas = h("canvas", { width, height: 48, class: "strip", role: "img" });
  canvas.setAttribute("aria-label", `${values.length} numbers of ${label}, from ${number(low)} to ${number(high)}`);
  const context = canvas.getContext("2d");
  const zero = (high / (high - low || 1)) * 48;
  for (let i = 0; i < width; i++) {
    const v = values[i] ?? 0;
    const top = ((high - v) / (high - low || 1)) * 48;
    context.fillStyle = v >= 0 || how === "heat" ? css("--warm") : css("--cool");
    context.fillRect(i, Math.min(top, zero), 1, Math.max(Math.abs(top - zero), 1));
  }
  return canvas;
}

export function histogram(found, label, ink = "--c1") {
  const bars = found.counts;
  const canvas = h("canvas", { width: Math.max(bars.length, 1) * 6, height: 64, class: "histogram", role: "img" });
  const text = `Histogram of ${label}: from ${number(found.low)} to ${number(found.high)}, mean ${number(found.mean)}`;
  canvas.setAttribute("aria-label", text);
  const context = canvas.getContext("2d");
  const most = Math.max(...bars, 1);
  context.fillStyle = css(ink);
  bars.forEach((n, i) => context.fillRect(6 * i, 64 - (64 * n) / most, 5, (64 * n) / most));
  return h(
    "div",
    { class: "with-axis" },
    canvas,
    h("span", { class: "axis" }, h("span", {}, number(found.low, 3)), h("span", {}, number(found.high, 3))),
  );
}

// Rows of a name, a bar from 0 to 1, and its number.
export function bars(names, values, marked = -1, text = (v) => `${(100 * v).toFixed(1)} %`) {
  const largest = Math.max(...values.map(Math.abs), 1e-12);
  const whole = values.every((v) => v >= 0 && v <= 1) ? 1 : largest;
  return h(
    "ul",
    { class: "bars" },
    values.map((v, i) => {
      const bar = h("span", { class: i === marked ? "bar marked" : "bar" });
      bar.style.width = `${(100 * Math.abs(v)) / whole}%`;
      if (v < 0) bar.classList.add("below");
      return h("li", {}, h("span", { class: "name" }, names[i] ?? i), h("span", { class: "room" }, bar), h("span", { class: "value" }, text(v)));
    }),
  );
}
