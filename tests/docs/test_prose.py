"""The rules of prose hold: tests/docs/prose.py prints what breaks them."""

import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).parent / "prose.py"
spec = importlib.util.spec_from_file_location("prose", PLACE)
prose = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prose)


def test_no_line_breaks_a_rule():
    assert not list(prose.broken())


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("word " * 30, 1),
        ("| a table " * 30, 0),
        ("    code " * 30, 0),
        ("```\n" + "code " * 30 + "\n```\nshort", 0),
        ("```\ncode\n```\n" + "word " * 30, 1),
        ("---\n" + "key " * 40 + "\n---\nshort", 0),
        ("$$" + "x " * 80 + "$$\n" + "word " * 30, 1),
    ],
)
def test_what_counts_as_prose_of_a_page(text, seen):
    long = [line for _, line in prose.lines_of_page(text) if len(line) > prose.LONGEST]
    assert len(long) == seen


def test_docstrings_and_comments_are_read():
    source = '"""One."""\n\n\ndef f():\n    """Two.\n\n    Three.\n    """\n    return 1  # four\n'
    found = " ".join(line for _, line in prose.lines_of_source(source))
    for word in ("One", "Two", "Three", "four"):
        assert word in found
    assert "def" not in found
