// Lessons: the guided tours, each with a guess before it is shown, and the courses' studies.

import { events, file, get, post } from "../api.js";
import { Lines } from "../charts.js";
import { button, fill, h, number, toast } from "../dom.js";
import { together } from "./runs.js";

const kept = {}; // by tour: what was guessed, and the runs

export async function show(place, [key]) {
  const tours = await file("tours.json");
  const tour = tours.find((t) => t.key === key);
  return tour ? lesson(place, tour) : overview(place, tours);
}

async function overview(place, tours) {
  const { studies } = await get("studies");
  fill(
    place,
    h("h1", {}, "Lessons"),
    h("h2", {}, "Guided tours"),
    h("div", { class: "lesson-list" }, tours.map((t) =>
      h("article", { class: "card" }, h("h3", {}, h("a", { href: `#/lessons/${t.key}` }, t.title)), h("p", {}, t.says)))),
    h("h2", {}, "The courses' studies"),
    h("p", {}, "Each is one command, which writes a page with its numbers, a figure and two sentences. Guess its outcome first; then run it."),
    h("div", { class: "lesson-list" }, studies.map((s) =>
      h("article", { class: "card" }, h("h3", {}, s.title),
        h("details", {}, h("summary", {}, "What do you expect? Then show the command"), h("code", {}, `handgrad experiment ${s.name}`))))),
  );
  return { update: () => false };
}

async function lesson(place, tour) {
  const mine = (kept[tour.key] ??= { guess: null, runs: null });
  const chart = new Lines(tour.curve === "loss" ? "Loss of the steps" : tour.curve === "val_acc" ? "Validation accuracy" : "Training accuracy", { height: 280, log: tour.curve === "loss" });
  const choices = h("fieldset", { class: "choices" });
  const below = h("div");
  const streams = [];
  let timer = null;
  fill(place, h("div", { class: "bar-of-acts" }, h("h1", {}, tour.title), h("a", { href: "#/lessons" }, "All lessons")),
    h("section", { class: "lesson" }, h("p", {}, tour.says), h("h2", {}, tour.question), choices, below));

  function ask() {
    fill(choices, h("legend", { class: "small" }, "Your guess"), tour.choices.map((text, i) => {
      const shown = mine.runs !== null;
      const style = !shown ? "" : i === tour.right ? "is-right" : i === mine.guess ? "is-wrong" : "";
      const box = h("input", { type: "radio", name: "guess", value: i, checked: mine.guess === i, disabled: shown, onchange: () => { mine.guess = i; start.disabled = false; } });
      return h("label", { class: style }, box, text, shown && i === tour.right ? h("strong", {}, " — so it is") : null);
    }));
  }

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
    const table = h("ul", { class: "verdicts" });
    fill(below, chart.element, table, h("p", {}, tour.why), h("p", {}, h("strong", {}, "Look further. "), tour.look));
    const found = {};
    const draw = () => {
      chart.set(...together(mine.runs, found, tour.curve));
      fill(table, mine.runs.map((run) => {
        const last = found[run.id]?.epochs.at(-1) ?? {};
        return h("li", {}, h("a", { href: `#/run/${encodeURIComponent(run.id)}` }, run.title), h("span", {}, `epoch ${number(last.epoch ?? null)}`),
          h("span", {}, `training ${number(last.train_acc ?? null, 3)}`), h("span", {}, `validation ${number(last.val_acc ?? null, 3)}`), h("span", {}, `validation loss ${number(last.val_loss ?? null, 3)}`));
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
