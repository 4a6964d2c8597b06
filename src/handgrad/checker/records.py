"""What the checker collects and says: configurations, calls, breaches, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import Any, NamedTuple

import numpy as np

RIGHT, WRONG, UNTESTED = "right", "WRONG", "not testable here"
NOT_WRITTEN = "not written yet"


@dataclass(frozen=True)
class Config:
    """One situation that a function is tried in.

    arrays: the differentiable inputs by name, in argument order; options: the arguments behind them.
    smooth: whether derivatives can be taken there; tied: whether several gradients are right there;
    traits: words for what is special, such as "windows overlap"; a diagnosis speaks in them.
    optional: whether code may refuse it, by an exception, and be right all the same;
    strict: results that only the strict contract judges here: their names, "d*" for all gradients,
    "*" for everything; beyond: what no course asks for here, for a caution if they are wrong.
    """

    name: str
    arrays: dict[str, np.ndarray]
    options: tuple[Any, ...] = ()
    smooth: bool = True
    tied: bool = False
    traits: frozenset[str] = frozenset()
    optional: bool = False
    strict: frozenset[str] = frozenset()
    beyond: str = ""

    def by_course(self, key: str) -> bool:
        """Whether the courses' contract judges the result `key` here."""
        return not self.strict & {key, "*", "d*" if key[0] == "d" else "*"}


class Raised(NamedTuple):
    """An exception that came out of the code: its type's name, its text, where it was raised."""

    kind: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f" (line {self.line})" if self.line else ""
        return f"{self.kind}: {self.message}{place}"


class Difference(NamedTuple):
    """The largest difference of two arrays: relative to `scale`, and where."""

    error: float
    where: tuple[int, ...]
    expected: float
    got: float


