"""A rubric: points for each function, or for parts of its verdict, and the limits of a submission.

A rubric is a TOML file::

    course = "cs231n-2020"    # as --course; without it the course is guessed
    seconds = 60              # for one submission
    memory = 2048             # MiB
    file = "layers.py"        # counts where a submission defines a function twice
    skeleton = "starter/"     # handed out with the assignment: never taken for a copy

    [points]
    affine_forward = 1
    affine_backward = {dx = 1, dw = 1, db = 1}
    softmax_loss = {value = 2, gradient = 2, stable = 1}
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checker import classifiers, features, models, own_weights, update_rules
from handgrad.checker.known import LAYERS, by_function
from handgrad.checker.loading import CheckError
from handgrad.checker.records import NOT_WRITTEN, RIGHT, UNTESTED, Call, Raised, Verdict, is_numeric
from handgrad.courses.profiles import get_profile

Points = float | dict[str, float]
VALUE, GRADIENT, SHAPES, STABLE, STRICT = "value", "gradient", "shapes", "stable", "strict"
_KEYS = (
    "course", "dropout", "file", "memory", "points", "seconds", "skeleton", "strict",
)  # fmt: skip
_HUGE = "scores are large"  # the trait of configurations that only stable code gets right
_STABLE = "at scores of thousands"  # how cautions speak of them


@dataclass(frozen=True)
class Rubric:
    """Points for each function, how the submissions are judged, and the limits of one.

    Attributes:
        points: by function, a number or a number for each part.
        dropout: what p is the probability of, "keep" or "drop", None: as the course has it.
        course: None: guessed.
        file: paths, or ends of paths, that count where a submission defines a function twice.
        skeleton: the assignment's own files.
    """

    points: dict[str, Points]
    seconds: float = 60.0
    memory: int = 2048
    dropout: str | None = None
    course: str | None = None
    strict: bool = False
    file: tuple[str, ...] = ()
    skeleton: Path | None = None

    @property
    def total(self) -> float:
        """The points of a submission that is right throughout."""
        return sum(map(worth, self.points.values()))

    def of(self, function: str, record: Mapping[str, Any] | None) -> float:
        """Return the points that a record of this function earns; none where there is no record."""
        points = self.points[function]
        if record is None:
            return 0.0
        if isinstance(points, dict):
            earned = record.get("parts", {})
            return sum(number for part, number in points.items() if earned.get(part))
        return float(points) if record["verdict"] == RIGHT else 0.0


def worth(points: Points) -> float:
    """The points of a function that is right."""
    return sum(points.values()) if isinstance(points, dict) else points


def read_rubric(path: Path) -> Rubric:
    """Read a rubric; CheckError says what is wrong with it, OptionError that there is no such course."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CheckError(f"check: the rubric {path} cannot be read: {error}") from None
    for key in table:
        if key not in _KEYS:
            raise CheckError(
                f"check: {path}: unknown {key}{_nearest(key, _KEYS)}; known are {', '.join(_KEYS)}"
            )
    points = table.get("points")
    if not isinstance(points, dict) or not points:
        raise CheckError(f"check: {path} needs a table [points], function = points")
    for name, number in points.items():
        _check_points(path, name, number)
    for key in ("seconds", "memory"):
        if key in table and not (_is_number(table[key]) and table[key] > 0):
            raise CheckError(f"check: {path}: {key} must be a number above 0, got {table[key]!r}")
    if table.get("dropout", "keep") not in ("keep", "drop"):
        raise CheckError(
            f'check: {path}: dropout must be "keep" or "drop", got {table["dropout"]!r}'
        )
    if not isinstance(table.get("strict", False), bool):
        raise CheckError(f"check: {path}: strict must be true or false, got {table['strict']!r}")
    if "course" in table:
        if not isinstance(table["course"], str):
            raise CheckError(f"check: {path}: course must be a text, got {table['course']!r}")
        get_profile(table["course"])
    return Rubric(**{**table, **_paths(path, table)})


