"""What stands before every route of the lab: who may ask, from where, how, and how much.

A request passes if all of these hold; else it gets a short text and nothing was done:

- its method is GET or POST, and it has one Host header, of the allow-list;
- an Origin header, if any, is of the allow-list, and a POST has one; a browser that says Sec-Fetch-Site says
  ``same-origin`` or, for the page itself, ``none``;
- it shows the token: the page in its query, the page's own files in their path, everything else in the header
  ``Authorization: Bearer``;  no cookie is ever set, since cookies go to every port of a host;
- its body is of a kind that is known, no longer than is allowed, and comes in time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1 << 18  # bytes of a request
LARGEST_UPLOAD = 8 << 20
UPLOADS = ("/api/picture", "/api/pictures", "/api/table")
BODY_TIME = 10.0  # seconds for a body to come
SEND_TIME = 20.0  # seconds for a client to take a part of an answer
LONGEST_QUERY = 8192

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that does not pass."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class TooSlow(Exception):
    """A client that does not take its answer."""


class Guard:
    """An ASGI application in front of another one; see the module."""

    def __init__(self, app: App, token: str, hosts: Iterable[str], secure: bool = False) -> None:
        """Let those pass to `app` who show `token` and ask one of `hosts`, as "127.0.0.1:8000"."""
        self.app = app
        self.token = token.encode()
        self.hosts = {host.lower().encode() for host in hosts}
        scheme = b"https://" if secure else b"http://"
        self.origins = {scheme + host for host in self.hosts}
        self.open_paths: frozenset[str] = (
            frozenset()
        )  # that need no token, as the page of a password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        try:
            headers = _headers(scope)
            self._check_place(scope, headers)
            self._check_token(scope, headers)
            limit = self._limit(scope, headers)
        except Refused as refused:
            await _answer(send, refused.status, str(refused))
            return
        await self.app(scope, _limited(receive, limit), _with_headers(send))

    def _check_place(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if scope["method"] not in ("GET", "POST"):
            raise Refused(405, "method not allowed")
        if headers.get(b"host", b"").lower() not in self.hosts:
            raise Refused(403, "host not allowed")
        origin = headers.get(b"origin")
        if origin is None and scope["method"] == "POST":
            raise Refused(403, "origin missing")
        if origin is not None and origin.lower() not in self.origins:
            raise Refused(403, "origin not allowed")
        site = headers.get(b"sec-fetch-site", b"none")
        if site not in (b"same-origin", b"none"):
            raise Refused(403, "cross-site request")
        if b"upgrade" in headers or (
            b"transfer-encoding" in headers and b"content-length" in headers
        ):
            raise Refused(400, "bad request")
        if len(scope.get("query_string", b"")) > LONGEST_QUERY:
            raise Refused(414, "query too long")

    def _check_token(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        if path in self.open_paths:
            return
        shown = b""
        if path == "/":
            given = [v for k, v in _query(scope) if k == "token"]
            shown = given[0].encode() if len(given) == 1 else b""
        elif path.startswith("/api/"):
            kind, _, value = headers.get(b"authorization", b"").partition(b" ")
            shown = value if kind == b"Bearer" else b""
        else:
            shown = path[1:].partition("/")[0].encode()
        if not secrets.compare_digest(shown, self.token):
            raise Refused(403, "token missing or wrong; open the address that handgrad lab printed")

    def _limit(self, scope: Scope, headers: dict[bytes, bytes]) -> int:
        """Return how many bytes the body may have."""
        is_upload = scope["path"] in UPLOADS
        length = headers.get(b"content-length", b"")
        if scope["method"] == "GET":
            if length not in (b"", b"0") or b"transfer-encoding" in headers:
                raise Refused(400, "a GET has no body")
            return 0
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != (b"application/octet-stream" if is_upload else b"application/json"):
            raise Refused(415, "content type not allowed")
        limit = LARGEST_UPLOAD if is_upload else LARGEST_BODY
        if length and (not length.isdigit() or len(length) > 12 or int(length) > limit):
            raise Refused(413, "too large")
        return limit


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        text = scope.get("query_string", b"").decode("ascii")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise Refused(400, "bad query") from None


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name; Refused where one that counts is there twice."""
    found: dict[bytes, bytes] = {}
    once = (b"host", b"origin", b"authorization", b"content-type", b"content-length",
            b"sec-fetch-site", b"transfer-encoding")  # fmt: skip
    for name, value in scope["headers"]:
        lower = name.lower()
        if lower in found and lower in once:
            raise Refused(400, "header given twice")
        found[lower] = value
    return found


def _limited(receive: Receive, limit: int) -> Receive:
    """Return `receive` for a body of at most `limit` bytes that comes in time."""
    loop = asyncio.get_running_loop()
    until, got, is_over = loop.time() + BODY_TIME, 0, False

    async def limited() -> Message:
        nonlocal got, is_over
        if is_over:
            return await receive()  # waits for the end of the connection
        try:
            message = await asyncio.wait_for(receive(), max(until - loop.time(), 0.01))
        except TimeoutError:
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            is_over = not message.get("more_body", False)
            if got > limit:
                return {"type": "http.disconnect"}
        return message

    return limited


def _with_headers(send: Send) -> Send:
    """Return `send` that adds the headers of safety, and gives up a client that does not read."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given += [
                (k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names
            ]
            message = {**message, "headers": given}
        try:
            await asyncio.wait_for(send(message), SEND_TIME)
        except TimeoutError:
            raise TooSlow from None

    return guarded


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
    headers += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)),
                (b"connection", b"close")]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
