"""Cells in Python 2 become Python 3: what the courses' notebooks of 2015 to 2017 need, and no more.

``lib2to3`` is gone since Python 3.13, and drops what Python 2 meant by ``/``.  Two passes do it here.
The first works on words, since the text is not Python 3 yet: ``print``, ``exec``, ``raise`` and ``except``
with commas, backquotes, ``<>``, renamed names and modules.  The second works on the syntax tree: the division
of whole numbers, and the functions that returned lists.  Lines stay where they are, and comments too,
for comments state bounds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

_LEXEME = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<text>(?:[uU]?[bB]?[rR]?)(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\""
    r"|'(?:\\.|[^\\\n'])*'|\"(?:\\.|[^\\\n\"])*\"))"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<number>(?:\d[\w.]*(?:(?<=[eE])[-+]\d+)?|\.\d\w*(?:(?<=[eE])[-+]\d+)?))"
    r"|(?P<space>(?:\\\n|[ \t\f])+)"
    r"|(?P<line>\n)"
    r"|(?P<sign><>|>>=?|<<=?|\*\*=?|//=?|[-+*/%&|^=!<>]=|.)",
    re.DOTALL,
)
_RENAMED = {
    "xrange": "range", "raw_input": "input", "unicode": "str", "unichr": "chr", "long": "int",
    "basestring": "str", "cPickle": "pickle", "StringIO": "io", "cStringIO": "io",
    "urllib2": "urllib.request", "izip": "zip", "imap": "map",
}  # fmt: skip
_METHODS = {"iteritems": "items", "itervalues": "values", "iterkeys": "keys"}
_LISTS = ("map", "filter", "zip", "range")
_TAKERS = (
    "list", "tuple", "set", "sorted", "dict", "sum", "max", "min", "enumerate", "any", "all",
    "iter", "len", "zip", "map", "filter",
)  # fmt: skip
_OPENING, _CLOSING = "([{", ")]}"
_HAS_KEY = re.compile(r"(\b[\w.]+)\.has_key\(([^()]*)\)")
_NEXT = re.compile(r"(\b[\w.]+)\.next\(\)")
_ITERTOOLS = re.compile(
    r"^([ \t]*)from itertools import (?:izip|imap)(?:\s*,\s*(?:izip|imap))*[ \t]*$", re.M
)


class _Lexeme(NamedTuple):
    kind: str
    text: str


def convert_cells(cells: Sequence[Any]) -> None:
    """Convert the code cells of a notebook in place; a ``from __future__`` holds for those behind it."""
    divides = False
    for cell in cells:
        divides = (
            divides or re.search(r"from __future__ import .*\bdivision", cell.source) is not None
        )
        cell.source = convert(cell.source, floors=not divides)


def convert(source: str, *, floors: bool = True) -> str:
    """Return the cell `source` in Python 3; what is Python 3 already keeps its words.

    Args:
        source: one cell, IPython's ``%`` and ``!`` lines included.
        floors: whether ``/`` of two whole numbers gives a whole number.

    >>> convert("print 'half:', 1 / 2")
    "print('half:', old_div(1, 2))"
    """
    lines = [
        re.match(r"[ \t]*", line)[0].expandtabs(8) + line.lstrip(" \t")  # type: ignore[index]
        for line in source.split("\n")
    ]
    magics: dict[int, str] = {}
    for i, line in enumerate(lines):
        if re.match(r"\s*(?:%|!)", line):
            magics[i] = line
            lines[i] = re.match(r"\s*", line)[0] + "pass"  # type: ignore[index]
    text = "".join(_words("\n".join(lines)))
    text = _NEXT.sub(r"next(\1)", _HAS_KEY.sub(r"(\2 in \1)", _ITERTOOLS.sub(r"\1pass", text)))
    text = _meanings(text, floors)
    lines = text.split("\n")
    for i, line in magics.items():
        lines[i] = line
    return "\n".join(lines)


# the first pass


def _words(source: str) -> Iterator[str]:
    """Yield the pieces of `source` with Python 2's statements and names replaced."""
    lexemes = [_Lexeme(match.lastgroup or "", match[0]) for match in _LEXEME.finditer(source)]
    starts, depth, i = True, 0, 0
    while i < len(lexemes):
        kind, text = lexemes[i]
        if starts and kind == "name" and text in _STATEMENTS and not _is_name(lexemes, i):
            end = _end(lexemes, i + 1, stop=":" if text == "except" else ";")
            yield _STATEMENTS[text](lexemes[i + 1 : end])
            i, starts = end, False
            continue
        yield _word(lexemes, i)
        if kind in ("space", "comment"):
            pass
        elif kind == "line":
            starts = depth == 0
        else:
            depth += (text in _OPENING) - (text in _CLOSING) if len(text) == 1 else 0
            starts = depth == 0 and text in (";", ":")
        i += 1


