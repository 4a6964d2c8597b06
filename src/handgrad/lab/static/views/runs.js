// All runs of the folder: a table that sorts, filters and compares.

import { events, get, post, reportAddress } from "../api.js";
import { COLORS, Lines, css, sparkLine } from "../charts.js";
import { ago, button, eachFrame, field, fill, h, number, percent, seconds, select, toast } from "../dom.js";

const HEIGHT = 41; // of a row, in pixels
const COLUMNS = [
  ["title", "Run", (r) => r.title],
  ["state", "State", (r) => r.state],
  ["val_acc", "Validation", (r) => r.val_acc ?? r.val_metric],
  ["test_acc", "Test", (r) => r.test_acc],
  ["loss", "Loss", (r) => r.loss],
  ["epoch", "Epochs", (r) => r.epoch],
  ["rate", "Learning rate", (r) => r.settings["optimizer.learning_rate"]],
  ["model", "Network", (r) => r.settings["model.name"]],
  ["seconds", "Time", (r) => r.seconds],
  ["time", "Written", (r) => r.time],
];
const NUMBERS = new Set(["val_acc", "test_acc", "loss", "epoch", "rate", "seconds"]);
const CURVES = [
  ["val_acc", "Validation accuracy"],
  ["train_acc", "Training accuracy"],
  ["val_loss", "Validation loss"],
  ["loss", "Loss of the steps"],
];
const sparks = new Map(); // run and time -> a figure of its epochs
const kept = { sort: "time", down: true, filter: "", chosen: new Set(), curve: "val_acc" };

