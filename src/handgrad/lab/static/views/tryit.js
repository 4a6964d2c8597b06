// Try the network on an input of one's own: drawn, dropped, typed, or a row of the fixed set.

import { look, upload } from "../api.js";
import { bars, picture } from "../charts.js";
import { button, field, fileButton, fill, h, number, toast } from "../dom.js";
import { Moments, latest } from "../moments.js";

const PEN = 16; // of 160 pixels

export async function part(run, place) {
  const moments = new Moments(run, () => ask());
  const input = h("section", { class: "left", "aria-label": "Input" });
  const output = h("section", { class: "right", "aria-live": "polite" }, h("p", { class: "muted" }, "Draw, drop or choose something."));
  let given = { row: 0 };
  const ask = latest(async () => {
    if (!moments.list.length) return;
    show(await look(run.id, "try", { weights: moments.chosen, given }));
  });
  const set = (next) => {
    given = next;
    return ask().catch((error) => toast(error.message, true));
  };
  fill(place, h("div", { class: "bar-of-acts" }, moments.element), h("div", { class: "two try" }, input, output));
  const rows = await look(run.id, "rows", { number: 24 });
  const isImage = rows.rows.length > 0 && rows.rows[0].picture !== null;
  fill(input, isImage ? [drawing(set), dropping(set)] : typing(rows, set), choosing(rows, set));
  await ask();

  function show(found) {
    const isClasses = found.task !== "regression";
    const [names, values] = [found.classes, found.outputs];
    const how = found.picture ? "of the picture" : "of the row";
    const map = (title, says, packed, kind) =>
      packed && h("figure", { class: "map" }, packed.shape.length === 2 ? picture(packed, kind, `${title} ${how}`) : null, h("figcaption", {}, h("strong", {}, title), h("span", { class: "small" }, says)));
    fill(
      output,
      h("h2", {}, isClasses ? `It says ${names[found.chosen]}` : `It says ${values.map((v) => number(v)).join(", ")}`),
      h("div", { class: "try-top" },
        isClasses && bars(names, values, found.chosen),
        found.picture && h("div", { class: "map-row" },
          h("figure", { class: "map" }, picture(found.picture, "gray", "what the network sees"), h("figcaption", {}, h("strong", {}, "What it sees"))),
          map("Gradient", "where a change of a pixel changes the score", found.gradient, "heat"),
          map("Smooth gradient", "the mean over 24 noisy copies", found.smooth, "heat"),
          map("Occlusion", "by how much the probability falls where it is covered", found.occlusion, "signed"))),
      found.features && [h("h3", {}, "Slope of the score by each number it sees"), bars(found.features.map((f) => f.name), found.features.map((f) => f.slope), -1, (v) => number(v, 3))],
      h("h3", {}, "Nearest training rows, by the last hidden layer"),
      h("div", { class: "map-row" }, found.neighbours.map((n) =>
        h("figure", { class: "map small-map" }, n.picture ? picture(n.picture, "gray", `a training row, ${n.target}`) : null, h("figcaption", {}, h("strong", {}, n.target), h("span", { class: "small" }, number(n.distance, 3)))))),
      h("h3", {}, "Units that fire most"),
      h("ul", { class: "units" }, found.units.map((u) => h("li", {}, h("a", { href: `#/run/${encodeURIComponent(run.id)}/network` }, u.label), u.units.map(([i, v]) => h("span", { class: "tag" }, `${i + 1}: ${number(v, 3)}`))))),
    );
  }

  return {
    changed(what) {
      if (what === "status" && moments.refresh() && moments.follows) ask().catch(() => {});
    },
    close: () => moments.close(),
  };
}

// A board to draw on with a pen, mouse or finger, and by the keyboard: arrows move, space draws.
function drawing(set) {
  const board = h("canvas", { width: 160, height: 160, class: "board", tabindex: "0", role: "img", "aria-label": "Drawing board; arrows move the pen, space draws, Delete clears" });
  const context = board.getContext("2d", { willReadFrequently: true });
  let last = null, pen = [80, 80], timer = null;
  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, 160, 160);
  };
  clear();
  const send = () => {
    clearTimeout(timer);
    timer = setTimeout(() => set(pixels(context)), 90);
  };
  const stroke = (x, y) => {
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(last ?? [x, y]));
    context.lineTo(x + 0.01, y);
    context.stroke();
    last = [x, y];
    send();
  };
  const at = (event) => [(event.offsetX * 160) / board.clientWidth, (event.offsetY * 160) / board.clientHeight];
  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    last = null;
    stroke(...at(event));
  });
  board.addEventListener("pointermove", (event) => event.buttons && stroke(...at(event)));
  board.addEventListener("pointerup", () => (last = null));
  board.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8], " ": [0, 0] }[event.key];
    if (event.key === "Delete") clear();
    else if (!by) return;
    else {
      pen = pen.map((v, i) => Math.min(Math.max(v + by[i], 4), 156));
      last = null;
      stroke(...pen);
    }
    event.preventDefault();
  });
  return h("div", {}, h("h2", {}, "Draw"), board, h("div", { class: "bar-of-acts" }, button("Clear", () => { clear(); send(); })));
}

function pixels(context) {
  const image = context.getImageData(0, 0, 160, 160).data;
  const values = [];
  // the mean of 4 x 4, so that little goes over the line
  for (let y = 0; y < 160; y += 4) {
    for (let x = 0; x < 160; x += 4) {
      let sum = 0;
      for (let i = 0; i < 16; i++) sum += image[4 * ((y + (i >> 2)) * 160 + x + (i & 3))];
      values.push(Math.round(sum / 16));
    }
  }
  return { pixels: values, channels: 1, height: 40, width: 40 };
}

function dropping(set) {
  const send = async (picked) => {
    try {
      if (picked.size > 8 << 20) throw new Error("a picture has at most 8 MB");
      await set(await upload("picture", picked));
    } catch (error) {
      toast(error.message, true);
    }
  };
  const zone = h("div", { class: "drop" }, fileButton("Open a picture", { accept: "image/*" }, ([picked]) => send(picked)), h("span", { class: "small" }, "or drop one here"));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  });
  return zone;
}

function typing(rows, set) {
  const names = rows.columns;
  if (!names.length) return h("p", { class: "muted" }, "Choose a row below.");
  const boxes = names.map((name) => [name, h("input", { type: "text", size: "10" })]);
  const go = () => set({ columns: Object.fromEntries(boxes.map(([name, box]) => [name, box.value === "" || Number.isNaN(Number(box.value)) ? box.value : Number(box.value)])) });
  return h("form", { class: "narrow", onsubmit: (event) => { event.preventDefault(); go(); } },
    h("h2", {}, "Type a row"), boxes.map(([name, box]) => field(name, box)), h("button", { class: "strong" }, "Ask"));
}

function choosing(rows, set) {
  return h("div", {}, h("h2", {}, "Or a row of the validation set"),
    h("div", { class: "thumbs" }, rows.rows.map((row, i) =>
      button(row.picture ? picture(row.picture, "gray") : String(i + 1), () => set({ row: i }), { class: "thumb-button", "aria-label": `Row ${i + 1}, ${row.target}`, title: row.target }))));
}
