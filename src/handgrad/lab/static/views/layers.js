// Layers of one's own: the file, what the checker says of it at each save, and a training with each.

import { events, get } from "../api.js";
import { button, field, fill, h, prose, select } from "../dom.js";
import { latest } from "../moments.js";
import { useLayers } from "./build.js";

const PLAIN = ["ReLU", "Tanh", "GELU", "Sigmoid", "LeakyReLU"]; // the library's, where the file has no right one

export async function show(place) {
  const files = h("div");
  const said = h("p", { class: "muted", role: "status" }, "Checking.");
  fill(place, h("div", { class: "bar-of-acts" }, h("h1", {}, "Your layer"), said), files);

  const load = latest(async () => {
    const found = (await get("layers")).files;
    const waiting = found.flatMap((f) => f.functions).filter((f) => f.verdict === "checking").length;
    said.textContent = waiting ? `Checking: ${waiting} to go.` : found.length ? "What you change is judged at every save." : "";
    const open = document.activeElement?.closest?.("section")?.dataset.file;
    const scrolled = [...files.querySelectorAll(".listing")].map((x) => [x.scrollTop, x.scrollLeft]);
    fill(files, found.length ? found.map(file) : help());
    files.querySelectorAll(".listing").forEach((x, i) => scrolled[i] && x.scrollTo(scrolled[i][1], scrolled[i][0]));
    if (open) files.querySelector(`[data-file="${CSS.escape(open)}"] pre`)?.focus({ preventScroll: true });
  });

  await load();
  const stream = events({}, { layers: () => load() });
  return { close: () => stream.close(), update: () => true };
}

function help() {
  return h("section", {},
    h("p", {}, "Point the lab at a file with pairs of your own, and it is judged whenever you save it:"),
    h("pre", { tabindex: "0" }, "handgrad lab --layers my_layers.py"),
    h("p", {}, "The file, for example:"),
    h("pre", { tabindex: "0" }, [
      "import numpy as np", "from handgrad import nn", "", "",
      "@nn.layer", "def swish(x):", "    s = 1 / (1 + np.exp(-x))", "    return x * s, (x, s)", "", "",
      "@swish.backward", "def swish_backward(dout, cache):", "    x, s = cache", "    return dout * (s + x * s * (1 - s))",
    ].join("\n")));
}

// Deep, and without Adam, which would hide a gradient of a wrong size.
const stack = (layer) => [...Array(6).fill(0).flatMap(() => [{ layer: "Affine", width: 32 }, { layer }]), { layer: "Affine", width: 10 }];
const SETTINGS = { epochs: 10, rule: "sgd_momentum", learning_rate: 0.02 };

function build(path, waiting = []) {
  useLayers(stack(path), "digits", SETTINGS, waiting);
  location.hash = "#/build";
}

// A wrong layer and a right one, trained at the same time in the same network: what the bug does to learning.
function pair(wrong, layers) {
  const right = [...layers.filter((l) => l.state === "right").map((l) => [l.path, l.name]), ...PLAIN.map((name) => [name, name])];
  const choice = select(right, right[0][0], () => {});
  return h("div", { class: "bar-of-acts" },
    h("span", {}, "See what the bug does to learning: train ", h("code", {}, wrong.name)), field("beside", choice),
    button("Train both", () => {
      const [path, name] = right.find(([value]) => value === choice.value);
      build(wrong.path, [[`${name}, right`, stack(path)], [`${wrong.name}, wrong`, stack(wrong.path)]]);
    }, { class: "strong" }));
}

function checkedIn(found) {
  if (found.problem || found.functions.some((f) => f.verdict === "checking")) return "";
  const all = found.again === found.groups;
  return found.again ? `${all ? "checked" : "what changed was checked"} in ${found.seconds} s` : "nothing changed that is judged";
}

function file(found) {
  const lines = found.source.split("\n");
  const marked = new Map(found.functions.filter((f) => f.verdict === "WRONG" && f.line).map((f) => [f.line, f]));
  return h(
    "section", { "data-file": found.file },
    h("div", { class: "bar-of-acts" }, h("h2", {}, found.file), h("span", { class: `state ${found.state}` }, found.state), h("span", { class: "small" }, checkedIn(found))),
    found.problem && h("p", { class: "bad" }, found.problem),
    h("ul", { class: "verdicts" }, found.functions.map((f) => {
      const state = f.verdict === "WRONG" ? "wrong" : ["right", "checking"].includes(f.verdict) ? f.verdict : "unknown";
      return h("li", { class: state },
        h("span", { class: `state ${state}` }, state), h("code", {}, f.name),
        f.verdict === "WRONG" && h("div", {}, h("strong", {}, prose(f.says)), f.line ? h("span", { class: "small" }, ` line ${f.line}`) : null, h("div", { class: "small" }, f.worst)),
        state === "unknown" && f.says && h("span", { class: "small" }, prose(f.says)));
    })),
    found.layers.length > 0 && h("div", { class: "bar-of-acts" }, h("span", { class: "muted" }, "Build with:"), found.layers.map((layer) =>
      button(layer.name, () => build(layer.path), { class: `own ${layer.state}` }))),
    found.layers.filter((layer) => layer.state === "wrong").map((layer) => pair(layer, found.layers)),
    !found.layers.length && !found.problem && h("p", { class: "muted" }, "The checker knows functions by the courses' names. To train a network with a pair of this file, mark it with @nn.layer."),
    h("pre", { class: "listing", tabindex: "0", "aria-label": `Source of ${found.file}` }, lines.map((line, i) => {
      const bug = marked.get(i + 1);
      return h("span", { class: bug ? "line bug" : "line" }, h("span", { class: "at", "aria-hidden": "true" }, String(i + 1).padStart(4)), ` ${line}\n`, bug && h("span", { class: "note" }, "     ", prose(bug.says), "\n"));
    })),
  );
}