export async function show(place) {
  const state = { rows: [], found: [] };
  const chart = new Lines("Curves of the selected runs", { height: 260 });
  const body = h("tbody");
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" });
  const said = h("p", { class: "muted", role: "status" });
  const compare = h("section", { class: "compare", "aria-label": "Selected runs" });
  let timer = null, closed = false;
  const empty = h("section", { class: "empty", hidden: true },
    h("h2", {}, "No run yet"),
    h("p", {}, "What you train appears here, while it trains. Begin on the page, or on the command line:"),
    h("p", {}, h("code", {}, "handgrad train --live")),
    h("div", { class: "bar-of-acts" }, h("a", { href: "#/build" }, "Build a network"), h("a", { href: "#/lessons" }, "Take a lesson")));
  const search = h("input", {
    type: "search", value: kept.filter, placeholder: "digits  tag:best  val_acc>0.98  reg=0.001",
    oninput: (event) => { kept.filter = event.target.value; arrange(); },
  });

  function arrange() {
    const wanted = filterOf(kept.filter);
    const value = COLUMNS.find(([key]) => key === kept.sort)[2];
    state.found = state.rows.filter(wanted).sort((a, b) => {
      const x = value(a), y = value(b);
      const empty = (v) => v === undefined || v === null;
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      const order = typeof x === "string" ? x.localeCompare(y) : x - y;
      return kept.down ? -order : order;
    });
    said.textContent = state.rows.length ? `${state.found.length} of ${state.rows.length} runs` : "";
    scroll.hidden = !state.rows.length;
    empty.hidden = !scroll.hidden;
    rows();
  }

  const rows = eachFrame(() => {
    const first = Math.max(Math.floor(scroll.scrollTop / HEIGHT) - 8, 0);
    const last = Math.min(first + Math.ceil((scroll.clientHeight || 600) / HEIGHT) + 16, state.found.length);
    const focused = document.activeElement?.dataset?.key;
    const blank = (size) => {
      const cell = h("td", { colspan: COLUMNS.length + 2 });
      cell.style.height = `${size * HEIGHT}px`;
      return h("tr", { class: "blank", "aria-hidden": "true" }, cell);
    };
    fill(
      body,
      first > 0 && blank(first),
      state.found.slice(first, last).map((row, i) => rowOf(row, first + i)),
      last < state.found.length && blank(state.found.length - last),
    );
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    clearTimeout(timer);
    timer = setTimeout(fetchSparks, 120, state.found.slice(first, last));
  });

  // The curves of the rows that are seen, and of no others.
  async function fetchSparks(shown) {
    const missing = shown.filter((row) => !sparks.has(keyOf(row))).slice(0, 60);
    if (!missing.length || closed) return;
    const found = (await get("sparks", { id: missing.map((row) => row.id) }).catch(() => ({ sparks: {} }))).sparks;
    if (sparks.size > 4000) sparks.clear();
    for (const row of missing) sparks.set(keyOf(row), found[row.id] ?? []);
    if (!closed) rows();
  }

  function rowOf(row, at) {
    const box = h("input", {
      type: "checkbox", checked: kept.chosen.has(row.id), "data-key": `box ${row.id}`,
      "aria-label": `Select ${row.name}`,
      onchange: () => {
        if (box.checked) kept.chosen.add(row.id);
        else kept.chosen.delete(row.id);
        box.closest("tr").className = box.checked ? "chosen" : "";
        comparison();
      },
    });
    const link = h("a", { href: `#/run/${encodeURIComponent(row.id)}`, "data-key": `link ${row.id}` }, row.title);
    const tags = row.tags.map((tag) => h("span", { class: "tag" }, tag));
    const accuracy = row.val_acc ?? null;
    return h(
      "tr", { "aria-rowindex": at + 2, class: kept.chosen.has(row.id) ? "chosen" : "" },
      h("td", { class: "box" }, box),
      h("td", { class: "title", title: row.id }, link, tags, row.name !== row.title && h("span", { class: "small" }, row.name)),
      h("td", { class: "curve" }, sparkLine(sparks.get(keyOf(row)) ?? [], row.state === "live" ? "--warm" : "--c1")),
      h("td", {}, h("span", { class: `state ${row.state}` }, row.state)),
      h("td", { class: "number" }, accuracy === null ? number(row.val_metric) : percent(accuracy)),
      h("td", { class: "number" }, percent(row.test_acc)),
      h("td", { class: "number" }, number(row.loss)),
      h("td", { class: "number" }, number(row.epoch)),
      h("td", { class: "number" }, number(row.settings["optimizer.learning_rate"])),
      h("td", {}, row.settings["model.name"] ?? "–"),
      h("td", { class: "number" }, seconds(row.seconds)),
      h("td", {}, ago(row.time)),
    );
  }

  function head() {
    return h(
      "tr", {},
      h("td", { class: "box" }),
      COLUMNS.flatMap(([key, title], i) => [
        i === 1 && h("th", { scope: "col", class: "curve small" }, h("span", { class: "unseen" }, "Curve")),
        h(
          "th", { scope: "col", class: NUMBERS.has(key) ? "right" : "", "aria-sort": kept.sort === key ? (kept.down ? "descending" : "ascending") : "none" },
          button(title, () => {
            kept.down = kept.sort === key ? !kept.down : true;
            kept.sort = key;
            fill(heading, head());
            arrange();
          }, { class: "sort" }),
        )]),
    );
  }

  async function comparison() {
    const chosen = state.rows.filter((row) => kept.chosen.has(row.id)).slice(0, 8);
    if (!chosen.length) {
      fill(compare);
      return;
    }
    const choice = select(CURVES, kept.curve, (value) => { kept.curve = value; comparison(); });
    const more = kept.chosen.size > 8 ? "The first eight are shown." : "";
    fill(
      compare,
      h("div", { class: "bar-of-acts" }, h("h2", {}, `${chosen.length} selected`), field("Curve", choice),
        button("Clear", () => { kept.chosen.clear(); comparison(); rows(); }), h("span", { class: "muted" }, more)),
      chart.element, chosen.length > 1 && settingsOf(chosen),
    );
    const found = await get("curves", { id: chosen.map((row) => row.id), points: 400 });
    chart.options.percent = kept.curve.endsWith("_acc");
    chart.options.log = false;
    const [x, series] = together(chosen, found, kept.curve);
    chart.set(x, series);
    if (Object.values(found).some((history) => history.whole === false)) setTimeout(() => !closed && comparison(), 200); // more is to be read
  }

  const heading = h("thead", {}, head());
  fill(scroll, h("table", { class: "runs", "aria-rowcount": -1 }, heading, body));
  scroll.addEventListener("scroll", rows);
  addEventListener("resize", rows);
  fill(
    place,
    h("div", { class: "bar-of-acts" }, h("h1", {}, "Runs"), field("Filter", search, { class: "field wide" }), said),
    compare, scroll, empty,
  );

  async function load() {
    state.rows = (await get("runs")).runs;
    arrange();
  }
  await load();
  comparison();
  const stream = events({}, { changed: load });
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      stream.close();
      chart.close();
      removeEventListener("resize", rows);
    },
    update: () => true,
  };
}

