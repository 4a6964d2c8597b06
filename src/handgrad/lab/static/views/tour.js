// A guided tour: a question, a guess, a training of each choice, and why it came out so.

import { events, post } from "../api.js";
import { Lines } from "../charts.js";
import { button, fill, h, number, percent, toast } from "../dom.js";
import { choicesOf } from "./lessons.js";
import { keySign, together } from "./runs.js";

const kept = {}; // by tour: what was guessed, and the runs

export async function tour(place, tour) {
  const mine = (kept[tour.key] ??= { guess: null, runs: null });
  const chart = new Lines(tour.curve === "loss" ? "Loss of the steps" : tour.curve === "val_acc" ? "Validation accuracy" : "Training accuracy", { height: 280, log: tour.curve === "loss", percent: tour.curve !== "loss" });
  const choices = h("div");
  const below = h("div");
  const streams = [];
  let timer = null;
  fill(place, h("div", { class: "bar-of-acts" }, h("h1", {}, tour.title), h("span", { class: "spring" }), h("a", { href: "#/lessons" }, "All lessons")),
    h("section", { class: "lesson" }, h("p", {}, tour.says), h("h2", {}, tour.question), choices, below));

  const ask = () => fill(choices, choicesOf(tour, mine, mine.runs !== null, () => (start.disabled = false)));

  const start = button("Train, and see", async () => {
    start.disabled = true;
    try {
      const runs = [];
      for (const { name, layers, settings } of tour.trials) {
        const made = await post("train", { data: tour.data ?? "digits", layers, settings: { ...settings, name: `${tour.key} ${name}`.slice(0, 50) }, target: "" });
        runs.push({ id: made.id, title: name, name });
      }
      mine.runs = runs;
      reveal();
    } catch (error) {
      toast(error.message, true);
      start.disabled = mine.guess === null;
    }
  }, { class: "strong", disabled: mine.guess === null });

  function reveal() {
    ask();
    const table = h("tbody");
    const columns = ["Training", "State", "Training accuracy", "Validation accuracy", "Validation loss"];
    fill(below, chart.element,
      h("div", { class: "settings" }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((title, i) => h("th", { scope: "col", class: i > 1 ? "number" : "" }, title)))), table)),
      h("div", { class: "answer" }, h("p", {}, tour.why), h("p", {}, h("strong", {}, "Look further. "), tour.look)));
    const found = {};
    const draw = () => {
      chart.set(...together(mine.runs, found, tour.curve));
      fill(table, mine.runs.map((run, i) => {
        const last = found[run.id]?.epochs.at(-1) ?? {};
        const state = last.epoch === undefined ? "starting" : found[run.id].end ? "done" : `epoch ${last.epoch}`;
        return h("tr", {}, h("th", { scope: "row" }, keySign(i), h("a", { href: `#/run/${encodeURIComponent(run.id)}` }, run.title)), h("td", {}, state),
          h("td", { class: "number" }, percent(last.train_acc)), h("td", { class: "number" }, percent(last.val_acc)), h("td", { class: "number" }, number(last.val_loss ?? null, 3)));
      }));
    };
    const waiting = new Set(mine.runs);
    const look = async () => {
      for (const run of [...waiting]) {
        const news = await post("news", { id: run.id }).catch(() => ({}));
        if (news.said) toast(`${run.title}: ${news.said.split("\n").at(-1)}`, true);
        if (news.exists || news.said) waiting.delete(run);
        if (news.exists) streams.push(events({ id: run.id }, { curves: (history) => { found[run.id] = history; draw(); } }));
      }
      if (waiting.size) timer = setTimeout(look, 300);
    };
    draw();
    look();
  }

  ask();
  if (mine.runs) reveal();
  else fill(below, start);
  return {
    update: () => false,
    close() {
      clearTimeout(timer);
      streams.forEach((s) => s.close());
      chart.close();
    },
  };
}
