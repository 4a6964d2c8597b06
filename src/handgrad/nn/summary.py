"""The table that ``summary()`` of a network shows."""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[str, str, str, str]


def as_table(title: str, rows: Sequence[Row], total: int) -> str:
    """Return a table of layers: name, what it computes, output shape, number of parameters."""
    head: Row = ("layer", "computes", "output", "parameters")
    every = [head, *rows, ("total", "", "", f"{total:,}")]
    first, second, third, last = (max(map(len, column)) for column in zip(*every, strict=True))
    lines = [f"{a:<{first}}  {b:<{second}}  {c:>{third}}  {d:>{last}}" for a, b, c, d in every]
    rule = "-" * len(lines[0])
    lines = [title, lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join(line.rstrip() for line in lines)


def by(shape: int | tuple[int, ...]) -> str:
    """Return a shape as in "32 x 16 x 16"."""
    return " x ".join(map(str, shape)) if isinstance(shape, tuple) else str(shape)
