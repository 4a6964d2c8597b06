"""From a docstring to reStructuredText: its sections become fields, its formulas keep their lines.

Sphinx's own reader of Google-style docstrings (napoleon) makes the fields.  Before it, what a docstring
writes for people is made safe: stars and bars are no markup here, and an indented block keeps its lines.
"""

from __future__ import annotations

import re

from sphinx.ext.napoleon import Config, GoogleDocstring

SECTIONS = ("Args", "Arguments", "Attributes", "Raises", "Returns", "Yields", "Example", "Examples")
_CONFIG = Config(
    napoleon_google_docstring=True,
    napoleon_use_param=True,
    napoleon_use_rtype=False,
    napoleon_use_ivar=True,
)


def heading(title: str, line: str) -> str:
    """Return a heading, underlined."""
    return f"{title}\n{line * len(title)}"


def as_rst(doc: str) -> str:
    """Return a docstring, without its indentation, as reStructuredText."""
    prepared = _sections_apart(_blocks(doc.strip("\n").rstrip().splitlines()))
    lines = GoogleDocstring("\n".join(prepared), _CONFIG).lines()
    return "\n".join(lines).strip()


def _blocks(lines: list[str]) -> list[str]:
    """Show indented blocks of the text as they stand; escape what is markup in the rest."""
    found: list[str] = []
    literal, section = False, False
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        blank = not line.strip()
        if not blank and indent == 0:
            section = line.rstrip().rstrip(":") in SECTIONS and line.rstrip().endswith(":")
            literal = False
        starts = indent >= 4 and not section and not blank and not literal
        if starts and not any(one.strip() for one in found[-1:]) and not _is_doctest(line):
            if not (found and _last(found).endswith("::")):
                found += [".. code-block:: none", ""]
            literal = True
        found.append(line if literal or _is_doctest(line) or _in_doctest(lines, i) else safe(line))
    return found


def _last(lines: list[str]) -> str:
    return next((line.rstrip() for line in reversed(lines) if line.strip()), "")


def _is_doctest(line: str) -> bool:
    return line.lstrip().startswith((">>>", "... "))


def _in_doctest(lines: list[str], i: int) -> bool:
    """Whether a line is the output of an example: no blank line between it and its prompt."""
    while i >= 0 and lines[i].strip():
        if _is_doctest(lines[i]):
            return True
        i -= 1
    return False


def safe(line: str) -> str:
    """Escape stars, bars and trailing underscores outside of backticks."""
    parts = re.split(r"(``.*?``|`[^`]*`)", line)
    for k in range(0, len(parts), 2):
        parts[k] = re.sub(r"([*|`])", r"\\\1", parts[k])
        parts[k] = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", parts[k])
    for k in range(1, len(parts), 2):
        # a reference in single backticks is followed by a space, a stop or a backslash that joins
        if parts[k].startswith("`") and parts[k + 1][:1].isalnum():
            parts[k] += "\\ "
    return "".join(parts)


def _sections_apart(lines: list[str]) -> list[str]:
    """Give each error of ``Raises: A: why.  B: why.`` a line of its own."""
    found: list[str] = []
    raises = False
    for line in lines:
        if line.strip() and not line.startswith(" "):
            raises = line.strip() == "Raises:"
        if raises and line.startswith(" "):
            indent = line[: len(line) - len(line.lstrip())]
            first, *more = re.split(r"(?<=\.)\s+(?=(?:\w+(?:Error|Interrupt)(?:, )?)+:)", line)
            found += [first, *[indent + one for one in more]]
        else:
            found.append(line)
    return found
