// One run: where it is, its curves, and the tabs that look into it.

import { Failed, events, get, post, reportAddress } from "../api.js";
import { button, fill, h, number, percent, seconds } from "../dom.js";
import { curves } from "./curves.js";
import { steering } from "./steering.js";

// The parts that look at a network need its weights, which a study's trials do not keep.
const NEED_NETWORK = new Set(["network", "predictions", "try"]);
const TABS = [
  ["curves", "Curves", null],
  ["network", "Network", () => import("./network.js")],
  ["predictions", "Predictions", () => import("./predictions.js")],
  ["try", "Try it", () => import("./tryit.js")],
  ["settings", "Settings", () => import("./settings.js")],
];

export async function show(place, [id, tab = "curves"]) {
  const run = { id, ...(await found(place, id)), history: null };
  const header = h("div", { class: "run-head" });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the run" });
  const panel = h("div", { class: "panel", role: "tabpanel", id: "panel", tabindex: "0" });
  const steer = steering(run);
  fill(place, header, steer.element, tabs, panel);
  let open = null; // the part that is shown: { close, changed }
  let opened = "";
  let stream = null;

  function head() {
    const { row, live } = run;
    const total = live.total_steps ?? null;
    const step = live.iteration ?? row.iteration;
    const bar = total && h("progress", { max: total, value: step, "aria-label": "Steps done" });
    const facts = [
      ["Step", total ? [step.toLocaleString("en"), h("span", { class: "small" }, ` of ${total.toLocaleString("en")}`)] : number(step)],
      ["Epoch", number(live.epoch ?? row.epoch)],
      ["Loss", number(row.loss)],
      row.val_acc !== undefined ? ["Validation", percent(row.val_acc)] : ["Validation", number(row.val_metric)],
      row.test_acc !== undefined && ["Test", percent(row.test_acc)],
      ["Learning rate", number(live.learning_rate ?? row.settings["optimizer.learning_rate"])],
      live.images_per_second !== undefined && ["Images/s", Math.round(live.images_per_second).toLocaleString("en")],
      ["Time", seconds(live.seconds ?? row.seconds)],
    ].filter(Boolean);
    fill(
      header,
      h("div", { class: "bar-of-acts" },
        h("h1", {}, row.title), h("span", { class: `state ${row.state}` }, row.state),
        row.id !== row.title && h("span", { class: "small muted" }, row.id),
        h("span", { class: "spring" }),
        run.has_report && h("a", { href: reportAddress(id), target: "_blank", rel: "noopener" }, "Report"),
        h("a", { href: "#/runs" }, "All runs")),
      !run.has_network && h("p", { class: "muted" }, "A trial of a study: its curves are kept, its network is not."),
      bar,
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    );
  }

  function strip() {
    fill(tabs, there().map(([name, title]) =>
      h("button", {
        type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(name === opened),
        "aria-controls": "panel", tabindex: name === opened ? "0" : "-1",
        onclick: () => (location.hash = `#/run/${encodeURIComponent(id)}/${name}`),
        onkeydown: (event) => arrows(event, name),
      }, title)));
    panel.setAttribute("aria-labelledby", `tab-${opened}`);
  }

  const there = () => TABS.filter(([name]) => run.has_network || !NEED_NETWORK.has(name));

  function arrows(event, name) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const list = there();
    const at = list.findIndex(([key]) => key === name) + by;
    const next = list[(at + list.length) % list.length][0];
    location.hash = `#/run/${encodeURIComponent(id)}/${next}`;
    setTimeout(() => document.getElementById(`tab-${next}`)?.focus(), 50);
  }

  async function choose(name) {
    const known = there().find(([key]) => key === name) ?? TABS[0];
    if (known[0] === opened) return;
    const waited = opened;
    opened = known[0];
    strip();
    open?.close?.();
    open = null;
    listen(opened === "network" || opened === "predictions");
    fill(panel, waited && h("p", { class: "muted" }, "Loading."));
    const make = known[2] ? (await known[2]()).part : curves;
    if (opened !== known[0]) return;
    fill(panel);
    try {
      const made = await make(run, panel);
      if (opened === known[0]) open = made;
      else made?.close?.();
      if (run.history) open?.changed?.("curves");
    } catch (error) {
      fill(panel, h("p", { class: "bad" }, error.message));
      panel.append(button("Try again", () => { opened = ""; choose(known[0]); }));
    }
  }

  // Whoever looks at weights says so to the training, which then writes them.
  function listen(atWeights) {
    stream?.close();
    stream = events({ id, ...(atWeights ? { weights: "live" } : {}) }, {
      status(found) {
        Object.assign(run, found);
        head();
        steer.changed();
        open?.changed?.("status");
      },
      curves(found) {
        run.history = found;
        open?.changed?.("curves");
      },
      gone({ error }) {
        fill(panel, h("p", { class: "bad" }, error));
        stream.close();
      },
    });
  }

  head();
  steer.changed();
  await choose(tab);
  return {
    update([other, next = "curves"]) {
      if (other !== id) return false;
      choose(next);
      return true;
    },
    close() {
      stream?.close();
      open?.close?.();
    },
  };
}

// A run that was started just now has its folder when its process has built the network.
async function found(place, id) {
  for (;;) {
    try {
      return await get("run", { id });
    } catch (error) {
      const news = await post("news", { id }).catch(() => ({}));
      if (news.said || !(news.running || news.exists)) throw news.said ? new Failed(news.said.split("\n").at(-1)) : error;
      fill(place, h("p", { class: "muted" }, "The training is starting."));
      await new Promise((go) => setTimeout(go, 300));
      if (!place.isConnected) throw error;
    }
  }
}
