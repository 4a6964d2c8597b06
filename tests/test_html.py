"""Sentences on pages: code is code, and nothing of a stranger's becomes HTML."""

import pytest

from handgrad.checker.verdict_page import page
from handgrad.html import prose


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`dx` is wrong", "<code>dx</code> is wrong"),
        ("`a < b`, <b>`", "<code>a &lt; b</code>, &lt;b&gt;`"),
        ("no `code\nover` lines", "no `code\nover` lines"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
    ],
)
def test_prose(text, shown):
    assert prose(text) == shown


def test_a_page_of_verdicts_shows_code():
    record = {
        "function": "f",
        "verdict": "right",
        "causes": [],
        "reason": "`np.sum` is missing",
        "errors": {},
        "cautions": ["use `x`"],
    }
    shown = page("title", [record], above=["read `README`"])
    assert "`" not in shown
    for word in ("np.sum", "x", "README"):
        assert f"<code>{word}</code>" in shown