const keyOf = (row) => `${row.time} ${row.id}`;

// A filter of words: each must be in the name, tags or notes; or key=value, key>value, key<value, tag:x.
function filterOf(text) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const found = /^([\w.]+)(>=|<=|=|>|<)(.+)$/.exec(word);
    if (word.startsWith("tag:")) return (r) => r.tags.some((tag) => tag.toLowerCase().includes(word.slice(4)));
    if (!found) {
      return (r) => [r.id, r.title, r.state, r.notes, ...r.tags, r.settings["model.name"] ?? ""].join(" ").toLowerCase().includes(word);
    }
    const [, key, sign, wanted] = found;
    return (r) => {
      const values = [r[key], ...Object.entries(r.settings).filter(([k]) => k === key || k.endsWith(`.${key}`)).map(([, v]) => v)];
      return values.some((v) => v !== undefined && v !== null && holds(v, sign, wanted));
    };
  });
  return (row) => tests.every((test) => test(row));
}

function holds(value, sign, wanted) {
  const numbers = typeof value === "number" && !Number.isNaN(Number(wanted));
  const [a, b] = numbers ? [value, Number(wanted)] : [String(value).toLowerCase(), wanted];
  return { "=": a === b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b }[sign];
}

// The curves of several runs over one axis of steps.
export function together(chosen, found, name) {
  const parts = chosen.filter((row) => found[row.id]).map((row) => {
    const history = found[row.id];
    const isStep = name === "loss";
    const x = isStep ? history.steps.x : history.epochs.map((e) => e.iteration);
    const y = isStep ? history.steps.loss[2] : history.epochs.map((e) => e[name] ?? null);
    return { label: row.title === row.name ? row.name : `${row.title} · ${row.name}`, x, y };
  });
  const all = [...new Set(parts.flatMap((p) => p.x))].sort((a, b) => a - b);
  const places = new Map(all.map((step, i) => [step, i]));
  const series = parts.map((p) => {
    const mean = new Array(all.length).fill(null);
    p.x.forEach((step, i) => (mean[places.get(step)] = p.y[i]));
    return { label: p.label, mean };
  });
  return [all, series];
}

function settingsOf(chosen) {
  const keys = [...new Set(chosen.flatMap((row) => Object.keys(row.settings)))];
  const differs = (key) => new Set(chosen.map((row) => String(row.settings[key]))).size > 1;
  const [different, same] = [keys.filter(differs), keys.filter((key) => !differs(key))];
  const line = (key, marked) =>
    h("tr", { class: marked ? "differs" : "" }, h("th", { scope: "row" }, key),
      chosen.map((row) => h("td", {}, String(row.settings[key] ?? "–"))));
  return h(
    "div", { class: "settings", tabindex: "0", role: "region", "aria-label": "Settings side by side" },
    h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Setting"), chosen.map((row, i) => h("th", { scope: "col" }, keySign(i), row.name)))),
      h("tbody", {},
        h("tr", {}, h("th", { scope: "row" }, "report"), chosen.map((row) =>
          h("td", {}, h("a", { href: reportAddress(row.id), target: "_blank", rel: "noopener" }, "open")))),
        different.map((key) => line(key, true)), same.map((key) => line(key, false)))),
  );
}

// The color of a curve, beside its name.
export function keySign(i) {
  const sign = h("span", { class: "key", "aria-hidden": "true" });
  sign.style.background = css(COLORS[i % COLORS.length]);
  return sign;
}

export async function keepNotes(row, tags, notes) {
  await post("notes", { id: row.id, tags, notes });
  toast("Kept.");
}
