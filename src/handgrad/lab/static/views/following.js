// A training of the page as it runs, beside the try before it.

import { events, get, post } from "../api.js";
import { fill, h, number, percent } from "../dom.js";
import { together } from "./runs.js";

// A list of layers is long: their names tell them apart, and their widths.
function setting(key, value) {
  if (key !== "model.layers") return String(value ?? "–");
  try {
    return JSON.parse(value).map((l) => [l.layer.split(":").at(-1), l.width ?? l.num_filters].filter(Boolean).join(" ")).join(", ");
  } catch {
    return String(value);
  }
}

const OVER = ["finished", "stopped"];

export class Following {
  constructor(kept, results, charts, points) {
    Object.assign(this, { kept, results, charts, points, stream: null, timer: null });
  }

  close() {
    this.stream?.close();
    this.stream = null;
    clearTimeout(this.timer);
  }

  follow() {
    this.close();
    const { kept } = this;
    this.id = kept.now;
    this.before = this.lastRow = this.found = this.status = null;
    this.began = Date.now();
    this.names = [kept.titles[kept.now] || "this try", kept.titles[kept.last] || "last try"];
    const head = h("div", { class: "bar-of-acts" }, h("h2", {}, "Training"), h("a", { href: `#/run/${encodeURIComponent(this.id)}` }, "Open the run"), kept.last && h("span", { class: "muted" }, kept.titles[kept.last] ? `${this.names[0]} beside ${this.names[1]}` : "beside the last try"));
    this.state = h("p", { role: "status", class: "muted" }, "Starting.");
    this.table = h("div", { class: "beside" });
    fill(this.results, head, this.state, this.table, h("div", { class: "charts" }, this.charts.map((c) => c.element)));
    this.again();
  }

  // The run's folder appears when its process has built the network.
  async again() {
    const { id } = this;
    this.close();
    const news = await post("news", { id }).catch(() => ({}));
    if (id !== this.id) return;
    if (news.said) {
      this.state.className = "bad";
      this.state.textContent = news.said.split("\n").at(-1);
    } else if (news.exists) this.listen();
    else if (Date.now() - this.began < 60000) this.timer = setTimeout(() => this.again(), 300);
  }

  listen() {
    const { id } = this;
    this.stream = events({ id, weights: "live" }, {
      curves: (found) => {
        this.found = found;
        return this.draw();
      },
      status: async (status) => {
        this.status = status;
        await this.draw();
        const { row, now } = status;
        if (this.kept.data === "points" && (now || row.state === "finished")) this.points.boundary(id, row.state === "finished" ? "best" : "live");
      },
      gone: () => this.again(),
    });
  }

  async draw() {
    const { kept, id, found, status } = this;
    await this.other();
    if (id !== this.id) return;
    if (status) {
      const { row, live, news } = status;
      this.state.textContent = news.said || `${row.state}, step ${(live.iteration ?? row.iteration ?? 0).toLocaleString("en")}`;
      this.state.className = news.said ? "bad" : "muted";
      fill(this.table, this.lastRow && this.beside(row, this.lastRow));
    }
    if (!found) return;
    const both = { [id]: found, ...(this.before ? { [kept.last]: this.before } : {}) };
    const named = [[id, this.names[0]], [kept.last, this.names[1]]].map(([key, title]) => ({ id: key, title, name: title }));
    const name = found.epochs.some((e) => e.val_metric !== undefined) ? "val_metric" : "val_acc";
    this.charts[1].caption.textContent = name === "val_acc" ? "Validation accuracy" : `Validation: ${found.epochs[0]?.metric ?? "metric"}`;
    this.charts[1].options.percent = name === "val_acc";
    this.charts[0].options.log = !!kept.titles[kept.last]; // where two layers are compared, both ends matter
    this.charts[0].set(...together(named, both, "loss"));
    this.charts[1].set(...together(named, both, name));
  }

  // The other try, which may still be training.
  async other() {
    const { kept, id } = this;
    if (!kept.last || OVER.includes(this.lastRow?.state)) return;
    const [row, curves] = await Promise.all([
      get("run", { id: kept.last }).catch(() => ({})),
      get("curves", { id: kept.last, points: 300 }).catch(() => ({})),
    ]);
    if (id !== this.id) return;
    this.lastRow = row.row ?? null;
    this.before = curves[kept.last] ?? null;
    const isOver = OVER.includes(this.status?.row.state);
    if (isOver && !OVER.includes(this.lastRow?.state)) this.timer = setTimeout(() => this.draw(), 700);
  }

  // What came out, and the settings that differ, of this try and the last one.
  beside(row, before) {
    const differ = [...new Set([...Object.keys(row.settings), ...Object.keys(before.settings)])].filter((key) => key !== "name" && row.settings[key] !== before.settings[key]);
    const score = (r) => (r.val_acc === undefined ? number(r.val_metric) : percent(r.val_acc));
    const line = (title, f, marked) => h("tr", { class: marked ? "differs" : "" }, h("th", { scope: "row" }, title), h("td", {}, f(row)), h("td", {}, f(before)));
    return h("div", { class: "settings", tabindex: "0", role: "region", "aria-label": "This try and the last one" }, h("table", {},
      h("thead", {}, h("tr", {}, ["", ...this.names].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, line("validation", score), line("loss", (r) => number(r.loss)), line("seconds", (r) => number(r.seconds, 3)),
        differ.map((key) => line(key, (r) => setting(key, r.settings[key]), true)))));
  }
}
