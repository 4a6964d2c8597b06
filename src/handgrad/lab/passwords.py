"""The door of a lab that other machines can reach: a password, before the page is given with its token."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

PATHS = frozenset({"/", "/api/password"})
TRIES = 5  # wrong passwords in `LOCKED` seconds, from anywhere, after which none is looked at
LOCKED = 60.0
_LONGEST = 4096

_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Handgrad lab</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/api/password?style">
<script type="module" src="/api/password"></script>
<main><h1>Handgrad lab</h1><label>Password <input id="word" type="password" autofocus></label>
<button id="go">Open</button><p id="said" role="alert"></p></main></html>"""
_SCRIPT = b"""const word = document.getElementById("word"), said = document.getElementById("said");
async function go() {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ password: word.value });
  const answer = await fetch("/api/password", { method: "POST", headers, body });
  const found = await answer.json();
  if (answer.ok) location.replace("/?token=" + found.token);
  else said.textContent = found.error;
}
document.getElementById("go").addEventListener("click", go);
word.addEventListener("keydown", (event) => event.key === "Enter" && go());
"""

_STYLE = b"""body { margin: 0; min-height: 100vh; display: grid; place-items: center; color: #171b2c;
  background: #f5f6fb; font: 16px/1.5 system-ui, sans-serif; }
main { background: #fff; border: 1px solid #dfe2ee; border-radius: 14px; padding: 1.6rem 2rem;
  display: grid; gap: .8rem; }
h1 { margin: 0; font-size: 1.4rem; }
input, button { font: inherit; padding: .4rem .7rem; border: 1px solid #8a90a8; border-radius: 9px; }
button { background: #4a3fd0; color: #fff; border: 0; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid #4a3fd0; outline-offset: 2px; }
#said { color: #b3261e; margin: 0; min-height: 1.5em; }
@media (prefers-color-scheme: dark) {
  body { background: #0d0f17; color: #e9ebf5; }
  main { background: #161925; border-color: #2a2f42; }
  input { background: #0d0f17; color: inherit; }
  #said { color: #ff9a92; }
}
"""


class Door:
    """Ask for the password at ``/``, and give the token for it; pass on who has the token."""

    def __init__(self, app: Any, password: str, token: str) -> None:
        """Stand before `app`."""
        self.app = app
        self.token = token
        self._salt = os.urandom(16)
        self._hash = self._hashed(password)
        self._wrong: list[float] = []

    def _hashed(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode()[:_LONGEST], salt=self._salt, n=2**14, r=8, p=1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the door's own paths."""
        path = scope["path"]
        query = parse_qs(scope.get("query_string", b"").decode("ascii", "replace"))
        shown = query.get("token", [""])
        if path not in PATHS or (
            path == "/" and len(shown) == 1
            and secrets.compare_digest(shown[0].encode(), self.token.encode())
        ):  # fmt: skip
            await self.app(scope, receive, send)
        elif scope["method"] == "GET":
            page, kind = (_PAGE, b"text/html") if path == "/" else (_SCRIPT, b"text/javascript")
            if path != "/" and scope.get("query_string") == b"style":
                page, kind = _STYLE, b"text/css"
            await _send(send, 200, page, kind)
        elif path == "/":
            await _send(send, 405, b"method not allowed", b"text/plain")
        else:
            await self._look(receive, send)

    async def _look(self, receive: Any, send: Any) -> None:
        now = time.monotonic()
        self._wrong = [then for then in self._wrong if now - then < LOCKED]
        if len(self._wrong) >= TRIES:
            await _refuse(send, "too many wrong passwords; wait a minute")
            return
        self._wrong.append(now)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            given = json.loads(body)["password"]
            hashed = await asyncio.to_thread(self._hashed, str(given))
        except (ValueError, KeyError, TypeError, RecursionError):
            hashed = b""
        if not secrets.compare_digest(hashed, self._hash):
            await _refuse(send, "wrong password")
            return
        self._wrong.remove(now)
        answer = json.dumps({"token": self.token}).encode()
        await _send(send, 200, answer, b"application/json")


async def _refuse(send: Any, text: str) -> None:
    await _send(send, 403, json.dumps({"error": text}).encode(), b"application/json")


async def _send(send: Any, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind + b"; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
