// The view in a cell of a notebook; uPlot stands before this text.

const INKS = ["#5a4fe0", "#e0611a"];

function make(tag, className, text = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== "") element.textContent = text;
  element.append(...children);
  return element;
}

const short = (v) => (typeof v === "number" ? (Math.abs(v) >= 1000 ? v.toLocaleString("en") : String(Number(v.toPrecision(4)))) : "–");
const percent = (v) => `${(100 * v).toFixed(1)} %`;

function chart(title, isShare) {
  const head = make("h4", "", title);
  const place = make("div", "plot");
  const element = make("div", "card", "", head, place);
  let plot = null;
  const text = (v) => (v === null || v === undefined ? "–" : isShare() ? percent(v) : short(v));
  new ResizeObserver(() => plot && element.clientWidth && plot.setSize({ width: element.clientWidth - 24, height: 170 })).observe(element);
  return {
    element, head,
    draw(x, series) {
      const data = [x, ...series.map((s) => s.values)];
      if (plot) {
        plot.setData(data);
        return;
      }
      if (!x.length) return;
      const axis = { stroke: "currentColor", grid: { stroke: "#8883", width: 1 }, ticks: { show: false }, font: "11px system-ui" };
      plot = new uPlot({
        width: Math.max(element.clientWidth - 24, 240), height: 170,
        scales: { x: { time: false } },
        axes: [{ ...axis, size: 28 }, { ...axis, size: 54, values: (_, values) => values.map(text) }],
        series: [{ label: "step" }, ...series.map((s, i) => ({
          label: s.label, stroke: INKS[i], fill: i === 0 ? `${INKS[i]}16` : undefined, width: 2, spanGaps: true,
          value: (u, v, at, idx) => text(idx === null || idx === undefined ? u.data[at].findLast((w) => w !== null && w !== undefined) : v),
        }))],
      }, data, place);
    },
  };
}

// One array of a packed (H, W), or a row of cells of a vector: gray, or blue below 0 and orange above.
function painted(packed, at = 0, gray = false) {
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  const isMap = packed.shape.length > 1;
  const [height, width] = isMap ? packed.shape.slice(-2) : [1, packed.shape[0]];
  const canvas = make("canvas", isMap ? "map" : "cells");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const size = Math.max(Math.abs(packed.low), Math.abs(packed.high)) || 1;
  const area = height * width;
  for (let i = 0; i < area; i++) {
    const v = bytes[at * area + i];
    if (gray) {
      const rgb = packed.shape[0] === 3 ? [0, 1, 2].map((c) => bytes[c * area + i]) : [v, v, v];
      image.data.set([...rgb, 255], 4 * i);
      continue;
    }
    const real = packed.low + (v / 255) * (packed.high - packed.low);
    image.data.set([...(real > 0 ? [226, 92, 20] : [44, 92, 222]), 255 * Math.min(Math.abs(real) / size, 1)], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function glimpse(packed, gray = false) {
  if (packed.shape.length < 3) return [painted(packed)];
  const number = gray ? 1 : Math.min(packed.shape[0], 8);
  return Array.from({ length: number }, (_, i) => painted(packed, i, gray));
}

function layersOf(network) {
  const input = make("li", "", "", make("strong", "", "input"), make("span", "maps", "", ...glimpse(network.input, true)));
  const most = Math.max(...network.layers.map((l) => l.slope ?? 0), 1e-30);
  return [input, ...network.layers.map((layer) => {
    const item = make("li", "", "", make("strong", "", layer.label), make("span", "small", layer.shape.join(" × ")), make("span", "maps", "", ...glimpse(layer.shown)));
    const meter = make("span", "meter");
    meter.style.width = `${100 * (layer.slope ? Math.max(1 + Math.log10(layer.slope / most) / 6, 0.03) : 0)}%`;
    item.append(meter);
    item.title = `${layer.text}. The line: the size of the gradient of its output, on a scale of tens.`;
    if (layer.warnings.length) item.append(make("span", "warn", `⚠ ${layer.warnings.join("; ")}`));
    return item;
  })];
}

function rowsOf(rows) {
  return rows.map((row) => {
    const hit = row.says === row.is;
    const item = make("li", hit ? "hit" : "miss", "", ...(row.shown.shape.length > 2 ? [painted(row.shown, 0, true)] : []),
      make("strong", "", String(row.says)), make("span", "small", row.sure === null ? "" : percent(row.sure)));
    item.title = `it is ${row.is}; the network says ${row.says}`;
    return item;
  });
}

function render({ model, el }) {
  el.classList.add("handgrad-cell");
  const facts = make("p", "facts");
  facts.setAttribute("role", "status");
  const bar = make("progress", "");
  bar.setAttribute("aria-label", "Steps done");
  let isShare = true;
  const [loss, accuracy] = [chart("Loss", () => false), chart("Accuracy", () => isShare)];
  const layers = make("ol", "layers");
  layers.setAttribute("aria-label", "Layers, with what goes through them for one row");
  const rows = make("ol", "rows");
  rows.setAttribute("aria-label", "What the network says of some rows of the validation set");
  const inside = make("div", "card inside", "", make("h4", "", "What goes through it now"), layers);
  const said = make("div", "card inside", "", make("h4", "", "What it says"), rows);
  el.append(facts, bar, make("div", "charts", "", loss.element, accuracy.element), inside, said);
  inside.hidden = said.hidden = true;

  function draw() {
    const state = JSON.parse(model.get("state"));
    if (!state.steps) return;
    const last = state.epochs.at(-1) ?? {};
    isShare = last.val_acc !== undefined || last.metric === undefined;
    const value = last.val_acc ?? last.val_metric;
    const ends = state.steps.loss[2];
    facts.textContent = [
      state.state, `step ${state.iteration} of ${state.total_steps}`, `epoch ${state.epoch}`,
      ends.length ? `loss ${ends.at(-1)}` : "", value === undefined ? "" : `validation ${isShare ? percent(value) : short(value)}`,
    ].filter(Boolean).join(" · ");
    [bar.max, bar.value] = [state.total_steps || 1, state.iteration];
    loss.draw(state.steps.x, [{ label: "training", values: ends }]);
    accuracy.head.textContent = isShare ? "Accuracy" : last.metric;
    const of = (a, b) => state.epochs.map((e) => e[a] ?? e[b] ?? null);
    accuracy.draw(state.epochs.map((e) => e.iteration), [
      { label: "training", values: of("train_acc", "train_metric") }, { label: "validation", values: of("val_acc", "val_metric") },
    ]);
    inside.hidden = !state.network;
    said.hidden = !state.network?.rows;
    if (state.network) layers.replaceChildren(...layersOf(state.network));
    if (state.network?.rows) rows.replaceChildren(...rowsOf(state.network.rows));
  }
  model.on("change:state", draw);
  draw();
}

export default { render };
