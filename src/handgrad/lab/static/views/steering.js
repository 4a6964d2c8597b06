// Steering: pause, resume, step, stop, the learning rate, forks.

import { post } from "../api.js";
import { button, field, fill, h, number, select, toast } from "../dom.js";

export function steering(run) {
  const element = h("div", { class: "steer" });
  let key = "";

  const act = (name, more = {}, text = "") => async () => {
    await post("steer", { id: run.id, act: name, ...more });
    if (text) toast(text);
  };

  function changed() {
    const state = run.row.state;
    const checkpoints = run.weights.filter((w) => w.startsWith("checkpoint-")).map((w) => Number(w.slice(11)));
    const next = JSON.stringify([state, checkpoints, run.news?.said]);
    if (next === key) return;
    key = next;
    const on = state === "live" || state === "paused";
    const failed = run.news?.said && h("p", { class: "bad", role: "alert" }, run.news.said);
    fill(element, failed, on && live(state), !on && checkpoints.length > 0 && still(state, checkpoints));
  }

  function live(state) {
    const paused = state === "paused";
    const factor = h("input", { type: "number", step: "any", min: "0.0001", value: "0.5", "aria-label": "Factor on the learning rate" });
    const steps = h("input", { type: "number", min: "1", value: "1", "aria-label": "Steps to do" });
    return h(
      "div", { class: "bar-of-acts", role: "group", "aria-label": "Steer the training" },
      h("span", { class: "group" }, paused ? button("Resume", act("resume", {}, "The training goes on."), { class: "strong" }) : button("Pause", act("pause", {}, "The training waits at its next step."), { class: "strong" })),
      h("span", { class: "group" }, button("Step", () => act("step", { steps: Number(steps.value) }, `${steps.value === "1" ? "One step" : `${steps.value} steps`}, then it waits.`)()), steps),
      h("span", { class: "group" },
        h("span", { class: "muted small" }, "Learning rate"),
        button("Rate × ½", act("rate", { factor: 0.5 }, "The learning rate is halved at the next step.")),
        button("Rate × 2", act("rate", { factor: 2 }, "The learning rate is doubled at the next step.")),
        factor, button("Multiply", () => act("rate", { factor: Number(factor.value) }, `Rate × ${number(Number(factor.value))} from the next step on.`)())),
      h("span", { class: "group" }, button("Stop and keep", () => confirm("Stop this training? Its checkpoint is kept, and it can go on later.") && act("stop", {}, "It stops, and keeps a checkpoint.")(), { class: "risky" })),
    );
  }

  function still(state, checkpoints) {
    let step = checkpoints.at(-1);
    const rate = h("input", { type: "number", step: "any", min: "0.0001", value: "0.5" });
    const epochs = h("input", { type: "number", min: "1", value: run.row.settings["training.epochs"] ?? 10 });
    const reg = h("input", { type: "number", step: "any", min: "0", value: run.row.settings["model.reg"] ?? 0 });
    const name = h("input", { type: "text", maxlength: "50", value: `${run.row.title}-fork`.slice(0, 50) });
    const go = async () => {
      const settings = { name: name.value };
      if (Number(epochs.value) !== run.row.settings["training.epochs"]) settings["training.epochs"] = Number(epochs.value);
      const before = run.row.settings["model.reg"];
      if (before !== undefined && Number(reg.value) !== before) settings["model.reg"] = Number(reg.value);
      const made = await post("fork", { id: run.id, iteration: step, rate: Number(rate.value), settings });
      location.hash = `#/run/${encodeURIComponent(made.id)}`;
    };
    return h(
      "details", {},
      h("summary", {}, state === "stopped" ? "Go on, or fork" : "Fork this run"),
      h("div", { class: "bar-of-acts" },
        state === "stopped" && button("Go on", async () => {
          await post("resume", { id: run.id });
          toast("The training goes on.");
        }, { class: "strong" }),
        field("From step", select(checkpoints.map(String), String(step), (v) => (step = Number(v)))),
        field("Rate ×", rate), field("Epochs in all", epochs), run.row.settings["model.reg"] !== undefined && field("reg", reg),
        field("Name", name), button("Fork and train", go, { class: "strong" })),
    );
  }

  return { element, changed };
}
