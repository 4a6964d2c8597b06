// Build a network: data, a stack of layers with their shapes checked at once, training, and its code.

import { events, get, post, upload } from "../api.js";
import { Lines } from "../charts.js";
import { chosen, dropped, firstStack, sendPictures, shapeOf } from "../data_files.js";
import { button, count, field, fileButton, fill, h, prose, select, shape, toast } from "../dom.js";
import { latest } from "../moments.js";
import { Points } from "../points.js";
import { Following } from "./following.js";

const STACKS = {
  digits: [["Conv2d", { num_filters: 16, filter_size: 3, pad: 1 }], ["ReLU"], ["MaxPool"], ["Affine", { width: 10 }]],
  shapes: [["Conv2d", { num_filters: 16, filter_size: 3, pad: 1 }], ["BatchNorm"], ["ReLU"], ["MaxPool"], ["Conv2d", { num_filters: 32, filter_size: 3, pad: 1 }], ["ReLU"], ["MaxPool"], ["Affine", { width: 10 }]],
  points: [["Affine", { width: 8 }], ["Tanh"], ["Affine", { width: 8 }], ["Tanh"], ["Affine", { width: 2 }]],
};
const LEVELS = [["sequential", "Sequential"], ["model", "Model"], ["functions", "Functions"], ["configuration", "config.toml"]];
const kept = {
  data: "digits", target: "", layers: stack("digits"), level: "sequential", last: null, now: null, columns: [], waiting: [], titles: {},
  settings: { learning_rate: 0.003, epochs: 10, batch_size: 50, rule: "adam", reg: 0, seed: 0, schedule: "" }, points: null,
};

function stack(name) {
  return STACKS[name].map(([layer, options = {}]) => ({ layer, ...options }));
}

