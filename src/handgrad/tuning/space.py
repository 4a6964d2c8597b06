"""What a search may change: a TOML file of settings and their ranges.

A table is named by the key of the configuration that it is for::

    [optimizer.learning_rate]
    type = "log"                # a number, its logarithm drawn evenly
    low = 1e-4
    high = 1e-1

    [optimizer.momentum]
    type = "float"
    low = 0.8
    high = 0.99
    when = { "optimizer.name" = "sgd_momentum" }     # only then

    [model.hidden_dims]
    type = "choice"
    values = [[64], [128], [64, 64]]

=========  =====================================================================================
type       keys
=========  =====================================================================================
float      low, high, and perhaps step
log        low, high; both above 0
int        low, high, and perhaps step, or log = true
choice     values: numbers, texts, true or false, lists or tables
=========  =====================================================================================

``when`` holds settings, of this space or of the configuration, and the value, or a list of values, that
each must have.  ``[[optimizer.learning_rate]]``, twice and more, gives one setting several ranges, each with
a ``when`` of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from handgrad.errors import (
    OptionError,
    as_count,
    as_flag,
    as_number,
    check_choice,
    check_known,
    shown,
)
from handgrad.training.config import read_toml

_KEYS = {
    "float": ("low", "high", "step"),
    "log": ("low", "high"),
    "int": ("low", "high", "step", "log"),
    "choice": ("values",),
}
_PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Range:
    """One setting and its values.

    Attributes:
        key: of the configuration, as "optimizer.learning_rate".
        name: what Optuna calls it: the key, and the condition where a key has several ranges.
        kind: float, log, int or choice.
        options: what the kind takes.
        when: key -> the values that it must have.
    """

    key: str
    name: str
    kind: str
    options: Mapping[str, Any]
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def ask(self, trial: Any) -> Any:
        """Return the value that a `trial` of Optuna suggests."""
        o = self.options
        if self.kind == "choice":
            labels = [_label(value) for value in o["values"]]
            return o["values"][labels.index(trial.suggest_categorical(self.name, labels))]
        if self.kind == "int":
            return trial.suggest_int(self.name, o["low"], o["high"], step=o["step"], log=o["log"])
        if self.kind == "log":
            return trial.suggest_float(self.name, o["low"], o["high"], log=True)
        return trial.suggest_float(self.name, o["low"], o["high"], step=o["step"])

    def ends(self) -> list[Any]:
        """Return values at the edges: all of a choice, else the lowest and the highest."""
        if self.kind == "choice":
            return list(self.options["values"])
        return [self.options["low"], self.options["high"]]

    @property
    def is_log(self) -> bool:
        """Whether it is drawn on a logarithmic scale."""
        return self.kind == "log" or bool(self.options.get("log"))


class Space:
    """The ranges of a search, each behind those that its ``when`` asks about.

    Attributes: ranges; tables, what they were made of.

    >>> space = Space({"optimizer": {"learning_rate": {"type": "log", "low": 1e-4, "high": 0.1}}})
    >>> [one.key for one in space.ranges]
    ['optimizer.learning_rate']
    """

    def __init__(self, tables: Mapping[str, Any], where: str = "space") -> None:
        """Check the ranges.

        Args:
            tables: as they stand in a TOML file.
            where: what messages call the space.

        Raises:
            OptionError: the tables are no space; says which of them, and why.
        """
        found = [one for key, one in _leaves(where, tables, "")]
        if not found:
            raise OptionError(f"{where}: there is nothing to search; it has no table with a type")
        self.ranges = _in_order(where, found)
        self.tables = json.loads(json.dumps(tables))  # plain ones, as they are kept

    @classmethod
    def from_toml(cls, path: str | Path) -> Space:
        """Read a TOML file; OptionError names the file and what is wrong in it."""
        return cls(read_toml("space", path), f"space: {path}")

    def ask(self, trial: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a `trial` of Optuna suggests, for ``RunConfig.with_overrides``.

        Args:
            trial: its ``suggest_*`` methods are called, in the order of the ranges.
            config: the tables of the configuration, for conditions on settings that are not searched.
        """
        chosen: dict[str, Any] = {}
        for one in self.ranges:
            if _holds(one, chosen, config):
                if one.key in chosen:
                    raise OptionError(
                        f"space: two ranges of {one.key} hold at once: {_text(chosen)}"
                    )
                chosen[one.key] = one.ask(trial)
        return chosen

    def examples(self, config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield settings at the edges of the ranges, one range changed at a time."""
        yield self.ask(_Fixed({}), config)
        for one in self.ranges:
            for value in one.ends():
                label = _label(value) if one.kind == "choice" else value
                found = self.ask(_Fixed({one.name: label}), config)
                if one.key in found:
                    yield found


class _Fixed:
    """Suggests the first choice, or the lowest number, but where it is told otherwise."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._values.get(name, choices[0])

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> Any:
        return self._values.get(name, low)

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> Any:
        return self._values.get(name, low)


def _leaves(where: str, tables: Any, prefix: str) -> Iterator[tuple[str, Range]]:
    """Yield the key and the range of each table that has a type."""
    for name, table in tables.items():
        key = f"{prefix}{name}"
        several = isinstance(table, list) and table
        for own in table if several else [table]:
            if not isinstance(own, Mapping):
                raise OptionError(
                    f"{where}: {key} must be a table with a type, one of {', '.join(_KEYS)}; got {shown(own)}"
                )
            if isinstance(own.get("type"), str):
                yield key, _range(where, key, own, bool(several))
            elif several:
                raise OptionError(f"{where}: {key} lacks a type, one of {', '.join(_KEYS)}")
            else:
                yield from _leaves(where, own, f"{key}.")


def _range(where: str, key: str, table: Mapping[str, Any], is_one_of_several: bool) -> Range:
    at = f"{where}: {key}"
    kind = table["type"]
    check_choice(at, "type", kind, tuple(_KEYS))
    own = {name: value for name, value in table.items() if name not in ("type", "when")}
    check_known(f"{at} of type {kind}", own, _KEYS[kind])
    missing = [name for name in _KEYS[kind] if name not in own and name not in ("step", "log")]
    if missing:
        raise OptionError(f"{at} of type {kind} lacks {', '.join(missing)}")
    when = table.get("when", {})
    if not isinstance(when, Mapping):
        raise OptionError(
            f"{at}: when must be a table of settings and their values, got {shown(when)}"
        )
    conditions = {
        str(name): tuple(value) if isinstance(value, list) else (value,)
        for name, value in when.items()
    }
    if is_one_of_several and not conditions:
        raise OptionError(f"{at} has several ranges, so each needs a when")
    name = f"{key} when {_text(when)}" if is_one_of_several else key
    return Range(key, name, kind, _options(at, kind, own), conditions)


def _options(at: str, kind: str, own: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "choice":
        values = own["values"]
        if not isinstance(values, list) or not values:
            raise OptionError(f"{at}: values must be a list with at least one, got {shown(values)}")
        if len({_label(value) for value in values}) < len(values):
            raise OptionError(f"{at}: values holds one value twice: {shown(values)}")
        return {"values": values}
    low: float
    high: float
    if kind == "int":
        low, high = (as_count(at, end, own[end], minimum=-(2**53)) for end in ("low", "high"))
        log = as_flag(at, "log", own.get("log", False))
        options: dict[str, Any] = {
            "low": low,
            "high": high,
            "step": as_count(at, "step", own.get("step", 1)),
            "log": log,
        }
        if log and (low < 1 or options["step"] != 1):
            raise OptionError(f"{at}: log needs low of at least 1 and no step")
    else:
        least = 0.0 if kind == "log" else -inf
        low, high = (
            as_number(at, end, own[end], least, open_low=kind == "log") for end in ("low", "high")
        )
        options = {"low": low, "high": high}
        if kind == "float":
            step = own.get("step")
            options["step"] = (
                None if step is None else as_number(at, "step", step, 0.0, open_low=True)
            )
    if low >= high:
        raise OptionError(f"{at}: low must be below high, got {low:g} and {high:g}")
    return options


def _in_order(where: str, found: list[Range]) -> list[Range]:
    """Return the ranges, each behind all those of the keys that its condition asks about."""
    left, placed = list(found), []
    while left:
        waiting = {one.key for one in left}
        ready = [one for one in left if not waiting & one.when.keys()]
        if not ready:
            names = ", ".join(sorted(waiting))
            raise OptionError(f"{where}: the conditions of {names} wait for one another")
        placed += ready
        left = [one for one in left if one not in ready]
    return placed


def _holds(one: Range, chosen: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Return whether the condition of a range is met."""
    for key, values in one.when.items():
        value = chosen[key] if key in chosen else _of(config, key)
        if value not in values:
            return False
    return True


def _of(tables: Mapping[str, Any], key: str) -> Any:
    found: Any = tables
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _label(value: Any) -> Any:
    """Return a choice as Optuna keeps it: lists and tables as texts."""
    return value if isinstance(value, _PLAIN) else json.dumps(value, sort_keys=True)


def _text(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in settings.items())
