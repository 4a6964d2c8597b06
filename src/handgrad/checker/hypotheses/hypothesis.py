"""What a hypothesis is: a mistake, in a teacher's words, and what it would return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from handgrad.checker.records import Call


class Beside(Exception):
    """Raised by a prediction where its mistake cannot be made: another kind of layer, other options."""


class Hypothesis(NamedTuple):
    """One mistake.

    Attributes:
        name: a short name.
        says: what is wrong, with {key} for the results that it explains.
        predict: call -> what the mistake returns, by name.  A result that is left out would be right.  An
            exception that it raises is the prediction, but for `Beside`.
        line: a regular expression of the guilty line.
        some: whether it explains only the results that are wrong, and says nothing of the others.
        size: the factor that is wrong, if it is one; it may depend on the sizes of the call.
    """

    name: str
    says: str
    predict: Callable[[Call], dict[str, Any]]
    line: str = ""
    some: bool = False
    size: Callable[[Call], float] | None = None
