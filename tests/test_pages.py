"""Hostile names in every text of every HTML page: nothing runs, nothing is asked for."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser

import goals
import pytest
import tomli_w

from handgrad.checker import verdict_page as checker_page
from handgrad.html import POLICY
from handgrad.report import write_report

ACT = "document.documentElement.setAttribute('pwned','1')"
WEB = "http://127.0.0.1:PORT"
HOSTILE = [
    f"<script>{ACT}</script>",
    f"<img src=x onerror=\"{ACT}\">",
    f"\"><svg onload=\"{ACT}\">",
    f"' onmouseover='{ACT}' x='",
    f"</title></style></pre></textarea><script>{ACT}</script>",
    f"<a href=\"javascript:{ACT}\">x</a>",
    f"<iframe srcdoc=\"<script>parent.{ACT}</script>\"></iframe>",
    f"<img src={WEB}/picture><link rel=stylesheet href={WEB}/style>",
    f"</style><style>@import url({WEB}/style);body{{background:url({WEB}/picture)}}</style>",
    f"<meta http-equiv=refresh content='0;url={WEB}/away'><base href={WEB}/>",
    f"<!-- --><script src={WEB}/script></script><!--",
    f"<object data={WEB}/object></object><form action={WEB}/form><button autofocus onfocus=\"{ACT}\">",
    "&lt;script&gt;&#60;script&#62;\u202e\u0000\ufeff",
]  # fmt: skip
EVERYTHING = " ".join(HOSTILE).replace("\0", "")
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "b", "pre",
        "section", "img", "table", "tr", "th", "td", "code", "small", "br"}  # fmt: skip
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "alt",
    "tabindex",
    "src",
    "style",
    "title",
}


class Reader(HTMLParser):
    """Notes what a page is made of."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.sources, self.metas, self.text = set(), set(), [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        self.sources += [values["src"]] if "src" in values else []
        if tag == "meta":
            self.metas.append(values)

    def handle_data(self, data):
        self.text.append(data)


def hostile_run(folder, text):
    """Write a run folder in which everything that may be a text is `text`; return its page."""
    config = {
        "name": text,
        "seed": text,
        "data": {"name": text, text: text},
        "model": {"name": text},
    }
    (folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    (folder / "summary.txt").write_text(text, encoding="utf-8")
    start = dict.fromkeys(("date", "engine", "cpu", "threads", "platform"), text)
    start |= {"kind": "start", "versions": {"handgrad": text, text: text}, "class_names": [text]}
    history = [
        start,
        {"kind": "epoch", "epoch": 1, "iteration": 3, "train_acc": 0.1, "val_acc": 0.2},
        {"kind": "warning", "epoch": 1, "iteration": text, "text": text},
        {"kind": "layers", "epoch": 1, "layers": {text: {"mean": 0, "std": 1, "zeros": 0.5}},
         "gradients": {text: {"norm": 1, "max": 1, "ratio": 1}}},
        {"kind": "end", "seconds": 1.0, "reason": text},
    ]  # fmt: skip
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, history)))
    evaluation = {"split": text, "accuracy": 0.5, "loss": 1.0, "count": text, "class_names": [text, "b"],
                  "confusion": [[1, 0], [0, 1]], "per_class": [1.0, None], "examples": {}}  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return write_report(folder).read_text(encoding="utf-8")


def hostile_check(text):
    """Return a page of the checker in which everything that may be a text is `text`."""
    heat = {
        "result": text,
        "configuration": text,
        "largest": 1.0,
        "axes": [[0.5]],
        "plane": [[1.0]],
    }
    record = {"function": text, "verdict": text, "reason": text, "errors": {text: text}, "file": text,
              "line": text, "causes": [{"says": text, "worst": text, "line": 3}], "maps": [heat]}  # fmt: skip
    return checker_page.page(
        text, [record, {**record, "causes": []}, {**record, "causes": [], "reason": ""}]
    )


def check(page, text):
    reader = Reader()
    reader.feed(page)
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    assert all(source.startswith("data:image/") for source in reader.sources)
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in reader.metas
    assert len([meta for meta in reader.metas if "http-equiv" in meta]) == 1
    shown = re.sub(r"\s+", " ", "".join(reader.text))
    assert re.sub(r"\s+", " ", text) in shown  # it is all there, as text


@pytest.mark.goal(
    30, "pages with hostile texts everywhere: no element, attribute or address of theirs"
)
@pytest.mark.parametrize("text", [*HOSTILE[:-1], EVERYTHING], ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(text, tmp_path, monkeypatch):
    monkeypatch.setattr("handgrad.report.page._figures", lambda *args: {})
    check(hostile_run(tmp_path, text), text)
    check(hostile_check(text), text)


def test_hostile_texts_in_figures(tmp_path):
    page = hostile_run(
        tmp_path, r"$x^{\frac$ <b> \alpha_"
    )  # which matplotlib might take for mathematics
    assert page.count("<img ") >= 2
    check(page, r"$x^{\frac$ <b> \alpha_")


def test_the_policy_allows_nothing_from_outside():
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules == {"default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'",
                     "base-uri": "'none'", "form-action": "'none'"}  # fmt: skip


CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


class Listener(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        self.send_error(404)

    def log_message(self, *arguments):
        """Stay quiet."""


@pytest.fixture
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def opened(path, profile):
    """Open a page in a headless browser; return what became of it."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
               "--virtual-time-budget=3000", "--dump-dom", path.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_nothing_runs_in_a_browser(listener, tmp_path, monkeypatch):
    text = EVERYTHING.replace("PORT", str(listener.server_port))
    (tmp_path / "run").mkdir()
    pages = {"report": hostile_run(tmp_path / "run", text), "checker": hostile_check(text)}
    for name, page in pages.items():
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
        dom = opened(tmp_path / f"{name}.html", tmp_path / "profile")
        assert 'pwned="1"' not in dom[:2000]
        assert "Content-Security-Policy" in dom
    assert listener.seen == []
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    text = text.replace("http-equiv=refresh", "")  # which would leave the page that is looked at
    (tmp_path / "open.html").write_text(f"<!doctype html><html><head></head><body>{text}")
    dom = opened(tmp_path / "open.html", tmp_path / "profile")
    assert 'pwned="1"' in dom[:2000]  # without escaping and policy it does run
    assert listener.seen
    listener.seen.clear()
    held = f"<!doctype html><html><head>{policy}</head><body>{text}"
    (tmp_path / "held.html").write_text(held)
    dom = opened(tmp_path / "held.html", tmp_path / "profile")
    assert 'pwned="1"' not in dom[:2000]  # and the policy alone holds what is not escaped
    assert listener.seen == []
    goals.record(30, f"{len(pages)} pages with {len(HOSTILE)} hostile texts in Chromium: 0 scripts run, 0 "
                     "requests; the policy alone holds them too")  # fmt: skip


def test_code_in_a_sentence_is_shown_as_code():
    cause = {
        "name": "repair",
        "says": "right with `x < 0`",
        "line": 1,
        "worst": "",
        "repaired": None,
    }
    record = {
        "function": "relu_backward", "file": "a.py", "line": 1, "verdict": "WRONG",
        "reason": "", "errors": {},
        "causes": [cause], "cautions": ["`b` is of shape (1, M)"], "source": [(1, "return `")], "maps": [],
    }  # fmt: skip
    text = checker_page.page("a", [record], above=["pass `--course`"])
    assert text.count("right with <code>x &lt; 0</code>") == 2
    assert "note: <code>b</code> is of shape" in text
    assert "pass <code>--course</code>" in text
    assert "return `" in text  # source stays as it is
