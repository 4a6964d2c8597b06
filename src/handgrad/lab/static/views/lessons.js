// Lessons: guided tours and the courses' studies, each with a guess before it is shown.

import { file, get } from "../api.js";
import { fill, h } from "../dom.js";
import { study } from "./study.js";
import { tour } from "./tour.js";

export async function show(place, [key, name]) {
  const [tours, questions] = await Promise.all([file("tours.json"), file("studies.json")]);
  if (key === "study") {
    const { studies } = await get("studies");
    const found = studies.find((s) => s.name === name);
    if (found) return study(place, { ...found, ...questions.find((q) => q.name === name) });
  }
  const found = tours.find((t) => t.key === key);
  return found ? tour(place, found) : overview(place, tours, questions);
}

async function overview(place, tours, questions) {
  const { studies } = await get("studies");
  const card = (href, title, says, hint) =>
    h("a", { class: "card lesson-card", href }, h("h3", {}, title), h("p", {}, says), h("span", { class: "small" }, hint));
  fill(
    place,
    h("h1", {}, "Lessons"),
    h("p", { class: "muted" }, "Guess first. Then networks are trained before your eyes, and you see."),
    h("h2", {}, "Guided tours"),
    h("div", { class: "lesson-list" }, tours.map((t) => card(`#/lessons/${t.key}`, t.title, t.says, `${t.trials.length} trainings, some seconds`))),
    h("h2", {}, "The courses' studies"),
    h("div", { class: "lesson-list" }, studies.map((s) =>
      card(`#/lessons/study/${s.name}`, s.title, questions.find((q) => q.name === s.name)?.question ?? "", `${s.source}; on ${s.dataset}`))),
  );
  return { update: () => false };
}

// The choices of a question; `shown` says that the answer is known.
export function choicesOf(lesson, mine, shown, onguess) {
  return h("fieldset", { class: "choices" }, h("legend", { class: "small" }, "Your guess"), lesson.choices.map((text, i) => {
    const style = !shown ? "" : i === lesson.right ? "is-right" : i === mine.guess ? "is-wrong" : "";
    const box = h("input", { type: "radio", name: "guess", value: i, checked: mine.guess === i, disabled: shown, onchange: () => { mine.guess = i; onguess(); } });
    const sign = !shown ? null : i === lesson.right ? (i === mine.guess ? " — so it is, as you said" : " — so it is") : i === mine.guess ? " — your guess" : null;
    return h("label", { class: style }, box, text, sign && h("strong", {}, sign));
  }));
}
