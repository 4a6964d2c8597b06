// The curves of a run: loss, accuracy, learning rate, norm of the gradient, speed; and what was said and done.

import { get } from "../api.js";
import { Lines } from "../charts.js";
import { eachFrame, field, fill, h, number } from "../dom.js";

export function curves(run, place) {
  let range = {};
  let detail = null; // curves of a part that was zoomed into
  const onzoom = async (first, last) => {
    range = first === null ? {} : { from: first, to: last };
    detail = first === null ? null : (await get("curves", { id: run.id, points: 1200, ...range }))[run.id];
    for (const chart of Object.values(charts)) chart.zoomed = first !== null;
    draw();
  };
  const with_ = { sync: "run", onzoom };
  const charts = {
    loss: new Lines("Loss", { ...with_, log: false }),
    accuracy: new Lines("Accuracy", { ...with_, percent: true }),
    rate: new Lines("Learning rate", with_),
    norm: new Lines("Norm of the gradient", with_),
    speed: new Lines("Images per second", with_),
  };
  charts.loss.element.classList.add("wide-chart");
  const log = h("input", { type: "checkbox", onchange: () => {
    charts.loss.options.log = log.checked;
    draw();
  } });
  const notes = h("ol", { class: "events" });
  const empty = h("p", { class: "muted" }, "Nothing was told yet.");
  fill(
    place,
    h("div", { class: "bar-of-acts" }, field("Loss on a scale of tens", log), h("span", { class: "spring" }),
      h("span", { class: "muted small hint" }, "Drag over a chart to look closer; press twice for the whole.")),
    empty,
    h("div", { class: "charts" }, Object.values(charts).map((c) => c.element)),
    h("section", {}, h("h2", {}, "What happened"), notes),
  );

  const draw = eachFrame(() => {
    const found = detail ?? run.history;
    if (!found) return;
    empty.hidden = found.count > 0 && found.whole !== false;
    empty.textContent = found.count ? `Reading a long history: ${found.count.toLocaleString("en")} steps so far.` : "Nothing was told yet.";
    const { steps, feed } = found;
    const inRange = found.epochs.filter((e) => range.from === undefined || (e.iteration >= range.from && e.iteration <= range.to));
    const [loss, epochs] = [steps.loss, inRange];
    charts.loss.set(...joined(steps.x, { label: "training, a step", mean: loss[2], least: loss[0], largest: loss[1] },
      epochs.map((e) => e.iteration), { label: "validation", mean: epochs.map((e) => e.val_loss ?? null), color: 1 }));
    const hasAccuracy = epochs.some((e) => e.train_acc !== undefined);
    const [a, b] = hasAccuracy ? ["train_acc", "val_acc"] : ["train_metric", "val_metric"];
    const title = hasAccuracy ? "Accuracy" : `Metric: ${epochs[0]?.metric ?? ""}`;
    charts.accuracy.title = title;
    charts.accuracy.options.percent = hasAccuracy;
    charts.accuracy.caption.textContent = title;
    charts.accuracy.set(epochs.map((e) => e.iteration), [
      { label: "training", mean: epochs.map((e) => e[a] ?? null) },
      { label: "validation", mean: epochs.map((e) => e[b] ?? null) },
    ]);
    charts.rate.set(steps.x, [{ label: "learning rate", mean: steps.learning_rate[2], color: 2 }]);
    const fed = feed.x.length > 0;
    const norm = fed ? feed.gradient_norm : steps.clipped_norm;
    charts.norm.set(fed ? feed.x : steps.x, [{ label: "norm", mean: norm[2], least: norm[0], largest: norm[1], color: 3 }]);
    charts.norm.element.hidden = !norm[2].some((v) => v !== null);
    const speed = fed ? [feed.x, feed.images_per_second[2]] : [epochs.map((e) => e.iteration), epochs.map((e) => e.images_per_second)];
    charts.speed.set(speed[0], [{ label: "images/s", mean: speed[1], color: 4 }]);
    fill(notes, events(found).map(([step, text, kind]) =>
      h("li", { class: kind }, h("span", { class: "step" }, step === null ? "" : `step ${step}`), text)));
    if (!notes.children.length) fill(notes, h("li", {}, "Nothing but steps."));
  });

  draw();
  return {
    changed: (what) => what === "curves" && !detail && draw(),
    close: () => Object.values(charts).forEach((c) => c.close()),
  };
}

function joined(x, first, x2, second) {
  const all = [...new Set([...x, ...x2])].sort((p, q) => p - q);
  const place = new Map(all.map((step, i) => [step, i]));
  const spread = (steps, values) => {
    const found = new Array(all.length).fill(null);
    steps.forEach((step, i) => (found[place.get(step)] = values[i]));
    return found;
  };
  const wide = { ...first, mean: spread(x, first.mean), least: spread(x, first.least), largest: spread(x, first.largest) };
  return [all, [wide, { ...second, mean: spread(x2, second.mean) }]];
}

function events(found) {
  const list = [];
  if (found.start?.date) {
    const { cpu, engine, threads } = found.start;
    list.push([0, `began ${found.start.date} on ${cpu}, engine ${engine}, ${threads} threads`, ""]);
  }
  for (const r of found.others) {
    if (r.kind === "warning") list.push([r.iteration, r.text, "warning"]);
    if (r.kind === "steer") list.push([r.iteration, `the learning rate was multiplied by ${number(r.rate)}`, "act"]);
    if (r.kind === "fork") list.push([r.iteration, `forked from ${r.of}`, "act"]);
    if (r.kind === "resume") list.push([r.iteration, `went on ${r.date}`, ""]);
  }
  if (found.end) list.push([null, `ended: ${found.end.reason}`, ""]);
  return list;
}