def _is_name(lexemes: Sequence[_Lexeme], i: int) -> bool:
    """Return whether the word at `i` is used as a name, as in ``print = log``."""
    following = next((item.text for item in lexemes[i + 1 :] if item.kind != "space"), "")
    return following in ("=", ".", ",", ")")


def _word(lexemes: Sequence[_Lexeme], i: int) -> str:
    """Return the lexeme at `i` in Python 3."""
    kind, text = lexemes[i]
    before = lexemes[i - 1].text if i else ""
    if kind == "name":
        return _METHODS.get(text, text) if before == "." else _RENAMED.get(text, text)
    if kind == "number" and re.fullmatch(r"\d+[lL]", text):
        return text[:-1]
    if kind == "number" and re.fullmatch(r"0[0-7]+", text) and text.strip("0"):
        return "0o" + text[1:]
    if kind == "text":
        return re.sub(r"^[uU]([bBrR]*)", r"\1", text)
    if text == "`":
        opens = sum(item.text == "`" for item in lexemes[:i]) % 2 == 0
        return "repr(" if opens else ")"
    return "!=" if text == "<>" else text


def _end(lexemes: Sequence[_Lexeme], start: int, stop: str) -> int:
    """Return where the statement that goes on at `start` ends: at a line's end, a comment, or `stop`."""
    depth = 0
    for i in range(start, len(lexemes)):
        kind, text = lexemes[i]
        if depth == 0 and (kind in ("line", "comment") or text == stop):
            while i > start and lexemes[i - 1].kind == "space":
                i -= 1
            return i
        if kind == "sign":
            depth += (text in _OPENING) - (text in _CLOSING)
    return len(lexemes)


def _parts(lexemes: Sequence[_Lexeme]) -> list[str]:
    """Return the texts between the commas of `lexemes`, in Python 3."""
    parts, depth = [""], 0
    for i, (kind, text) in enumerate(lexemes):
        if kind == "sign":
            depth += (text in _OPENING) - (text in _CLOSING)
        if text == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += _word(lexemes, i)
    return [part.strip() for part in parts]


def _print(lexemes: Sequence[_Lexeme]) -> str:
    parts = _parts(lexemes)
    if parts == [""]:
        return "print()"
    if len(parts) == 1 and _is_enclosed(lexemes):
        return "print" + "".join(_word(lexemes, i) for i in range(len(lexemes)))
    options = ""
    if parts[0].startswith(">>"):
        options = f", file={parts.pop(0)[2:].strip()}"
    if parts and parts[-1] == "":
        parts.pop()
        options += ', end=" "'
    return f"print({', '.join(parts)}{options})" if parts else f"print({options[2:]})"


def _is_enclosed(lexemes: Sequence[_Lexeme]) -> bool:
    """Return whether `lexemes` are one pair of parentheses, so that ``print (x)`` is a call already."""
    words = [text for kind, text in lexemes if kind not in ("space", "line", "comment")]
    depth = 0
    for i, text in enumerate(words):
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return i == len(words) - 1 and text == ")"
    return False


def _raise(lexemes: Sequence[_Lexeme]) -> str:
    parts = _parts(lexemes)
    if len(parts) == 1:
        return f"raise {parts[0]}".rstrip()
    return f"raise {parts[0]}({parts[1]})"


