// The view in a cell of a notebook; uPlot stands before this text.

const INKS = ["#2457c5", "#d9660f"];

function chart(element, title) {
  const place = document.createElement("div");
  const head = document.createElement("h4");
  head.textContent = title;
  element.append(head, place);
  let plot = null;
  return (x, series) => {
    const data = [x, ...series.map((s) => s.values)];
    if (plot) {
      plot.setData(data);
      return;
    }
    if (!x.length) return;
    const axis = { stroke: "currentColor", grid: { stroke: "#8884" }, ticks: { show: false } };
    plot = new uPlot({
      width: Math.max(element.clientWidth - 10, 240), height: 180,
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 30 }, { ...axis, size: 56 }],
      series: [{ label: "step" }, ...series.map((s, i) => ({ label: s.label, stroke: INKS[i], width: 1.6, spanGaps: true }))],
    }, data, place);
  };
}

function render({ model, el }) {
  el.classList.add("handgrad-cell");
  const facts = document.createElement("p");
  const [left, right] = [document.createElement("div"), document.createElement("div")];
  const charts = document.createElement("div");
  charts.className = "charts";
  charts.append(left, right);
  el.append(facts, charts);
  const [loss, accuracy] = [chart(left, "Loss"), chart(right, "Accuracy")];
  function draw() {
    const state = JSON.parse(model.get("state"));
    if (!state.steps) return;
    const last = state.epochs.at(-1) ?? {};
    const value = last.val_acc ?? last.val_metric;
    const ends = state.steps.loss[2];
    facts.textContent = [
      state.state, `step ${state.iteration} of ${state.total_steps}`, `epoch ${state.epoch}`,
      ends.length ? `loss ${ends.at(-1)}` : "", value === undefined ? "" : `validation ${Number(value.toPrecision(4))}`,
    ].filter(Boolean).join(" · ");
    loss(state.steps.x, [{ label: "training", values: ends }]);
    const of = (a, b) => state.epochs.map((e) => e[a] ?? e[b] ?? null);
    accuracy(state.epochs.map((e) => e.iteration), [
      { label: "training", values: of("train_acc", "train_metric") }, { label: "validation", values: of("val_acc", "val_metric") },
    ]);
  }
  model.on("change:state", draw);
  draw();
}

export default { render };
