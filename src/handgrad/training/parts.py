"""What the small objects that a Solver owns have in common: each saves and restores its own state.

A state is a dictionary that holds the parts of a checkpoint that the object is responsible for; numbers
are under "progress".  Attributes are replaced and their arrays never written to, unless a part says
otherwise; so the attributes alone are a mark, to which an interrupted step is taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handgrad.errors import LARGEST_COUNT, as_count

State = dict[str, Any]


class Part:
    """A part of a Solver with a state of its own."""

    def state(self) -> State:
        """Return what a checkpoint holds of it; its arrays are the live ones."""
        return {}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return of the whole `state` of a checkpoint what `load` takes; changes nothing.

        Raises ValueError or KeyError if it cannot be this part's in a Solver of these `params`.
        """
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state, of `state` or `checked`."""

    def mark(self) -> Any:
        """Return what `back` needs to undo all that happens from now on."""
        return self.__dict__.copy()

    def back(self, mark: Any) -> None:
        """Undo all since `mark`; it may be called repeatedly, also after one that was interrupted."""
        self.__dict__.update(mark)


def part_of(owner: str, name: str, doc: str) -> Any:
    """Return a property of the Solver that is the attribute `name` of its part `owner`."""

    def read(solver: Any) -> Any:
        return getattr(getattr(solver, owner), name)

    def write(solver: Any, value: Any) -> None:
        setattr(getattr(solver, owner), name, value)

    return property(read, write, doc=doc)


def count_in(
    state: Mapping[str, Any], name: str, missing: int | None = None, most: int = LARGEST_COUNT
) -> int:
    """Return the number `name` of a checkpoint's progress; `missing` where older versions had none."""
    progress = state["progress"]
    value = progress[name] if missing is None else progress.get(name, missing)
    return as_count("checkpoint", name, value, minimum=0, maximum=most)


def check_fit(part: str, arrays: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Raise ValueError or KeyError unless `arrays` has an array like each of `params`, or is empty."""
    for name, w in params.items() if arrays else ():
        found = arrays[name]
        if (found.shape, found.dtype) != (w.shape, w.dtype):
            raise ValueError(f"{part} {name} is {found.shape} {found.dtype}")
