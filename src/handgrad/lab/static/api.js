// Questions to the server, and the stream of what changes.  The token is a part of this file's own address.

const token = new URL(import.meta.url).pathname.split("/")[1];
const headers = { authorization: `Bearer ${token}` };

export class Failed extends Error {}

async function answered(promise) {
  let response;
  try {
    response = await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed("the lab does not answer; is it still running?");
  }
  let found = null;
  try {
    found = await response.json();
  } catch {
    found = { error: `the lab answered ${response.status}` };
  }
  if (!response.ok) throw new Failed(found.error ?? `the lab answered ${response.status}`);
  return found;
}

export function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) query.append(name, one);
    }
  }
  return answered(fetch(`/api/${path}?${query}`, { headers, signal }));
}

export function post(path, body, signal = undefined) {
  const own = { ...headers, "content-type": "application/json" };
  return answered(fetch(`/api/${path}`, { method: "POST", headers: own, body: JSON.stringify(body), signal }));
}

export function upload(path, file) {
  const own = { ...headers, "content-type": "application/octet-stream" };
  return answered(fetch(`/api/${path}`, { method: "POST", headers: own, body: file }));
}

export function look(id, what, more = {}, signal = undefined) {
  return post("look", { id, what, ...more }, signal);
}

export function file(name) {
  return answered(fetch(`/${token}/${name}`));
}

export function reportAddress(id) {
  return `/${token}/report?id=${encodeURIComponent(id)}`;
}

// Reads server-sent events, and connects anew for as long as it is not closed.
export function events(params, handlers) {
  const control = { closed: false, abort: null };
  const line = document.getElementById("line");
  let wait = 500;

  async function once() {
    control.abort = new AbortController();
    const query = new URLSearchParams(params);
    const response = await fetch(`/api/events?${query}`, { headers, signal: control.abort.signal });
    if (!response.ok) throw new Failed(String(response.status));
    line.textContent = "";
    wait = 500;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        const [kind, data] = parsed(text.slice(0, end));
        text = text.slice(end + 2);
        if (kind) handlers[kind]?.(data);
      }
    }
  }

  async function forever() {
    while (!control.closed) {
      try {
        await once();
      } catch {
        // an error, or the server is gone: both are tried again
      }
      if (control.closed) return;
      line.textContent = "Reconnecting to the lab.";
      await new Promise((go) => setTimeout(go, wait));
      wait = Math.min(2 * wait, 5000);
    }
  }

  forever();
  return {
    close() {
      control.closed = true;
      control.abort?.abort();
      line.textContent = "";
    },
  };
}

function parsed(text) {
  let kind = "";
  let data = "";
  for (const row of text.split("\n")) {
    if (row.startsWith("event: ")) kind = row.slice(7);
    else if (row.startsWith("data: ")) data += row.slice(6);
  }
  return [kind, kind ? JSON.parse(data) : null];
}
