// A slider over the weights of a run: its frames and checkpoints, the best, and those of now.

import { button, h, select } from "./dom.js";

export function momentsOf(run) {
  const live = run.row.state === "live" || run.row.state === "paused";
  return [...run.weights, ...(live && run.now ? ["live"] : run.row.state === "finished" ? ["best"] : [])];
}

export function nameOf(moment) {
  if (moment === "live") return "now";
  if (moment === "best") return "the trained network";
  return `step ${moment.split("-")[1]}`;
}

// Shows the last moment until somebody moves the slider; then stays there.
export class Moments {
  constructor(run, onchange) {
    this.run = run;
    this.onchange = onchange;
    this.follows = true;
    this.slider = h("input", { type: "range", min: "0", "aria-label": "Moment of the training", oninput: () => this.moved() });
    this.text = h("output", { class: "moment" });
    this.player = button("Play", () => this.play());
    this.element = h("div", { class: "moments" }, h("span", { class: "muted" }, "Weights of"), this.text, this.slider, this.player);
    this.timer = null;
    this.refresh();
  }

  get chosen() {
    return this.list[Math.min(Number(this.slider.value), this.list.length - 1)];
  }

  refresh() {
    const before = this.list ? this.chosen : null;
    this.list = momentsOf(this.run);
    this.slider.max = String(Math.max(this.list.length - 1, 0));
    const at = this.list.indexOf(before);
    this.slider.value = String(this.follows || at < 0 ? this.list.length - 1 : at);
    this.slider.disabled = this.player.disabled = this.list.length < 2;
    this.say();
    return this.chosen !== before;
  }

  say() {
    this.text.textContent = this.list.length ? nameOf(this.chosen) : "no moment yet";
    this.slider.setAttribute("aria-valuetext", this.text.textContent);
  }

  moved() {
    this.follows = Number(this.slider.value) === this.list.length - 1;
    this.say();
    this.onchange();
  }

  async play() {
    if (this.timer) return this.stop();
    this.player.textContent = "Pause";
    this.timer = true;
    for (let at = 0; at < this.list.length && this.timer; at++) {
      this.slider.value = String(at);
      this.follows = at === this.list.length - 1;
      this.say();
      await this.onchange();
      await new Promise((go) => setTimeout(go, 120));
    }
    this.stop();
  }

  stop() {
    this.timer = null;
    this.player.textContent = "Play";
  }

  close() {
    this.stop();
  }
}

// Asks one question at a time; of those that came meanwhile only the last is asked.
export function latest(ask) {
  let busy = false;
  let waiting = null;
  return async function go(...given) {
    if (busy) {
      waiting = given;
      return;
    }
    busy = true;
    try {
      await ask(...given);
    } catch (error) {
      // frames are thinned while a training runs: the next list has others
      if (!/no such weights|not there yet/.test(error.message)) throw error;
    } finally {
      busy = false;
    }
    if (waiting) {
      const next = waiting;
      waiting = null;
      await go(...next);
    }
  };
}

export function rowChooser(number, chosen, onchange) {
  const rows = Array.from({ length: number }, (_, i) => [String(i), `validation row ${i + 1}`]);
  return select(rows, String(chosen), (v) => onchange(Number(v)), { "aria-label": "Row that goes through" });
}