@dataclass
class Call:
    """One call of the code: what went in, what should have come out, what came.

    expected and got hold arrays by name ("out", "dx", "running_mean", ...); a value of `got` is a
    `Raised` where nothing came.  scale: by which each difference is measured.
    """

    config: Config
    dout: Any = None
    expected: dict[str, Any] = field(default_factory=dict)
    got: dict[str, Any] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    tolerance: float = 1e-8
    gradient: Any = None  # dout -> the right gradients by name, for hypotheses; None if unknown
    out: Any = None  # what forward returned, where backward is judged
    _wrong: dict[str, tuple[tuple[Any, ...], bool]] = field(default_factory=dict, repr=False)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The differentiable inputs by name."""
        return self.config.arrays

    @property
    def options(self) -> tuple[Any, ...]:
        """The arguments behind the arrays."""
        return self.config.options

    def difference(self, key: str, other: Any = None) -> Difference:
        """Return how far `other` (default: what came) is from what was expected."""
        got = self.got[key] if other is None else other
        return difference(got, self.expected[key], self.scale.get(key))

    def wrong(self, key: str) -> bool:
        """Whether what came for `key` is not what was expected; remembered while both are the same."""
        now = (self.got[key], self.expected[key], self.scale.get(key), self.tolerance)
        seen = self._wrong.get(key)
        if seen is None or not all(map(is_, seen[0], now)):
            seen = self._wrong[key] = (now, not same(*now))
        return seen[1]


@dataclass(frozen=True)
class Breach:
    """One thing that is wrong and that needs no hypothesis: a changed input, a missing return."""

    name: str
    says: str
    line: int | None = None


@dataclass(frozen=True)
class Cause:
    """What is probably wrong: the name of the hypothesis, a teacher's words, the guilty line.

    >>> Cause('sign', 'dx has the wrong sign', ('dx',)).says
    'dx has the wrong sign'
    """

    name: str
    says: str
    keys: tuple[str, ...] = ()
    worst: str = ""
    line: int | None = None
    certain: bool = True


@dataclass
class Verdict:
    """The judgement of one function.

    Attributes:
        errors: the largest error of each result.
        causes: what is wrong, the likeliest first.
        reason: why it could not be tested, or how it shows that it is not written.
        calls: the evidence.
        record: what a page shows, where another process judged, which keeps the evidence.
        cautions: what the strict contract would call wrong, and no course does.

    >>> Verdict('affine_backward', 'right').verdict
    'right'
    """

    function: str
    verdict: str
    errors: dict[str, float] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    reason: str = ""
    configurations: int = 0
    method: str = ""
    file: str = ""
    line: int | None = None
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list, repr=False)
    record: dict[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Verdict:
        """Return the verdict of which another process wrote this record; its calls stayed there."""
        causes = [
            Cause(
                one["name"],
                one["says"],
                tuple(one["results"]),
                one["worst"],
                one["line"],
                one["explained"],
            )
            for one in record["causes"]
        ]
        same_names = (
            "notes",
            "cautions",
            "reason",
            "configurations",
            "method",
            "file",
            "line",
            "seconds",
        )
        return cls(
            record["function"],
            record["verdict"],
            {key: float(value) for key, value in record["errors"].items()},
            causes,
            **{name: record[name] for name in same_names},
            record=record,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return {
            "function": self.function,
            "verdict": self.verdict,
            "errors": {key: _number(value) for key, value in self.errors.items()},
            "causes": [
                {
                    "name": cause.name,
                    "says": cause.says,
                    "results": list(cause.keys),
                    "worst": cause.worst,
                    "line": cause.line,
                    "explained": cause.certain,
                }
                for cause in self.causes
            ],
            "notes": self.notes,
            "cautions": self.cautions,
            "reason": self.reason,
            "configurations": self.configurations,
            "method": self.method,
            "file": self.file,
            "line": self.line,
            "seconds": round(self.seconds, 3),
        }


def difference(got: Any, expected: Any, scale: float | None = None) -> Difference:
    """Compare two arrays of one shape; the error is relative to `scale` or the largest expected."""
    got, expected = np.asarray(got), np.asarray(expected)
    if not expected.size:
        return Difference(0.0, (), 0.0, 0.0)
    with np.errstate(all="ignore"):
        distance = np.abs(got - expected)
    distance = np.where((got == expected) | (np.isnan(got) & np.isnan(expected)), 0.0, distance)
    distance = np.where(np.isnan(distance), np.inf, distance)
    worst = np.unravel_index(np.argmax(distance), distance.shape)
    largest = scale or float(np.max(np.abs(expected)))
    error = float(distance[worst])
    if error and np.isfinite(error):
        error = error / largest if largest else np.inf
    where = tuple(int(i) for i in worst)
    return Difference(error, where, _real(expected[worst]), _real(got[worst]))


def same(got: Any, expected: Any, scale: float | None, tolerance: float) -> bool:
    """Whether two results agree: nothing is broadcast, and exceptions agree by their type."""
    if isinstance(got, Raised) or isinstance(expected, Raised):
        return (
            isinstance(got, Raised) and isinstance(expected, Raised) and got.kind == expected.kind
        )
    if not is_numeric(got) or np.shape(got) != np.shape(expected):
        return False
    got, expected = np.asarray(got), np.asarray(expected)
    if got.size and got.dtype.kind == expected.dtype.kind == "f":
        with np.errstate(all="ignore"):
            distance = np.abs(got - expected).max()
        if np.isfinite(distance):  # the common case, faster
            return bool(distance <= tolerance * (scale or np.abs(expected).max()))
    return difference(got, expected, scale).error <= tolerance


def error_of(call: Call, key: str) -> float:
    """Return the error of one result; infinite where it is missing or has another shape."""
    got = call.got[key]
    if not is_numeric(got) or np.shape(got) != np.shape(call.expected[key]):
        return float("inf")
    return call.difference(key).error


def is_numeric(value: Any) -> bool:
    """Whether `value` is an array or a number."""
    try:
        return np.asarray(value).dtype.kind in "biufc"
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: of a tensor that requires grad
        return False


def scales_of(results: Mapping[str, Any]) -> dict[str, float]:
    """Return each result's scale: its largest number, or all results' where it is rounding noise."""
    sizes = {
        key: float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))
        for key, array in ((k, np.asarray(v)) for k, v in results.items() if is_numeric(v))
    }
    largest = max(sizes.values(), default=0.0)
    return {key: size if size > 1e-9 * largest else largest for key, size in sizes.items()}


def _real(value: Any) -> float:
    return float(np.real(value))


def _number(value: float) -> float | str:
    return float(value) if np.isfinite(value) else str(value)
