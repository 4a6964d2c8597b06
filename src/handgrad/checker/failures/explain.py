"""From an exception to words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from handgrad.checker import undisturbed
from handgrad.checker.failures import indices, names, shapes
from handgrad.checker.failures.point import Point, point_of
from handgrad.checker.records import Raised


class Watch(NamedTuple):
    """What is known of an exception: its kind, the words for it, the line.

    >>> Watch('IndexError', 'i is 4, but axis 2 has 4 places', 12).line
    12
    """

    kind: str
    says: str
    line: int


def explained(
    act: Callable[[], Any],
    raised: Raised,
    file: str,
    expected: Mapping[str, tuple[int, ...]],
    inputs: Mapping[str, tuple[int, ...]] | None = None,
) -> Watch | None:
    """Run `act` once more, and say why it raises; None if no words are found.

    file: of the code that is judged; expected, inputs: the shapes of results and of inputs by name.

    >>> explained(act, raised, 'layers.py', {})  # doctest: +SKIP
    """
    sizes = _sizes(inputs or {})
    found: list[Watch] = []

    def see(error: BaseException) -> None:
        if found or type(error).__name__ != raised.kind:
            return
        with contextlib.suppress(Exception):
            point = point_of(error)
            says = _words(point, expected, sizes) if point is not None else ""
            if point is not None and says:
                other = point.frame.f_code.co_filename
                place = "" if other == file else f"{Path(other).name}:{point.line}: "
                line = point.line if not place else raised.line or 0
                found.append(Watch(raised.kind, place + says, line))

    with _watching(see):
        act()
    return found[0] if found else None


_LETTERS = {
    ("x", 4): "N C H W", ("w", 4): "F C HH WW", ("x", 2): "N D", ("w", 2): "D M",
    ("X", 2): "N D", ("W", 2): "D C",
}  # fmt: skip


def _sizes(inputs: Mapping[str, tuple[int, ...]]) -> dict[int, str]:
    """The courses' letters of those sizes that only one of them has."""
    found: dict[int, set[str]] = {}
    for name, shape in inputs.items():
        for letter, size in zip(_LETTERS.get((name, len(shape)), "").split(), shape, strict=False):
            found.setdefault(size, set()).add(letter)
    return {size: min(letters) for size, letters in found.items() if len(letters) == 1}


def _words(point: Point, expected: Mapping[str, tuple[int, ...]], sizes: Mapping[int, str]) -> str:
    error = point.error
    if isinstance(error, NameError):
        return names.name(point)
    if isinstance(error, KeyError):
        return names.key(point)
    if isinstance(error, AttributeError):
        return names.attribute(point)
    if isinstance(error, IndexError):
        return indices.index(point) or shapes.value(point, expected, sizes)
    if isinstance(error, TypeError):
        return names.kind(point) or shapes.value(point, expected, sizes)
    if isinstance(error, ValueError):
        return shapes.value(point, expected, sizes)
    return ""


@contextlib.contextmanager
def _watching(see: Callable[[BaseException], None]) -> Iterator[None]:
    token = undisturbed.watching.set(see)
    try:
        yield
    finally:
        undisturbed.watching.reset(token)