export async function show(place) {
  const known = await get("building");
  let checked = null;
  const list = h("ol", { class: "stack-list" });
  const layersToAdd = h("div");
  const said = h("p", { role: "status" });
  const code = h("div", { class: "code" });
  const chosenData = h("div");
  const told = h("span", { class: "small good", role: "status" });
  const results = h("section", { class: "results" });
  const charts = [new Lines("Loss", { height: 180, sync: "build" }), new Lines("Validation accuracy", { height: 180, sync: "build", percent: true })];
  const points = new Points(kept, () => check(), () => kept.now);
  const following = new Following(kept, results, charts, points);
  let grabbed = null;

  // -- data ---------------------------------------------------------------------------------------------

  function data() {
    const names = [...known.data.filter((n) => !n.startsWith("points-")).map((n) => [n, n]), ["points", "points in the plane"]];
    fill(
      chosenData,
      h("div", { class: "bar-of-acts" },
        field("Data", select(names, kept.data, (name) => take(name))),
        kept.columns.length > 0 && field("Predict", select(kept.columns, kept.target, (v) => { kept.target = v; fit(); })),
        h("span", { class: "muted" }, "or your own:"),
        fileButton("Open a table (CSV)", { accept: ".csv,text/csv" }, ([picked]) => table(picked)),
        fileButton("Open a folder of pictures", { webkitdirectory: true, multiple: true }, (files) => pictures(chosen(files), files[0].webkitRelativePath.split("/")[0])),
        h("span", { class: "small hint" }, "A folder has a folder for each class. You can drop either here."), told),
      kept.data === "points" && points.element,
    );
    if (kept.data === "points") points.draw();
  }

  function take(name, columns = []) {
    Object.assign(kept, { data: name, columns, target: columns.at(-1) ?? "" });
    kept.title = "";
    kept.last = kept.now = null; // tries on other data are not compared
    following.close();
    fill(results);
    told.textContent = "";
    if (name === "points") Object.assign(kept.settings, { epochs: 60, batch_size: 20, learning_rate: 0.01 });
    if (STACKS[name]) kept.layers = stack(name);
    data();
    options();
    return STACKS[name] ? check() : fit();
  }

  // Layers to begin with, for data that are new.
  async function fit() {
    try {
      kept.layers = firstStack(await shapeOf(kept.data, kept.target));
    } catch (error) {
      toast(error.message, true);
    }
    return check();
  }

  async function table(picked) {
    try {
      const found = await upload("table", picked);
      known.data.push(found.data);
      await take(found.data, found.columns);
      kept.title = picked.name.replace(/\.[^.]*$/, "");
      told.textContent = `${picked.name}: ${found.columns.length} columns.`;
    } catch (error) {
      toast(error.message, true);
    }
  }

  async function pictures(files, title = "") {
    try {
      const name = await sendPictures(files, title, (text) => (told.textContent = text));
      const text = told.textContent;
      known.data.push(name);
      await take(name);
      kept.title = name.replace(/-\d{8}-\d{6}.*$/, "");
      told.textContent = text;
    } catch (error) {
      told.textContent = "";
      toast(error.message, true);
    }
  }

  const zone = h("section", {}, h("h2", {}, "Data"), chosenData);
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    const files = await dropped(event.dataTransfer);
    if (files.length === 1 && !/\.(png|jpe?g|gif|bmp|webp)$/i.test(files[0][0])) table(files[0][1]);
    else if (files.length) pictures(files);
  });

  // -- layers -------------------------------------------------------------------------------------------

  const optionsOf = (name) => known.palette.find((p) => p.layer === name)?.options ?? [];

  function palette() {
    const add = (layer) => () => {
      const needed = Object.fromEntries(optionsOf(layer).filter((o) => o.needed).map((o) => [o.name, o.default]));
      const last = kept.layers.length - 1;
      const at = kept.layers[last]?.layer === "Affine" ? last : kept.layers.length; // before the scores
      kept.layers.splice(at, 0, { layer, ...needed });
      check(at);
    };
    const own = known.own.map((o) => button(o.name, add(o.path), { class: `own ${o.state}`, draggable: "true", title: `${o.path}: ${o.state}`, "aria-label": `${o.name}, ${o.state}`, "data-layer": o.path }));
    const given = known.palette.map((p) => button(p.layer, add(p.layer), { draggable: "true", title: p.says, "data-layer": p.layer }));
    const element = h("div", { class: "palette", role: "group", "aria-label": "Layers to add" }, own, given, h("span", { class: "small" }, "Press or drag to add."));
    element.addEventListener("dragstart", (event) => {
      const layer = event.target.dataset.layer;
      grabbed = { layer, ...Object.fromEntries(optionsOf(layer).filter((o) => o.needed).map((o) => [o.name, o.default])) };
      event.dataTransfer.effectAllowed = "copy";
      event.dataTransfer.setData("text/plain", layer);
    });
    fill(layersToAdd, element);
  }

  // A layer of one's own is green, red with what is wrong, or grey: as the checker says at every save.
  const judged = events({}, { layers: latest(async () => {
    known.own = (await get("building")).own;
    palette();
    for (const item of list.querySelectorAll("[data-at]")) ofOwn(item, kept.layers[item.dataset.at]?.layer);
  }) });

  function ofOwn(item, path) {
    const own = known.own.find((o) => o.path === path);
    if (!own) return;
    const isAgain = kept.layers.findIndex((l) => l.layer === path) < Number(item.dataset.at); // said once
    const fits = !item.querySelector(":scope > .bad");
    item.classList.remove("right", "unknown", "checking", ...(fits ? ["wrong"] : []));
    item.classList.add("own", own.state);
    fill(item.querySelector(".verdict"), h("span", { class: `state ${own.state}` }, own.state), own.says && !isAgain && h("span", { class: "bad" }, prose(own.says)));
  }

  function rows(focus = null) {
    fill(list, h("li", { class: "end" }, "input ", h("span", { class: "small" }, shape(checked?.input))), kept.layers.map(row));
    if (focus !== null) list.querySelector(`[data-at="${focus}"]`)?.focus();
  }

  function row(layer, at) {
    const found = checked?.layers?.[at] ?? {};
    const inputs = optionsOf(layer.layer).map((o) => {
      const value = layer[o.name] ?? o.default;
      const isFlag = typeof o.default === "boolean";
      const box = h("input", isFlag ? { type: "checkbox", checked: value } : { type: "number", step: "any", value });
      box.addEventListener("change", () => {
        layer[o.name] = isFlag ? box.checked : Number(box.value);
        if (!o.needed && layer[o.name] === o.default) delete layer[o.name];
        check();
      });
      return field(o.name, box, { class: "field option" });
    });
    const shown = inputs.length > 3 ? optionsOf(layer.layer).filter((o) => o.needed).length : 3;
    const needed = inputs.slice(0, shown);
    const name = layer.layer.split(":").at(-1);
    const item = h(
      "li", { class: found.error ? "wrong" : "", draggable: "true", tabindex: "0", "data-at": at, "aria-label": `Layer ${at + 1}, ${name}, output ${shape(found.shape)}. Alt and arrows move it, Delete removes it` },
      h("div", { class: "bar-of-acts" },
        h("strong", {}, name), needed,
        inputs.length > shown && h("details", {}, h("summary", {}, "more"), inputs.slice(shown)),
        h("span", { class: "spring" }),
        h("span", { class: "small" }, found.shape ? `${shape(found.shape)}${found.params ? ` · ${count(found.params)}` : ""}` : ""),
        button("↑", () => move(at, -1), { class: "quiet", "aria-label": `Move ${name} up` }),
        button("↓", () => move(at, 1), { class: "quiet", "aria-label": `Move ${name} down` }),
        button("×", () => remove(at), { class: "quiet", "aria-label": `Remove ${name}` })),
      h("div", { class: "verdict" }),
      found.error && h("p", { class: "bad" }, found.error),
    );
    ofOwn(item, layer.layer);
    item.addEventListener("keydown", (event) => {
      if (event.target !== item) return;
      if (event.altKey && event.key === "ArrowUp") move(at, -1);
      else if (event.altKey && event.key === "ArrowDown") move(at, 1);
      else if (event.key === "Delete") remove(at);
      else return;
      event.preventDefault();
    });
    item.addEventListener("dragstart", (event) => {
      grabbed = at;
      event.dataTransfer.setData("text/plain", name);
    });
    item.addEventListener("dragover", (event) => {
      event.preventDefault();
      item.classList.add("over");
    });
    item.addEventListener("dragleave", () => item.classList.remove("over"));
    item.addEventListener("drop", (event) => {
      event.preventDefault();
      dropped(at);
    });
    return item;
  }

  function dropped(at) {
    if (grabbed === null) return;
    const layer = typeof grabbed === "number" ? kept.layers.splice(grabbed, 1)[0] : grabbed;
    kept.layers.splice(at, 0, layer);
    grabbed = null;
    check(at);
  }

  function move(at, by) {
    const to = at + by;
    if (to < 0 || to >= kept.layers.length) return;
    [kept.layers[at], kept.layers[to]] = [kept.layers[to], kept.layers[at]];
    check(to);
  }

  function remove(at) {
    kept.layers.splice(at, 1);
    check(Math.min(at, kept.layers.length - 1));
  }

  list.addEventListener("dragover", (event) => event.preventDefault());
  list.addEventListener("drop", (event) => event.target === list && dropped(kept.layers.length));

  // -- checking -----------------------------------------------------------------------------------------

  async function network() {
    let data = kept.data;
    if (data === "points") {
      kept.uploaded ??= (await post("points", { points: kept.points })).data;
      data = kept.uploaded;
    }
    const settings = { ...kept.settings, name: (kept.data === "points" ? "points" : kept.title || data).slice(0, 40) };
    return { data, layers: kept.layers, settings, target: kept.data === "points" ? "label" : kept.target };
  }

  const ask = latest(async (focus) => {
    try {
      checked = await post("check", await network());
      said.className = checked.error ? "bad" : "good";
      said.textContent = checked.error ?? `Fits the data. ${count(checked.total)} parameters.`;
    } catch (error) {
      said.className = "bad";
      said.textContent = error.message;
    }
    train.disabled = !checked || checked.error !== null;
    rows(focus);
    codes();
  });

  function check(focus = null) {
    rows(focus);
    return ask(focus);
  }

  function codes() {
    const copy = button("Copy", async () => {
      await navigator.clipboard.writeText(checked.code[kept.level]);
      toast("Copied.");
    });
    const tabs = h("div", { class: "tabs", role: "group", "aria-label": "The same network at three levels" }, LEVELS.map(([key, title]) =>
      h("button", { type: "button", "aria-pressed": String(key === kept.level), "aria-selected": null, class: key === kept.level ? "on" : "", onclick: () => { kept.level = key; codes(); } }, title)), checked?.code && copy);
    fill(code, tabs, h("pre", { tabindex: "0", "aria-label": "Code of the network" }, checked?.code?.[kept.level] ?? "The code appears once the shapes fit."));
  }

  // -- training -----------------------------------------------------------------------------------------

  const box = (name, options = {}) => {
    const made = h("input", { type: "number", step: "any", min: "0", value: kept.settings[name], ...options });
    made.addEventListener("change", () => { kept.settings[name] = Number(made.value); check(); });
    return made;
  };
  const train = button("Train", async () => {
    try {
      train.disabled = true;
      await start();
      follow();
    } catch (error) {
      toast(error.message, true);
    } finally {
      train.disabled = false;
    }
  }, { class: "strong" });

  async function start() {
    const made = await post("train", await network());
    Object.assign(kept, { last: kept.now, now: made.id });
    kept.titles[made.id] = kept.name ?? "";
  }

  const trainer = h("div", { class: "bar-of-acts trainer" });
  function options() {
    fill(trainer,
        field("Rule", select(known.rules, kept.settings.rule, (v) => { kept.settings.rule = v; check(); })),
        field("Learning rate", box("learning_rate")), field("Epochs", box("epochs", { step: 1, min: 1 })),
        field("Batch", box("batch_size", { step: 1, min: 1 })), field("reg", box("reg")), field("Seed", box("seed", { step: 1 })),
        field("Schedule", select([["", "constant"], ["cosine", "cosine"]], kept.settings.schedule, (v) => { kept.settings.schedule = v; check(); })),
        train);
  }

  const follow = () => following.follow();

  // Two networks that differ in a layer, trained at the same time.
  async function pair() {
    kept.last = kept.now = null;
    for (const [name, layers] of kept.waiting.splice(0)) {
      Object.assign(kept, { name, layers });
      await start();
    }
    kept.name = undefined;
    await check();
    results.scrollIntoView({ block: "start" });
  }

  fill(
    place,
    h("h1", {}, "Build a network"),
    zone,
    h("div", { class: "two build" },
      h("section", {}, h("h2", {}, "Layers"), layersToAdd, list, said),
      h("section", {}, h("h2", {}, "The same as code"), code)),
    h("section", {}, h("h2", {}, "Train"), trainer),
    results,
  );
  data();
  options();
  palette();
  await check();
  if (kept.waiting.length) await pair().catch((error) => toast(error.message, true));
  if (kept.now) follow();
  return {
    close() {
      following.close();
      judged.close();
      charts.forEach((c) => c.close());
      points.close();
    },
    update: () => true,
  };
}

// Show these layers; `waiting`, [name, layers] twice, are trained at once.
export function useLayers(layers, data = "digits", settings = {}, waiting = []) {
  Object.assign(kept, { data, layers, waiting, target: "", columns: [] });
  Object.assign(kept.settings, settings);
}
