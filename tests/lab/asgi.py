"""Requests to an ASGI application in this process, and a small lab to ask."""

import asyncio
import json

PORT = 8123
HOST = f"127.0.0.1:{PORT}"
TOKEN = "0123456789abcdef0123456789abcdef"


def scope_of(method, path, headers=None, query=""):
    given = {
        "host": HOST,
        **({"origin": f"http://{HOST}"} if method == "POST" else {}),
        **(headers or {}),
    }
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in given.items() if v is not None],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", PORT),
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }


async def _send(app, scope, body, parts):
    messages, found = [], []
    chunks = [body] if parts == 1 else _cut(body, parts)
    for i, chunk in enumerate(chunks):
        messages.append({"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1})

    async def receive():
        if messages:
            return messages.pop(0)
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message):
        found.append(message)

    await app(scope, receive, send)
    return found


def _cut(body, parts):
    size = -(-len(body) // parts)
    return [body[i : i + size] for i in range(0, len(body), size)]


def ask(app, scope, body=b"", parts=1):
    """Return status, headers and body of the answer."""
    found = asyncio.run(asyncio.wait_for(_send(app, scope, body, parts), 20))
    if not found:
        return 0, {}, b""
    headers = {k.decode(): v.decode() for k, v in found[0].get("headers", [])}
    return found[0].get("status", 0), headers, b"".join(m.get("body", b"") for m in found[1:])


def get(app, name, query=""):
    """GET /api/`name` with everything as it should be; return status and JSON."""
    scope = scope_of("GET", f"/api/{name}", {"authorization": f"Bearer {TOKEN}"}, query)
    status, _, body = ask(app, scope)
    return status, json.loads(body)


def post(app, name, given, kind="application/json"):
    """POST to /api/`name` with everything as it should be; return status and JSON."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": kind}
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    status, _, body = ask(app, scope_of("POST", f"/api/{name}", headers), body)
    return status, json.loads(body)
