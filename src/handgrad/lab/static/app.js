// The frame of the page: navigation, theme, and which view is shown.

import { Failed } from "./api.js";
import { fill, h, toast } from "./dom.js";

const VIEWS = [
  ["runs", "Runs", () => import("./views/runs.js")],
  ["build", "Build", () => import("./views/build.js")],
  ["layers", "Your layer", () => import("./views/layers.js")],
  ["lessons", "Lessons", () => import("./views/lessons.js")],
  ["run", null, () => import("./views/run.js")],
];
const main = document.getElementById("main");
let shown = null; // the view on the page: { close }
let number = 0;

async function show() {
  const [, name = "runs", ...rest] = location.hash.replace(/^#/, "").split("/");
  const parts = rest.map(decodeURIComponent);
  const view = VIEWS.find(([key]) => key === name) ?? VIEWS[0];
  const mine = ++number;
  const module = await view[2]();
  if (mine !== number) return;
  if (shown?.name === view[0] && shown.update?.(parts)) return;
  shown?.close?.();
  shown = null;
  mark(view[0] === "run" ? "runs" : view[0]);
  const place = h("div", { class: `view ${view[0]}` });
  fill(main, place);
  let made = { name: "" };
  try {
    made = { name: view[0], ...(await module.show(place, parts)) };
  } catch (error) {
    if (!(error instanceof Failed)) console.error(error);
    fill(place, h("p", { class: "bad" }, error.message));
  }
  if (mine !== number) {
    made.close?.();
    return;
  }
  shown = made;
  if (mine > 1 && document.activeElement === document.body) main.focus({ preventScroll: true });
}

function mark(name) {
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS.find(([key]) => key === name)?.[1] ?? "Lab"} · Handgrad lab`;
}

const links = VIEWS.filter(([, title]) => title);
fill(
  document.getElementById("nav"),
  links.map(([name, title]) => h("a", { href: `#/${name}`, "data-view": name }, title)),
);

// -- theme: as the system has it, until the button says otherwise ---------------------------------------

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  const chosen = localStorage.getItem("handgrad-theme");
  root.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
  const other = root.dataset.theme === "dark" ? "Light" : "Dark";
  document.getElementById("theme").textContent = other;
  document.getElementById("theme").setAttribute("aria-label", `${other} theme`);
  dispatchEvent(new Event("theme"));
}

document.getElementById("theme").addEventListener("click", () => {
  localStorage.setItem("handgrad-theme", root.dataset.theme === "dark" ? "light" : "dark");
  paint();
});
dark.addEventListener("change", paint);
paint();

addEventListener("hashchange", show);
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
  else if (event.reason instanceof Failed) {
    event.preventDefault();
    toast(event.reason.message, true);
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show();