def _except(lexemes: Sequence[_Lexeme]) -> str:
    parts = _parts(lexemes)
    if len(parts) == 1:
        return f"except {parts[0]}".rstrip()
    return f"except {parts[0]} as {parts[1]}"


def _exec(lexemes: Sequence[_Lexeme]) -> str:
    code = "".join(_word(lexemes, i) for i in range(len(lexemes))).strip()
    if code.startswith("("):
        return f"exec{code}"
    parts = re.split(r"\s+in\s+", code, maxsplit=1)
    return f"exec({', '.join(parts)})"


_STATEMENTS = {"print": _print, "raise": _raise, "except": _except, "exec": _exec}


# the second pass


def _meanings(source: str, floors: bool) -> str:
    """Return `source`, Python 3 by its words, with what Python 2 meant by ``/`` and by its lists."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    edits: list[tuple[int, int, str]] = []  # from, to, what stands there instead
    content = source.encode()
    starts = [0]
    for line in content.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)

    def span(node: Any) -> tuple[int, int]:
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def around(node: Any, before: str, after: str) -> None:
        start, end = span(node)
        edits.extend([(start, start, before), (end, end, after)])

    for node, parent in _with_parents(tree):
        if _gives_list(node, parent):
            around(node, "list(", ")")
        elif floors and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if not _is_float(node):
                around(node, "old_div(", ")")
                edits.append(_sign(content, span(node.left)[1], span(node.right)[0], b"/", ","))
        elif (
            floors
            and isinstance(node, ast.AugAssign)
            and isinstance(node.op, ast.Div)
            and not _is_float(node.value)
        ):
            text = f" = old_idiv({ast.unparse(node.target)},"
            edits.append(_sign(content, span(node.target)[1], span(node.value)[0], b"/=", text))
            end = span(node)[1]
            edits.append((end, end, ")"))
    # at one place, what closes comes before what opens, and an outer opening before an inner one
    order = sorted(range(len(edits)), key=lambda i: (edits[i][0], edits[i][2] != ")", i))
    pieces, place = [], 0
    for start, end, text in (edits[i] for i in order):
        pieces += [content[place:start], text.encode()]
        place = end
    return b"".join([*pieces, content[place:]]).decode()


def _with_parents(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            yield node, parent


def _gives_list(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether `node` gave a list in Python 2, and `parent` may need one."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        if called.attr not in ("keys", "values", "items") or node.args:
            return False
    elif not (isinstance(called, ast.Name) and called.id in _LISTS):
        return False
    if isinstance(parent, ast.For | ast.comprehension) and parent.iter is node:
        return False
    return not (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Name)
        and parent.func.id in _TAKERS
    )


def _is_float(node: ast.AST) -> bool:
    """Return whether `node` is plainly no whole number."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.BinOp):
        return _is_float(node.left) or _is_float(node.right)
    if isinstance(node, ast.UnaryOp):
        return _is_float(node.operand)
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    )


def _sign(content: bytes, start: int, end: int, sign: bytes, text: str) -> tuple[int, int, str]:
    """Return the edit that puts `text` in place of the operator `sign` between two operands."""
    gap = re.sub(rb"#[^\n]*", lambda match: b" " * len(match[0]), content[start:end])
    place = start + gap.index(sign)
    blanks = len(content[start:place]) - len(content[start:place].rstrip(b" "))
    return place - blanks, place + len(sign), text


# what converted cells call


def old_div(a: Any, b: Any) -> Any:
    """Return a / b as Python 2 does: rounded down where both are whole numbers."""
    return a // b if _is_whole(a) and _is_whole(b) else a / b


def old_idiv(a: Any, b: Any) -> Any:
    """Return what ``a /= b`` of Python 2 leaves in a; an array is divided in place."""
    if _is_whole(a) and _is_whole(b):
        a //= b
    else:
        a /= b
    return a


def _is_whole(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biu"
    return isinstance(value, int | np.integer)
