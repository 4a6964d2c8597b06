"""The likeliest slips of the pen in loops over images, and the edits that undo them.

Rows for columns, a stride that is forgotten, a loop over a number, a key of another case: each is one
change of the text that a person would make.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Sequence

from handgrad.checker.edit import Edit, own, replacing, setting

# what stands for rows and for columns, for filters and for channels
_TWINS = (
    ("height", "width"), ("h", "w"), ("H", "W"), ("row", "col"), ("i", "j"), ("x", "y"), ("r", "c"),
    ("F", "C"), ("f", "c"), ("N", "D"), ("mean", "var"), ("1", "2"), ("a", "b"), ("ii", "jj"),
    ("k", "l"), ("m", "n"), ("u", "v"), ("p", "q"), ("s", "t"),
)  # fmt: skip
_STRIDE = re.compile(r"str|^S$|^s$", re.I)


def likely(statement: ast.stmt, names: Sequence[str], texts: Sequence[str]) -> Iterator[Edit]:
    """Yield the likeliest edits of a statement; names, texts: the function's variables and strings."""
    yield from _mirrored(statement, names)
    yield from _keys(statement, texts)
    yield from _counted(statement, names)
    yield from _strided(statement, names)
    yield from _transposed(statement)
    yield from _longer(statement)
    yield from _wrapped(statement)


def twins(word: str, known: Sequence[str]) -> list[str]:
    """Return those of the known words that are `word` with rows for columns, or the like."""
    found = []
    for pair in _TWINS:
        for one, other in (pair, pair[::-1]):
            for case in (str, str.capitalize, str.upper):
                a, b = case(one), case(other)
                if a not in word:
                    continue
                found += [
                    word.replace(a, b),
                    *[
                        word[: at.start()] + b + word[at.end() :]
                        for at in re.finditer(re.escape(a), word)
                    ],
                ]
    return [one for one in dict.fromkeys(found) if one != word and one in known]


def _mirrored(statement: ast.stmt, names: Sequence[str]) -> Iterator[Edit]:
    """The twin of a variable, in one place or in the whole statement; two that are exchanged."""
    read = [node for node in own(statement) if isinstance(node, ast.Name) and node.id in names]
    for node in read:
        for twin in twins(node.id, names):
            yield setting(statement, node, "id", twin)
    for old in dict.fromkeys(node.id for node in read):
        for twin in twins(old, names):
            same = [node for node in read if node.id == old]
            other = [node for node in read if node.id == twin]
            if len(same) > 1 and not other:
                yield _renaming(statement, dict.fromkeys(same, twin))
            if other and old < twin:
                yield _renaming(statement, dict.fromkeys(same, twin) | dict.fromkeys(other, old))


def _renaming(statement: ast.stmt, new: dict[ast.Name, str]) -> Edit:
    before = {node: node.id for node in new}

    def put(names: dict[ast.Name, str]) -> None:
        for node, name in names.items():
            node.id = name

    return Edit(statement, lambda: put(new), lambda: put(before))


def _keys(statement: ast.stmt, texts: Sequence[str]) -> Iterator[Edit]:
    """The twin of a text, and the same in another case."""
    for node in own(statement):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            word = node.value
            cases = [word.capitalize(), word.upper(), word.lower(), word[:1].lower() + word[1:]]
            for other in dict.fromkeys([*twins(word, texts), *cases]):
                if other != word:
                    yield setting(statement, node, "value", other)


def _counted(statement: ast.stmt, names: Sequence[str]) -> Iterator[Edit]:
    """``range`` around a number that a loop runs over; a range from its end, or without its step."""
    if not isinstance(statement, ast.For):
        return
    over = statement.iter
    if not isinstance(over, ast.Call):
        call = ast.Call(func=ast.Name(id="range", ctx=ast.Load()), args=[over], keywords=[])
        yield setting(statement, statement, "iter", call)
    elif getattr(over.func, "id", "") in ("range", "xrange"):
        backwards = ast.Call(func=ast.Name(id="reversed", ctx=ast.Load()), args=[over], keywords=[])
        yield setting(statement, statement, "iter", backwards)
        if len(over.args) == 3:
            yield setting(statement, over, "args", over.args[:2])
        shorter = ast.BinOp(
            left=over.args[min(1, len(over.args) - 1)], op=ast.Sub(), right=ast.Constant(1)
        )
        at = min(1, len(over.args) - 1)
        yield setting(statement, over, "args", [*over.args[:at], shorter, *over.args[at + 1 :]])
        for step in (
            [name for name in names if _STRIDE.search(name)][:2] if len(over.args) == 1 else ()
        ):
            stepped = [ast.Constant(0), over.args[0], ast.Name(id=step, ctx=ast.Load())]
            yield setting(statement, over, "args", stepped)


