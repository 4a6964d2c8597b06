// Layers of one's own: the file, what the checker says of it at each save, and a training with each.

import { events, get } from "../api.js";
import { button, fill, h } from "../dom.js";
import { useLayers } from "./build.js";

export async function show(place) {
  const files = h("div");
  const said = h("p", { class: "muted", role: "status" }, "Checking.");
  fill(place, h("div", { class: "bar-of-acts" }, h("h1", {}, "Your layer"), said), files);

  async function load() {
    said.textContent = "Checking.";
    const found = (await get("layers")).files;
    said.textContent = found.length ? "Judged anew at every save." : "";
    fill(files, found.length ? found.map(file) : help());
  }

  await load();
  let first = true;
  const stream = events({}, { changed: () => (first ? (first = false) : load()) });
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

function file(found) {
  const lines = found.source.split("\n");
  const marked = new Map(found.functions.filter((f) => f.verdict === "WRONG" && f.line).map((f) => [f.line, f]));
  return h(
    "section", {},
    h("div", { class: "bar-of-acts" }, h("h2", {}, found.file), h("span", { class: `state ${found.state}` }, found.state), h("span", { class: "small" }, `checked in ${found.seconds} s`)),
    found.problem && h("p", { class: "bad" }, found.problem),
    h("ul", { class: "verdicts" }, found.functions.map((f) => {
      const state = f.verdict === "WRONG" ? "wrong" : f.verdict === "right" ? "right" : "unknown";
      return h("li", { class: state },
        h("span", { class: `state ${state}` }, state), h("code", {}, f.name),
        f.verdict === "WRONG" && h("div", {}, h("strong", {}, f.says), f.line ? h("span", { class: "small" }, ` line ${f.line}`) : null, h("div", { class: "small" }, f.worst)),
        f.verdict !== "WRONG" && f.verdict !== "right" && f.says && h("span", { class: "small" }, f.says));
    })),
    found.layers.length > 0 && h("div", { class: "bar-of-acts" }, h("span", { class: "muted" }, "Train a network with:"), found.layers.map((layer) =>
      button(layer.name, () => {
        useLayers([{ layer: "Affine", width: 64 }, { layer: layer.path }, { layer: "Affine", width: 10 }], "digits", { epochs: 10 });
        location.hash = "#/build";
      }, { class: `own ${layer.state}` })), h("span", { class: "small" }, "Train a wrong one beside the right one, and see what the bug does to learning.")),
    !found.layers.length && !found.problem && h("p", { class: "muted" }, "The checker knows functions by the courses' names. To train a network with a pair of this file, mark it with @nn.layer."),
    h("pre", { class: "listing", tabindex: "0", "aria-label": `Source of ${found.file}` }, lines.map((line, i) => {
      const bug = marked.get(i + 1);
      return h("span", { class: bug ? "line bug" : "line" }, h("span", { class: "at", "aria-hidden": "true" }, String(i + 1).padStart(4)), ` ${line}\n`, bug && h("span", { class: "note" }, `     ${bug.says}\n`));
    })),
  );
}
