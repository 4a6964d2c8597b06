"""Who may ask the lab: a hundred attacks on every route and method, and what a good request gets."""

import copy
import json

import goals
import pytest

pytest.importorskip("starlette", reason="the lab is an extra")

from lab.asgi import HOST, PORT, TOKEN, ask, get, post, scope_of
from lab.attacks import attacks

from handgrad.lab.guard import LARGEST_BODY, LARGEST_UPLOAD, UPLOADS, Guard
from handgrad.lab.routes import application
from handgrad.lab.state import Lab

ATTACKS = attacks()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("runs"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def app(lab):
    return Guard(application(lab, TOKEN), TOKEN, [HOST, f"localhost:{PORT}"])


def routes(lab):
    """All routes of the application as (method, path)."""
    found = []
    for route in application(lab, TOKEN).routes:
        path = route.path.replace("{token}", TOKEN).replace("{name:path}", "app.js")
        found += [(method, path) for method in sorted(route.methods - {"HEAD"})]
    return sorted(found)


def good(method, path):
    """The scope of a request that passes."""
    headers = {"authorization": f"Bearer {TOKEN}"} if path.startswith("/api/") else {}
    if method == "POST":
        headers["content-type"] = (
            "application/octet-stream" if path in UPLOADS else "application/json"
        )
    return scope_of(method, path, headers, f"token={TOKEN}" if path == "/" else "")


class Reached:
    """An application that counts who reaches it."""

    def __init__(self):
        self.number = 0

    async def __call__(self, scope, receive, send):
        self.number += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})


def test_there_are_a_hundred_attacks_and_every_route_is_tried(lab):
    assert len({name for name, _ in ATTACKS}) == len(ATTACKS) >= 100
    paths = {path for _, path in routes(lab)}
    assert {"/", f"/{TOKEN}/app.js", f"/{TOKEN}/report", "/api/events", "/api/steer"} <= paths
    assert len(paths) >= 19


@pytest.mark.thorough
def test_no_attack_reaches_a_route(lab):
    inner = Reached()
    guard = Guard(inner, TOKEN, [HOST])
    tried = 0
    for _, path in routes(lab):
        for method in ("GET", "POST"):
            scope = good(method, path)
            before = inner.number
            assert ask(guard, copy.deepcopy(scope))[0] == 200, (method, path)
            assert inner.number == before + 1
            for name, change in ATTACKS:
                changed = copy.deepcopy(scope)
                change(changed)
                if changed == scope:
                    continue
                status, _, _ = ask(guard, changed)
                assert inner.number == before + 1, (name, method, path)
                assert status == 0 or status >= 400, (name, method, path)
                tried += 1
    assert tried > 100 * len(routes(lab))
    number = len({path for _, path in routes(lab)})
    goals.record(
        29,
        f"{len(ATTACKS)} attacks, each on {number} routes by two methods: {tried:,} tries, 0 passed",
    )


def test_each_answer_says_what_the_browser_must_not_do(app):
    for scope in (good("GET", "/"), good("GET", "/api/runs"), scope_of("GET", "/api/runs")):
        _, headers, _ = ask(app, scope)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers
        assert "access-control-allow-origin" not in headers


def test_the_page_and_its_files_are_given(app):
    status, headers, body = ask(app, good("GET", "/"))
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"/{TOKEN}/app.js".encode() in body
    status, headers, body = ask(app, good("GET", f"/{TOKEN}/app.js"))
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert ask(app, good("GET", f"/{TOKEN}/uplot/uPlot.js"))[0] == 200


@pytest.mark.parametrize(
    "name",
    ["../guard.py", "..%2fguard.py", "/etc/passwd", "uplot/../../guard.py", "app.js/", "", ".", "uplot",
     "APP.JS", "app.js\0.css", "uplot/LICENSE"],
)  # fmt: skip
def test_no_other_file_is_given(app, name):
    assert ask(app, good("GET", f"/{TOKEN}/{name}"))[0] == 404


def test_a_body_is_bounded_however_it_comes(app):
    scope = good("POST", "/api/check")
    body = json.dumps({"data": "x" * LARGEST_BODY}).encode()
    assert ask(app, scope, body)[0] == 413
    assert ask(app, good("POST", "/api/check"), body, parts=50)[0] == 413
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/octet-stream"}
    large = scope_of("POST", "/api/picture", {**headers, "content-length": str(LARGEST_UPLOAD + 1)})
    assert ask(app, large)[0] == 413


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_of_another_page_is_no_request(app, kind):
    scope = scope_of(
        "POST", "/api/steer", {"authorization": f"Bearer {TOKEN}", "content-type": kind}
    )
    assert ask(app, scope, b"{}")[0] == 415


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"1", b'"x"', b"{", b"[" * 50000, b'{"id": 1}', b'{"id": null}',
     b'{"id": "../.."}',
     b'{"id": "/etc"}', b'{"id": "x", "what": "network"}', b'{"id": {}, "given": []}', b"\xff\xfe",
     b'{"id": NaN}'],
)  # fmt: skip
def test_nonsense_is_a_line_of_text(app, lab, body):
    for method, path in routes(lab):
        if method != "POST" or path in UPLOADS:
            continue
        status, headers, text = ask(app, good(method, path), body)
        assert 400 <= status < 500, (path, text)
        assert headers["content-type"].startswith("application/json")
        assert set(json.loads(text)) == {"error"}
        assert b"Traceback" not in text


def test_a_run_is_found_by_its_id_alone(app, lab, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.toml").write_text("name = 'secret'\n")
    (outside / "history.jsonl").write_text("")
    (lab.folder.root / "link").symlink_to(outside)
    lab.folder.refresh()
    for run in ("link", "../" + outside.name, str(outside), "", ".", "..", "link/", "%2e%2e"):
        status, found = get(app, "run", f"id={run}")
        assert status == 400, run
        assert "secret" not in json.dumps(found)
        assert post(app, "trash", {"id": run})[0] == 400
    assert (outside / "config.toml").exists()
    assert get(app, "runs")[1]["runs"] == []