def _strided(statement: ast.stmt, names: Sequence[str]) -> Iterator[Edit]:
    """A stride that is forgotten where a window begins and ends, or that is there once too often."""
    steps = [name for name in names if _STRIDE.search(name)][:3]
    slices = [node for node in own(statement) if isinstance(node, ast.Slice)]
    bounds = [
        (one, field)
        for one in slices
        for field in ("lower", "upper")
        if isinstance(getattr(one, field), ast.Name | ast.BinOp)
    ]
    inside = [
        node
        for one, field in bounds
        for node in ast.walk(getattr(one, field))
        if isinstance(node, ast.Name) and len(node.id) <= 3 and node.id not in steps
    ]
    for step in steps:
        for old in dict.fromkeys(node.id for node in inside):
            yield _multiplying(statement, [node for node in inside if node.id == old], step)
    if steps and len({node.id for node in inside}) > 1:
        lowers = {one.lower.id for one in slices if isinstance(one.lower, ast.Name)}
        both = [node for node in inside if node.id in lowers]
        if both:
            yield _multiplying(statement, both, steps[0])


def _multiplying(statement: ast.stmt, nodes: list[ast.Name], step: str) -> Edit:
    """Put ``name * step`` in the place of each of the names."""
    edits = [
        replacing(
            statement,
            node,
            ast.BinOp(
                left=ast.Name(id=node.id, ctx=ast.Load()),
                op=ast.Mult(),
                right=ast.Name(id=step, ctx=ast.Load()),
            ),
        )
        for node in nodes
    ]

    def make() -> None:
        for edit in edits:
            edit.make()

    def undo() -> None:
        for edit in reversed(edits):
            edit.undo()

    return Edit(statement, make, undo)


def _transposed(statement: ast.stmt) -> Iterator[Edit]:
    """One factor of a product transposed, or flattened to rows; both the other way round."""
    for node in own(statement):
        for holder, field, at in _factors(node):
            factor = getattr(holder, field) if at is None else getattr(holder, field)[at]
            turned = ast.Attribute(value=copy.deepcopy(factor), attr="T", ctx=ast.Load())
            rows = ast.parse(
                f"({ast.unparse(factor)}).reshape(len({ast.unparse(factor)}), -1)", mode="eval"
            ).body
            for new in (turned, rows):
                if at is None:
                    yield setting(statement, holder, field, new)
                else:
                    all_of = getattr(holder, field)
                    yield setting(statement, holder, field, [*all_of[:at], new, *all_of[at + 1 :]])


def _factors(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield node, "left", None
        yield node, "right", None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    if node.func.attr in ("dot", "matmul"):
        owner = node.func.value
        if not (isinstance(owner, ast.Name) and owner.id in ("np", "numpy")):
            yield node.func, "value", None
        for at in range(len(node.args[:2])):
            yield node, "args", at


def _longer(statement: ast.stmt) -> Iterator[Edit]:
    """One more, or one less, where a size is computed."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.BinOp | ast.Call):
        for operator in (ast.Add(), ast.Sub()):
            more = ast.BinOp(left=statement.value, op=operator, right=ast.Constant(1))
            yield setting(statement, statement, "value", more)


def _wrapped(statement: ast.stmt) -> Iterator[Edit]:
    """A logarithm or an exponential that a part of a sum lacks."""
    for node in own(statement):
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)):
            continue
        for field in ("left", "right"):
            part = getattr(node, field)
            turned = isinstance(part, ast.UnaryOp)
            holder, inner = (part, "operand") if turned else (node, field)
            for name in ("log", "exp"):
                call = ast.parse(f"np.{name}(0)", mode="eval").body
                assert isinstance(call, ast.Call)
                call.args = [getattr(holder, inner)]
                yield setting(statement, holder, inner, call)
