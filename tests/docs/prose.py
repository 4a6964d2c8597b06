"""The rules of prose that a program can check: `python tests/docs/prose.py` prints what breaks them.

Lines of at most 120 characters; no phrase that makes a reader look back or guess; an example for every
public name.  What is read: README, CONTRIBUTING, CHANGELOG, SECURITY, docs/, the docstrings, comments and
messages of src/, and the comments of native/.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 120
BANNED = (
    r"\bthe (latter|former)\b",
    r"\bbesides\b",
    r"\bnobody('s| else| needs| has| looks| reads| listens| can| is| knows| had)\b",
    r"(?<!into )\brectifiers?\b",
    r"\b(so|as) (below|above|here), too\b|\bbelow, too\b",
    r"\bthe (second|third) for\b",
    r"\bwhat \w+ gives\b",
    r"\bhas not (the|a|an|x's|its)\b",
    r"\bthe second (of|is|one)\b",
    r"\bin order to\b",
    r"\bsimply\b|\bobviously\b|\bof course\b",
)


def pages() -> list[Path]:
    """The pages that people read."""
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    kit = ROOT / "src/handgrad/courses/kit/files"
    return [*own, *sorted((ROOT / "docs").glob("**/*.md")), *sorted(kit.rglob("*.md"))]


def lines_of_page(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of prose of a Markdown page: no code, no tables, no front matter."""
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        mark = re.match(r"\s*(```+|\$\$|---$)", line)
        if mark and (not fence or line.strip().startswith(fence)):
            alone = mark.group(1) == "$$" and line.strip() != "$$" and line.rstrip().endswith("$$")
            fence = "" if fence or alone else mark.group(1)
        elif not fence and not line.startswith(("|", "    ", "![", "#")):
            yield number, line


def lines_of_source(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of docstrings and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            doc = node.body[0]
            for offset, line in enumerate(doc.value.value.splitlines()):
                yield doc.lineno + offset, line
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value.partition("\n")[0][:LONGEST]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.search(
            r"# (noqa|type: ignore|fmt:)", token.string
        ):
            yield token.start[0], token.line.rstrip("\n")


def lines_of_native(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of C++ that hold a comment."""
    for number, line in enumerate(text.splitlines(), start=1):
        if "//" in line:
            yield number, line.strip()


def broken() -> Iterator[str]:
    """Yield each line of prose that breaks a rule, with its place and the reason."""
    sources = sorted((ROOT / "src").rglob("*.py"))
    native = sorted(path for path in (ROOT / "native").rglob("*") if path.suffix in (".h", ".cpp"))
    readers = {
        ".py": lines_of_source,
        ".md": lines_of_page,
        ".h": lines_of_native,
        ".cpp": lines_of_native,
    }
    for path in [*pages(), *sources, *native]:
        text = path.read_text("utf-8")
        read = readers[path.suffix]
        for number, line in read(text):
            place = f"{path.relative_to(ROOT).as_posix()}:{number}"
            if len(line) > LONGEST:
                yield f"{place}: {len(line)} characters"
            for pattern in BANNED:
                if found := re.search(pattern, line):
                    yield f'{place}: "{found.group()}"'


def without_example() -> Iterator[str]:
    """Yield the public functions and classes whose docstring shows no example."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        api_pages = importlib.import_module("api_pages")
    finally:
        sys.path.remove(str(ROOT / "docs"))
    noted = set(api_pages.layer_pages.NOTES)
    for module in api_pages.modules():
        for name in api_pages.names(module):
            value = getattr(module, name)
            if not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            if inspect.isclass(value) and issubclass(value, BaseException):
                continue
            file = getattr(inspect.unwrap(value), "__module__", "").rpartition(".")[2]
            if module.__name__ == "handgrad.layers" and file in noted:
                continue  # its page has one
            doc = inspect.getdoc(value) or ""
            if ">>>" not in doc and not re.search(r"^(Example|    \w+.*[=(])", doc, re.M):
                yield f"{module.__name__}.{name}"


if __name__ == "__main__":
    faults, bare = list(broken()), list(without_example())
    print(*faults, sep="\n")
    print(*(f"{name}: no example" for name in bare), sep="\n")
    print(
        f"{len(faults)} lines of prose against the rules, {len(bare)} public names without an example"
    )
    sys.exit(bool(faults))
