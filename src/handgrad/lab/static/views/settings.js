// The settings of a run, its tags and notes, and the way to the trash.

import { post } from "../api.js";
import { button, field, fill, h } from "../dom.js";
import { keepNotes } from "./runs.js";

export function part(run, place) {
  const tags = h("input", { type: "text", value: run.row.tags.join(", "), placeholder: "best, for the talk" });
  const notes = h("textarea", { rows: "5", value: run.row.notes });
  const keep = () => keepNotes(run.row, tags.value.split(",").map((t) => t.trim()).filter(Boolean), notes.value);
  const trash = async () => {
    if (!confirm("Move this run to the folder .trash? You can move it back by hand.")) return;
    await post("trash", { id: run.id });
    location.hash = "#/runs";
  };
  fill(
    place,
    h("section", { class: "narrow" }, h("h2", {}, "Tags and notes"), field("Tags", tags), field("Notes", notes),
      button("Keep", keep, { class: "strong" })),
    h("section", {}, h("h2", {}, "Network"), h("pre", { tabindex: "0" }, run.summary || "–")),
    h("section", {}, h("h2", {}, "config.toml"), h("pre", { tabindex: "0" }, run.config)),
    h("section", {}, h("h2", {}, "Trash"), button("Move to the trash", trash, { class: "risky" })),
  );
  return {};
}
