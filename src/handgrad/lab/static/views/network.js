// The network as a diagram; a layer's numbers, gradients, formula and source beside each other.

import { look } from "../api.js";
import { Lines, bars, cells, histogram, maps, picture, ridges, strip } from "../charts.js";
import { count, fill, h, number, percent, shape, svg } from "../dom.js";
import { Moments, latest, rowChooser } from "../moments.js";

const HEIGHT = 90; // of a layer in the diagram, in pixels

export async function part(run, place) {
  const state = { network: null, label: null, row: 0, rows: null, open: { formula: true }, through: null };
  const diagram = h("div", { class: "diagram" });
  const detail = h("div", { class: "detail", "aria-live": "off" }, h("p", { class: "muted" }, "Choose a layer."));
  const over = new Lines("Mean and deviation of its outputs, by epoch", { height: 160, x: "epoch" });
  const moments = new Moments(run, () => load());
  const chooser = h("span");
  const thumb = h("span", { class: "thumb" });
  fill(
    place,
    h("div", { class: "bar-of-acts" }, moments.element, chooser, thumb),
    h("div", { class: "two" }, h("section", { class: "left" }, diagram), h("section", { class: "right" }, detail)),
  );

  const load = latest(async () => {
    if (!moments.list.length) {
      fill(diagram, h("p", { class: "muted" }, "The first weights are not there yet."));
      return;
    }
    const weights = moments.chosen;
    state.network = await look(run.id, "network", { weights, row: state.row });
    draw();
    if (state.label === null) state.label = firstOf(state.network);
    await inside();
  });

  const inside = latest(async () => {
    if (!state.label || !moments.list.length) return;
    const given = { weights: moments.chosen, label: state.label, row: state.row };
    const found = await look(run.id, "layer", given);
    draw();
    show(found);
  });

  function draw() {
    const { network } = state;
    const places = new Map([["input", 0], ...network.layers.map((layer, i) => [layer.label, i + 1])]);
    const scale = Math.max(...network.layers.map((l) => l.slope ?? 0), 1e-30);
    const focused = diagram.contains(document.activeElement);
    const top = h("div", { class: "layer input" }, h("strong", {}, "input"), h("span", { class: "small" }, shape(network.input_shape)), glimpse(network.input, "gray"));
    const boxes = network.layers.map((layer, i) => box(layer, i, scale));
    const arcs = network.layers.flatMap((layer, i) =>
      layer.inputs.filter((name) => (places.get(name) ?? 0) !== i).map((name) => [places.get(name) ?? 0, i + 1]));
    const picture = svg("svg", { class: "arcs", "aria-hidden": "true", width: 34, height: (network.layers.length + 1) * HEIGHT },
      arcs.map(([from, to]) => {
        const [a, b] = [(from + 0.5) * HEIGHT, (to + 0.5) * HEIGHT];
        return svg("path", { d: `M34 ${a} C 4 ${a}, 4 ${b}, 34 ${b}` });
      }));
    fill(diagram, arcs.length ? picture : null, h("div", { class: "stack" }, top, h("div", { role: "listbox", "aria-label": "Layers" }, boxes)),
      says(network),
      h("p", { class: "small total" }, `${network.name}: ${count(network.params)} parameters`));
    if (focused) diagram.querySelector(`[data-label="${CSS.escape(state.label)}"]`)?.focus({ preventScroll: true });
  }

  // The three most probable classes below the last layer.
  function says(network) {
    if (!network.classes.length || !network.outputs) return null;
    const order = network.outputs.map((v, i) => [v, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    return h("div", { class: "total says" }, bars(order.map(([, i]) => network.classes[i]), order.map(([v]) => v), 0));
  }

  function glimpse(packed, how = "signed") {
    if (packed.shape.length < 3) return h("span", { class: "glimpse", "aria-hidden": "true" }, cells(packed));
    const one = how === "gray" && packed.shape[0] === 3 ? [picture(packed, "gray")] : [...maps(packed, "", how).children];
    return h("span", { class: "glimpse", "aria-hidden": "true" }, one);
  }

  function box(layer, i, scale) {
    const chosen = layer.label === state.label;
    const health = layer.warnings.length ? h("span", { class: "sign", title: layer.warnings.join("; ") }, "⚠", h("span", { class: "unseen" }, `warning: ${layer.warnings.join("; ")}`)) : null;
    const meter = h("span", { class: "meter", title: "mean size of the gradient of its output, on a scale of tens" });
    const size = layer.slope ? Math.max(1 + Math.log10(layer.slope / scale) / 6, 0.03) : 0;
    meter.style.width = `${100 * size}%`;
    return h(
      "div", {
        class: `layer ${layer.own ? "own" : ""} kind-${layer.kind}`, role: "option", "aria-selected": String(chosen), tabindex: chosen || (!state.label && i === 0) ? "0" : "-1",
        "data-label": layer.label, onclick: () => choose(layer.label),
        onkeydown: (event) => keys(event, i),
      },
      h("strong", {}, layer.label), health, h("span", { class: "small" }, shape(layer.shape)),
      h("span", { class: "small text" }, layer.text), h("span", { class: "small" }, layer.params ? count(layer.params) : "", layer.params ? h("span", { class: "unseen" }, " parameters") : null),
      glimpse(layer.shown),
      h("span", { class: "flow" }, meter),
    );
  }

  function keys(event, i) {
    const layers = state.network.layers;
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: layers.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(layers[i].label);
    else if (to === undefined || !layers[to]) return;
    else {
      choose(layers[to].label);
      diagram.querySelector(`[data-label="${CSS.escape(layers[to].label)}"]`)?.focus();
    }
    event.preventDefault();
  }

  function choose(label) {
    state.label = label;
    draw();
    inside();
  }

  function show(found) {
    const layer = state.network.layers.find((l) => l.label === found.label);
    const values = (one, name, how) =>
      one.values ? strip(one.values, name, how) : one.shape.length === 3 ? maps(one, name, how) : picture(one, how, name);
    const keep = (name, title, ...children) =>
      h("details", { open: state.open[name], ontoggle: (e) => { state.open[name] = e.target.open; if (name === "through" && e.target.open) history(found.label); } }, h("summary", {}, title), children);
    fill(
      detail,
      h("div", { class: "bar-of-acts" }, h("h2", {}, found.label), h("code", {}, layer?.text ?? ""), h("span", { class: "small" }, found.step === null ? "" : `step ${found.step}`)),
      found.warnings.map((text) => h("p", { class: "warn", role: "note" }, `⚠ ${text}`)),
      h("div", { class: "flows" },
        found.inputs.map((one, i) => h("div", {}, h("h3", {}, `${found.inputs.length > 1 ? `In ${i + 1}` : "In"} · ${shape(one.whole)}`), values(one, "its input", "signed"))),
        h("div", {}, h("h3", {}, `Out · ${shape(found.output.whole)}`), values(found.output, "its output", "signed")),
        found.gradient && h("div", {}, h("h3", {}, "Gradient of the loss by its output"), values(found.gradient, "the gradient", "signed"))),
      h("div", { class: "flows" },
        h("div", {}, h("h3", {}, "Outputs on 200 rows"), histogram(found.histogram, "its outputs"),
          h("p", { class: "small" }, `mean ${number(found.mean)}, deviation ${number(found.std)}, ${percent(found.zeros)} zeros, ${percent(found.dead)} dead units`)),
        h("div", {}, h("h3", {}, "How often each unit is above 0"), strip(found.units.fires, "shares of rows", "heat"))),
      epochs(found.label),
      keep("through", "Through the training: histograms and dead units", through(found.label)),
      found.params.map((p) => h("div", { class: "parameter" },
        h("h3", {}, `${p.name} · ${shape(p.shape)}`),
        h("div", { class: "flows" },
          h("div", { class: "wide" }, p.shape.length === 4 ? maps(p.maps, "filter", p.maps.shape[1] === 3 ? "gray" : "signed") : p.shape.length === 2 ? picture(p.maps, "signed", `the weights ${p.name}`) : null),
          h("div", {}, h("span", { class: "small block" }, `weights, norm ${number(p.histogram.norm)}`), histogram(p.histogram, `the weights ${p.name}`, "--c2")),
          p.gradient && h("div", {}, h("span", { class: "small block" }, `gradient, norm ${number(p.gradient.norm)}`), histogram(p.gradient, `the gradient of ${p.name}`, "--c4"))))),
      keep("formula", `${found.pair}: the formula`, h("pre", { tabindex: "0" }, found.formula)),
      keep("source", `Its source: ${found.file}`, h("div", { class: "sources" },
        h("div", {}, h("h3", {}, "forward"), h("pre", { tabindex: "0" }, found.forward)),
        h("div", {}, h("h3", {}, "backward"), h("pre", { tabindex: "0" }, found.backward)))),
    );
  }

  const past = h("div", { class: "flows past" });

  // Asked for when it is opened, and again where there are more moments.
  function through(label) {
    if (state.through?.label !== label) fill(past, h("p", { class: "muted" }, "Reading the moments."));
    if (state.open.through) history(label);
    return past;
  }

  const history = latest(async (label) => {
    const names = moments.list.filter((name) => name !== "live");
    const key = `${label} ${names.length} ${names.at(-1)}`;
    if (state.through?.label === label && Date.now() - state.through.asked < 6000) return;
    if (state.through?.key === key || names.length < 2) {
      if (names.length < 2) fill(past, h("p", { class: "muted" }, "There are too few moments yet."));
      return;
    }
    const found = await look(run.id, "through", { moments: names.slice(-64), label });
    state.through = { key, label, asked: Date.now() };
    const inks = ["--c1", "--c2", "--c4"];
    fill(past,
      found.spreads.map((spread) => h("figure", { class: "past-one" }, h("figcaption", {}, spread.name),
        ridges(spread, spread.name, found.steps, inks[spread.name === "outputs" ? 0 : spread.name.startsWith("gradient") ? 2 : 1]))),
      h("figure", { class: "past-one" }, h("figcaption", {}, "Dead units"), dying(found)));
  });

  function dying(found) {
    const list = found.dead.map((v, i) => [found.steps[i] === null ? "the end" : `step ${found.steps[i]}`, v]);
    const few = list.filter((_, i) => i % Math.ceil(list.length / 6) === 0 || i === list.length - 1);
    return h("div", { class: "dying" }, bars(few.map(([name]) => name), few.map(([, v]) => v)),
      h("p", { class: "small" }, "Units, or channels, that are 0 for every one of 64 rows."));
  }

  function epochs(label) {
    const records = (run.history?.layers ?? []).filter((r) => r.layers?.[label]);
    if (records.length < 2) return null;
    const of = (key) => records.map((r) => r.layers[label][key]);
    over.set(records.map((r) => r.epoch), [{ label: "mean", mean: of("mean") }, { label: "deviation", mean: of("std") }, { label: "dead units", mean: of("dead"), color: 5 }]);
    return over.element;
  }

  async function rows() {
    state.rows = await look(run.id, "rows", { number: 32 });
    const thumbnail = () => {
      const row = state.rows.rows[state.row];
      fill(thumb, row.picture ? picture(row.picture, "gray", `the row, ${row.target}`) : null, h("span", { class: "small" }, row.target));
    };
    fill(chooser, rowChooser(state.rows.rows.length, 0, (i) => {
      state.row = i;
      thumbnail();
      load();
    }));
    thumbnail();
  }

  rows().catch(() => {});
  load();
  let last = 0;
  return {
    changed(what) {
      if (what !== "status") return;
      const is_new = moments.refresh();
      const live = moments.chosen === "live" && Date.now() - last > 900;
      if (is_new || live) {
        last = Date.now();
        load().catch(() => {});
      }
    },
    close() {
      moments.close();
      over.close();
    },
  };
}

function firstOf(network) {
  return (network.layers.find((l) => l.params) ?? network.layers[0])?.label ?? null;
}

