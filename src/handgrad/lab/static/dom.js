// Elements, numbers and texts.  What a user wrote is only ever set as text, never as HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(4).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// A sentence in pieces: what stands between backticks is code.
export function prose(text) {
  return String(text ?? "").split("`").map((piece, i, all) => {
    if (i % 2 === 0) return piece;
    return i === all.length - 1 ? `\`${piece}` : h("code", {}, piece);
  });
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children.flat(4));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(4).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  if (Math.abs(value) >= 1e5 || (Math.abs(value) < 1e-3 && value !== 0)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

export function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;
}

export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 60) return `${value.toFixed(1)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
}

export function ago(time) {
  const past = Date.now() / 1000 - time;
  if (past < 60) return "now";
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} d ago`;
}

export function shape(sizes) {
  return sizes && sizes.length ? sizes.join(" × ") : "–";
}

export function toast(text, bad = false) {
  const item = h("p", { class: bad ? "toast bad" : "toast" }, text);
  document.getElementById("toasts").append(item);
  setTimeout(() => item.remove(), bad ? 8000 : 4000);
}

export function button(text, onclick, options = {}) {
  return h("button", { type: "button", onclick, ...options }, text);
}

export function field(label, control, options = {}) {
  return h("label", { class: "field", ...options }, h("span", {}, label), control);
}

// A button that opens the system's choice of files.
export function fileButton(label, options, onfiles) {
  const input = h("input", { type: "file", "aria-label": label, ...options, onchange: () => {
    if (input.files.length) onfiles([...input.files]);
    input.value = "";
  } });
  return h("label", { class: "file" }, h("span", {}, label), input);
}

export function select(values, chosen, onchange, options = {}) {
  const items = values.map((v) => (Array.isArray(v) ? v : [v, v]));
  return h(
    "select",
    { onchange: (event) => onchange(event.target.value), ...options },
    items.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
}

// Runs f at most once a frame.
export function eachFrame(f) {
  let waiting = false;
  return (...given) => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      f(...given);
    });
  };
}