def _paths(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """The entries that name files."""
    files = table.get("file", ())
    files = (
        (files,) if isinstance(files, str) else tuple(files) if isinstance(files, list) else files
    )
    if not isinstance(files, tuple) or not all(isinstance(one, str) and one for one in files):
        raise CheckError(
            f"check: {path}: file must be the name of a file, or a list of names, got {files!r}"
        )
    found: dict[str, Any] = {"file": tuple(one.replace("\\", "/") for one in files)}
    if "skeleton" in table:
        if not isinstance(table["skeleton"], str):
            raise CheckError(f"check: {path}: skeleton must be a path, got {table['skeleton']!r}")
        found["skeleton"] = path.parent / table["skeleton"]
        if not found["skeleton"].exists():
            raise CheckError(f"check: {path}: there is no skeleton {found['skeleton']}")
    return found


def _check_points(path: Path, name: str, points: Any) -> None:
    where = f"check: {path}: [points]"
    if not parts_of(name):
        raise CheckError(
            f"{where} names {name!r}, which no course has{_nearest(name, known_names())}; functions are "
            "named as in docs/checker.md, methods with their class, as in KNearestNeighbor.predict_labels"
        )
    for part, number in points.items() if isinstance(points, dict) else [("", points)]:
        if part and part not in parts_of(name):
            raise CheckError(
                f"{where} {name} has no part {part!r}{_nearest(part, parts_of(name))}; its parts are "
                f"{', '.join(parts_of(name))}"
            )
        if not _is_number(number):
            raise CheckError(
                f"{where} {name}: points must be numbers of at least 0, or a table of them, got {number!r}"
            )
    if points == {}:
        raise CheckError(f"{where} {name} has no points; its parts are {', '.join(parts_of(name))}")


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


def _nearest(name: str, known: Any) -> str:
    found = difflib.get_close_matches(name, known, 1, 0.6)
    return f" (did you mean {found[0]}?)" if found else ""


def known_names() -> list[str]:
    """Return the names that [points] may hold."""
    names = [name for layer in LAYERS for name in (*layer.forward, *layer.backward)]
    names += [*update_rules.NAMES, *models.NAMES]
    classes = {**classifiers.METHODS, **own_weights.METHODS}
    names += [f"{name}.{method}" for name, methods in classes.items() for method in methods]
    names += features.NAMES
    return [*dict.fromkeys([*names, "LinearClassifier.train"])]


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of the verdict on a function of this name; none if no course has it.

    - ``value``: what it computes is right (the output, the loss, the next weights);
    - ``gradient``: all gradients are right; ``dx``, ``dw``, ...: this one is;
    - ``shapes``: every result has its shape;
    - ``stable``: extreme scores give no overflow and no log(0);
    - ``strict``: right, and without a note of the strict contract.
    """
    found = by_function(name)
    if name in update_rules.NAMES or (
        name not in models.NAMES and name in known_names() and not found
    ):
        return (VALUE, SHAPES, STRICT)
    if name in models.NAMES:
        return (VALUE, GRADIENT, SHAPES, STRICT)
    if found is None:
        return ()
    layer, side = found
    if layer.loss:
        stable = any(_HUGE in config.traits for config in layer.configs())
        return (VALUE, GRADIENT, SHAPES, *([STABLE] if stable else []), STRICT)
    if side == "forward":
        return (VALUE, SHAPES, STRICT)
    names = dict.fromkeys("d" + key for config in layer.configs() for key in config.arrays)
    return (GRADIENT, *names, SHAPES, STRICT)


def parts(verdict: Verdict) -> dict[str, bool]:
    """Return which parts of a function are right; nothing if it was not judged or is not known."""
    known = parts_of(verdict.function)
    if verdict.verdict in (UNTESTED, NOT_WRITTEN):
        return {}
    huge = [call for call in verdict.calls if _HUGE in call.config.traits]
    usual = huge if STABLE not in known else []
    usual = [*[call for call in verdict.calls if call not in huge], *usual]
    wrong = {key for call in usual for key in call.expected if call.wrong(key)}
    misshapen = {key for call in verdict.calls for key in call.expected if _is_misshapen(call, key)}
    seen = {key for call in verdict.calls for key in call.expected if call.wrong(key)}
    for cause in verdict.causes:  # of what no call shows: contracts, expectations, a training loop
        if not seen.intersection(cause.keys):
            gradient = GRADIENT in known and (VALUE not in known or GRADIENT in cause.says)
            wrong.add(GRADIENT if gradient else VALUE)
    gradients = {key for key in wrong if _is_gradient(key)}
    shown = {key for call in verdict.calls for key in call.expected}
    unshown = verdict.verdict != RIGHT and not any(map(_is_gradient, shown))  # as where it raises
    found = {
        VALUE: not wrong - gradients,
        GRADIENT: not gradients and not unshown,
        SHAPES: not misshapen,
        STABLE: _is_stable(verdict, huge, wrong),
        STRICT: verdict.verdict == RIGHT and not verdict.cautions,
    }
    return {part: found.get(part, not {part, GRADIENT} & wrong) for part in known}


def _is_stable(verdict: Verdict, huge: list[Call], wrong: set[str]) -> bool:
    """Whether all is finite at extreme scores, and right there if it is at ordinary ones."""
    finite = all(
        is_numeric(value) and bool(np.all(np.isfinite(value)))
        for call in huge
        for value in call.got.values()
    )
    values = {key for key in wrong if not _is_gradient(key)}
    noted = not values and any(_STABLE in caution for caution in verdict.cautions)
    off = any(call.wrong(key) for call in huge for key in call.expected if key not in wrong)
    return finite and not noted and not off


def _is_gradient(key: str) -> bool:
    return key == GRADIENT or (key.startswith("d") and key != "dists")


def _is_misshapen(call: Call, key: str) -> bool:
    got = call.got.get(key)
    return isinstance(got, Raised) or got is None or np.shape(got) != np.shape(call.expected[key])
