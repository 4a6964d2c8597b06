// A study of the courses: a question, a guess; then it is done, its trials are seen live, and what came out.

import { get, post } from "../api.js";
import { Lines } from "../charts.js";
import { button, field, fill, h, select, toast } from "../dom.js";
import { choicesOf } from "./lessons.js";
import { together } from "./runs.js";

const PAUSE = 900; // milliseconds between two looks at its trials
const kept = {}; // by study: what was guessed, and whether it is shown

export async function study(place, lesson) {
  const mine = (kept[lesson.name] ??= { guess: null, began: false, seeds: "3" });
  const choices = h("div");
  const below = h("div");
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Trials done" });
  const said = h("p", { class: "muted", role: "status" });
  const chart = new Lines("Validation accuracy of the trials", { height: 260, percent: true });
  const result = h("div");
  let timer = null, closed = false;
  fill(place,
    h("div", { class: "bar-of-acts" }, h("h1", {}, lesson.title), h("span", { class: "spring" }), h("a", { href: "#/lessons" }, "All lessons")),
    h("section", { class: "lesson" }, h("p", { class: "muted" }, `${lesson.source}. On ${lesson.dataset}.`), h("h2", {}, lesson.question), choices, below));

  const start = button("Do the study, and see", async () => {
    start.disabled = true;
    try {
      await post("study", { name: lesson.name, seeds: Number(mine.seeds) });
      mine.began = true;
      mine.over = false;
      reveal();
    } catch (error) {
      toast(error.message, true);
      start.disabled = mine.guess === null;
    }
  }, { class: "strong", disabled: mine.guess === null });
  const seeds = field("Seeds", select([["1", "one, quick"], ["3", "three, so that it can rank"]], mine.seeds, (v) => (mine.seeds = v)));

  const ask = () => fill(choices, choicesOf(lesson, mine, mine.over === true, () => (start.disabled = mine.began && !mine.over)));

  function reveal() {
    ask();
    fill(below, said, progress, chart.element, result);
    look();
  }

  async function look() {
    const found = await get("study", { name: lesson.name }).catch(() => null);
    if (closed) return;
    const { news, runs } = found ?? { news: {}, runs: [] };
    if (news.of) {
      progress.max = news.of;
      progress.value = news.done;
      said.textContent = `${news.done} of ${news.of} trials done${news.trial ? `; the last: ${news.trial}` : ""}. `;
    } else said.textContent = "Starting.";
    if (news.said && news.code) {
      said.className = "bad";
      said.textContent = news.said.split("\n").at(-1);
    }
    await curves(runs);
    if (found?.done && !news.running) {
      finish(found);
      return;
    }
    if (news.started !== false && !news.code) timer = setTimeout(look, PAUSE);
  }

  async function curves(runs) {
    const names = runs.filter((id) => !/_seed_/.test(id)).slice(0, 20);
    if (!names.length) return;
    const histories = await get("curves", { id: names, points: 200 }).catch(() => ({}));
    if (closed) return;
    const rows = names.map((id) => ({ id, title: id.split("/").at(-1).replaceAll("_", " "), name: id.split("/").at(-1).replaceAll("_", " ") }));
    chart.set(...together(rows, histories, "val_acc"));
  }

  function finish(found) {
    mine.over = true;
    ask();
    progress.hidden = true;
    said.className = "muted";
    said.textContent = "Done. The curves are those of the first seed.";
    chart.element.hidden = !found.runs.length;
    const again = h("div", { class: "bar-of-acts" }, h("span", { class: "small" }, `The same on the command line: handgrad experiment ${lesson.name} --live`));
    fill(result,
      h("div", { class: "answer" }, h("p", {}, lesson.why), h("p", {}, h("strong", {}, "What came out. "), found.sentences.join(" "))),
      h("img", { class: "figure", alt: `Figure of the study: ${lesson.title}. ${found.sentences.join(" ")}`, src: `data:image/png;base64,${found.figure}` }),
      again);
  }

  ask();
  if (mine.began) reveal();
  else fill(below, h("div", { class: "bar-of-acts" }, start, seeds));
  return {
    update: () => false,
    close() {
      closed = true;
      clearTimeout(timer);
      chart.close();
    },
  };
}
