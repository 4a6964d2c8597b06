"""A hundred ways to ask the lab that must not pass, each a change of a request that does."""

from lab.asgi import HOST, PORT, TOKEN

GOOD = f"http://{HOST}"


def _header(name, value):
    def change(request):
        kept = [(k, v) for k, v in request["headers"] if k != name.encode()]
        added = [] if value is None else [(name.encode(), value.encode("latin-1"))]
        request["headers"] = kept + added

    return change


def _twice(name, value):
    def change(request):
        request["headers"] = [*request["headers"], (name.encode(), value.encode())]

    return change


def _method(name):
    return lambda request: request.update(method=name)


def _shown(value):
    """Show another token, wherever the request shows one."""

    def change(request):
        if request["path"] == "/":
            request["query_string"] = b"" if value is None else f"token={value}".encode()
        elif request["path"].startswith("/api/"):
            _header("authorization", None if value is None else f"Bearer {value}")(request)
        else:
            rest = request["path"][1:].partition("/")[2]
            request["path"] = f"/{'' if value is None else value}/{rest}"

    return change


def _elsewhere(name, value):
    """Show the token at a place where it does not count."""

    def change(request):
        _shown(None)(request)
        if name == "query":
            request["query_string"] = value.encode()
            if request["path"] == "/":
                request["query_string"] = b"access_token=" + TOKEN.encode()
        else:
            _header(name, value)(request)
            if request["path"] != "/" and not request["path"].startswith("/api/"):
                request["path"] = "/" + request["path"].lstrip("/")

    return change


def _path(text):
    def change(request):
        request["path"] = text.replace("PATH", request["path"])
        _header("authorization", None)(request)
        request["query_string"] = b""

    return change


def _kind(name):
    def change(request):
        request["type"] = name

    return change


def _both(request):
    _header("content-length", "0")(request)
    _header("transfer-encoding", "chunked")(request)


METHODS = [
    "HEAD",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "PROPFIND",
    "FOO",
    "QUERY",
    "",
]
HOSTS = [
    None, "", "evil.example", f"evil.example:{PORT}", "127.0.0.1", "localhost", f"127.0.0.1:{PORT + 1}",
    f"127.0.0.1:{PORT}.evil.example", f"evil.example@127.0.0.1:{PORT}", f"127.0.0.1:{PORT}@evil.example",
    f"0.0.0.0:{PORT}", f"127.0.0.2:{PORT}", f"127.1:{PORT}", f"2130706433:{PORT}", f"0x7f000001:{PORT}",
    f"localhost.:{PORT}", f"localhost.evil.example:{PORT}", f"[::]:{PORT}", f"[::ffff:127.0.0.1]:{PORT}",
    f"127.0.0.1:0{PORT}", f" 127.0.0.1:{PORT}", f"127.0.0.1:{PORT}/", f"127.0.0.1:{PORT},evil.example",
    f"LOCALHOST.EVIL.EXAMPLE:{PORT}",
]  # fmt: skip
ORIGINS = [
    "null", "", "http://evil.example", f"http://evil.example:{PORT}", f"https://127.0.0.1:{PORT}",
    "http://127.0.0.1", f"http://127.0.0.1:{PORT + 1}", f"http://127.0.0.1:{PORT}.evil.example",
    f"http://evil.example/{GOOD}", f"{GOOD}/", f"{GOOD}@evil.example", f"http://user@127.0.0.1:{PORT}",
    "file://", "chrome-extension://abcdefghijklmnop", f"http://127.0.0.1:{PORT}\x00", f"{GOOD} http://evil.example",
    f"//127.0.0.1:{PORT}", f"127.0.0.1:{PORT}", f"ws://127.0.0.1:{PORT}", "*",
]  # fmt: skip
SITES = ["cross-site", "same-site", "", "SAME-ORIGIN-ish", "none, cross-site"]
TOKENS = [
    None, "", "0", TOKEN[:-1], TOKEN + "0", TOKEN[::-1], TOKEN.upper(), "0" * 32, "undefined", "null", "*",
    TOKEN[:16] + "0" * 16, "%00", TOKEN.replace("0", "O"), "a" * 4000,
]  # fmt: skip


def attacks():
    """Return (name, change) of each attack; `change` changes the scope of a good request."""
    found = [(f"method {name!r}", _method(name)) for name in METHODS]
    found += [(f"host {value!r}", _header("host", value)) for value in HOSTS]
    found += [(f"origin {value!r}", _header("origin", value)) for value in ORIGINS]
    found += [(f"site {value!r}", _header("sec-fetch-site", value)) for value in SITES]
    found += [(f"token {str(value)[:40]!r}", _shown(value)) for value in TOKENS]
    found += [
        ("cookie", _elsewhere("cookie", f"token={TOKEN}")),
        ("query of the API", _elsewhere("query", f"access_token={TOKEN}")),
        ("referer", _elsewhere("referer", f"{GOOD}/?token={TOKEN}")),
        ("header of one's own", _elsewhere("x-token", TOKEN)),
        ("host twice", _twice("host", HOST)),
        ("other host twice", _twice("host", "evil.example")),
        ("origin twice", _twice("origin", "http://evil.example")),
        ("upgrade", _header("upgrade", "websocket")),
        ("both lengths", _both),
        ("long query", lambda r: r.update(query_string=b"a" * 10000)),
        ("path up", _path("/../PATH")),
        ("path of two slashes", _path("/PATH")),
        ("absolute path", _path("http://127.0.0.1PATH")),
        ("path of a user", _path("/etc/passwd")),
        ("empty path", _path("")),
        ("path of dots", _path("/..;PATH")),
        ("backslashes", _path("\\PATH")),
        ("zero byte", _path("/\0PATH")),
        ("wrong length", _header("content-length", "-1")),
        ("length in words", _header("content-length", "many")),
        ("huge length", _header("content-length", "99999999999999999999")),
        ("large length", _header("content-length", str(1 << 30))),
        ("websocket", _kind("websocket")),
        ("host in capitals of another", _header("host", f"EVIL.EXAMPLE:{PORT}")),
    ]  # fmt: skip
    return found
