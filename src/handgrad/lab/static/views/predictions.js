// What the network says of a fixed set of rows, through the moments of the training.

import { look } from "../api.js";
import { bars, color, css, picture } from "../charts.js";
import { fill, h, number, percent } from "../dom.js";
import { Moments, latest } from "../moments.js";

const SHOWN = 16;

export async function part(run, place) {
  const grid = h("div", { class: "cards" });
  const said = h("p", { role: "status" });
  const moments = new Moments(run, () => draw());
  const known = new Map(); // moment -> outputs
  fill(place, h("div", { class: "bar-of-acts" }, moments.element, said), grid);
  const rows = await look(run.id, "rows", { number: SHOWN });
  let targets = [], classes = [];

  const load = latest(async () => {
    const missing = moments.list.filter((m) => !known.has(m) || m === "live");
    if (!missing.length) return draw();
    const found = await look(run.id, "predictions", { moments: missing });
    [targets, classes] = [found.targets, found.classes];
    for (const moment of found.moments) known.set(moment.weights, moment.outputs);
    draw();
  });

  function draw() {
    const outputs = known.get(moments.chosen);
    if (!outputs) return;
    const isClasses = run.row.settings && classes.length > 0;
    let right = 0;
    fill(grid, rows.rows.slice(0, outputs.length).map((row, i) => {
      const values = outputs[i];
      const best = values.indexOf(Math.max(...values));
      const hit = isClasses && classes[best] === targets[i];
      right += hit;
      const shown = row.picture ? picture(row.picture, "gray", `row ${i + 1}, ${row.target}`) : h("span", { class: "small" }, (row.values ?? []).slice(0, 6).map((v) => number(v, 3)).join(", "));
      return h("article", { class: `card ${isClasses ? (hit ? "hit" : "miss") : ""}` },
        h("div", { class: "head" }, shown, h("div", {}, h("strong", {}, isClasses ? `says ${classes[best]}` : `says ${values.map((v) => number(v)).join(", ")}`),
          h("div", { class: "small" }, `is ${targets[i]}`))),
        isClasses && top(values), isClasses && through(i));
    }));
    said.textContent = isClasses ? `${right} of ${outputs.length} right` : "";
  }

  function top(values) {
    const order = values.map((v, i) => [v, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    return bars(order.map(([, i]) => classes[i]), order.map(([v]) => v));
  }

  // The probability of the true class, moment by moment.
  function through(i) {
    const at = classes.indexOf(targets[i]);
    const values = moments.list.map((m) => known.get(m)?.[i]?.[at] ?? null);
    const canvas = h("canvas", { width: 160, height: 34, class: "spark", role: "img" });
    canvas.setAttribute("aria-label", `Probability of ${targets[i]} through the training: from ${percent(values[0])} to ${percent(values.at(-1))}`);
    const context = canvas.getContext("2d");
    context.strokeStyle = color(0);
    context.lineWidth = 1.6;
    context.beginPath();
    values.forEach((v, j) => v !== null && context.lineTo((j / Math.max(values.length - 1, 1)) * 158 + 1, 32 - 30 * v));
    context.stroke();
    const j = moments.list.indexOf(moments.chosen);
    context.fillStyle = css("--warm");
    context.fillRect((j / Math.max(values.length - 1, 1)) * 158, 0, 2, 34);
    return canvas;
  }

  await load();
  let last = 0;
  return {
    changed(what) {
      if (what !== "status") return;
      const is_new = moments.refresh();
      if (is_new || (moments.list.includes("live") && Date.now() - last > 1500)) {
        last = Date.now();
        load().catch(() => {});
      }
    },
    close: () => moments.close(),
  };
}
