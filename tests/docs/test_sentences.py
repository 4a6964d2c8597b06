"""Sentences are short: tests/docs/sentences.py prints those that are not."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("sentences", Path(__file__).with_name("sentences.py"))
sentences = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sentences)

LONG = "word " * 41


def hard(paragraphs):
    return [s for _, text in paragraphs for s in sentences.sentences(text) if sentences.is_hard(s)]


def test_no_sentence_is_too_long():
    assert not list(sentences.hard())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (LONG + "end.", 1),
        ("word " * 20 + "end. " + "word " * 30 + "end.", 0),
        ("`" + LONG + "` is one word.", 0),
        ("A word (" + LONG + ") in front.", 0),
        ("one; two; three; four.", 1),
        ("one; two; three.", 0),
        ("- " + "word " * 30 + "\n- " + "word " * 30, 0),
        ("- " + "word " * 30 + "\n  " + "word " * 30, 1),
        ("word " * 30 + "\n\n" + "word " * 30, 0),
        ("left    " + LONG, 0),
    ],
)
def test_what_is_too_long(text, count):
    assert len(hard(sentences.paragraphs(list(enumerate(text.splitlines(), start=1))))) == count


def test_docstrings_comments_and_messages_are_read():
    for source in (
        f'"""{LONG}."""',
        f"# {LONG}.",
        f'raise ValueError("{LONG}.")',
        f'def f(x):\n    """One.\n\n    Args:\n        x: {LONG}.\n    """',
    ):
        assert len(hard(sentences.of_source(source))) == 1, source[:20]
    assert not hard(sentences.of_source(f'code = "{LONG}|{LONG}"'))
    assert len(hard(sentences.paragraphs(list(sentences.comments(f"// {LONG}\n", "//"))))) == 1
