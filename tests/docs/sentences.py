"""Sentences that are too long: `python tests/docs/sentences.py` prints them.

A sentence ends with a stop, a colon, or its paragraph.  What stands in backticks or quotes counts as one
word, what stands in parentheses as none.  Read are the pages (but for the studies' sentences, which a
program writes), docstrings, the comments of src/ and native/, and messages and help texts.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PLACE = Path(__file__).with_name("prose.py")
spec = importlib.util.spec_from_file_location("prose", PLACE)
assert spec
assert spec.loader
prose = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prose)

WORDS = 40
CLAUSES = 3  # as many semicolons in one sentence are a list that was not given lines
ITEM = re.compile(r"\s*([-*]|\d+\.)\s|\s*(?P<field>\w[\w, *]*(\(optional\))?: )")
COLUMNS = re.compile(r"[^\s.!?:]\s{2,}\S")  # what is lined up is no sentence


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph, without what is no prose in them."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"``[^`]*``|`[^`]*`|\"[^\"]*\"|'[^' ]*'|\$[^$]*\$", "x", text)
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    return re.split(r"(?<=[.!?:])['*\"]*\s+", text)


def is_hard(sentence: str) -> bool:
    """Whether a sentence has too many words, or is a chain of semicolons."""
    return len(sentence.split()) > WORDS or sentence.count(";") >= CLAUSES


def paragraphs(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join lines to paragraphs: a blank line, an item, a field, code or a gap in the numbers ends one."""
    parts: list[str] = []
    first = last = 0
    for number, line in [*lines, (0, "")]:
        text = line.strip()
        code = text.startswith((">>>", "...", "|", "=", "#", "<", ":::", ".. ")) or COLUMNS.search(
            text
        )
        item = ITEM.match(line)
        if parts and (not text or code or item or number != last + 1):
            yield first, " ".join(parts)
            parts = []
        last = number
        if not text or code:
            continue
        first = first if parts else number
        parts.append(
            text[item.end("field") - len(line) + len(line.lstrip()) :]
            if item and item["field"]
            else text
        )


def of_source(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of docstrings and comments, and the longer texts of the program."""
    tree = ast.parse(text)
    docs = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            doc = node.body[0].value
            docs.add(doc)
            yield from paragraphs(list(enumerate(doc.value.splitlines(), start=doc.lineno)))
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (
            is_text
            and node not in docs
            and node.value.count(" ") > WORDS / 2
            and not re.search(r"[\n|]", node.value)
        ):
            yield node.lineno, node.value
    yield from paragraphs(list(comments(text, "#")))


def comments(text: str, mark: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are comments alone."""
    for number, line in enumerate(text.splitlines(), start=1):
        text = line.strip().removeprefix(mark)
        if line.strip().startswith(mark):
            yield number, "" if text.startswith("   ") else text.rstrip()


def hard() -> Iterator[str]:
    """Yield each sentence that is too long, with its place."""
    root = prose.ROOT
    sources = sorted((root / "src").rglob("*.py"))
    native = sorted(path for path in (root / "native").rglob("*") if path.suffix in (".h", ".cpp"))
    pages = [
        page for page in prose.pages() if page.name not in ("experiments.md", "reliability.md")
    ]
    for path in [*pages, *sources, *native]:
        text = path.read_text("utf-8")
        if path.suffix == ".md":
            found = paragraphs(list(prose.lines_of_page(text)))
        else:
            found = (
                of_source(text) if path.suffix == ".py" else paragraphs(list(comments(text, "//")))
            )
        for number, paragraph in found:
            for sentence in sentences(paragraph):
                if is_hard(sentence):
                    words = f"{len(sentence.split())} words, {sentence.count(';')} semicolons"
                    yield f"{path.relative_to(root).as_posix()}:{number}: {words}: {sentence[:90]}"


if __name__ == "__main__":
    faults = list(hard())
    print(*faults, f"{len(faults)} sentences that are too long", sep="\n")
    sys.exit(bool(faults))
