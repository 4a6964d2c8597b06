"""Judging what the courses know by one name: update rules, networks, models, classes; and how to judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from handgrad.checker import classifiers, features, models, networks, own_weights, update_rules
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Verdict
from handgrad.courses.profiles import Profile


class Habits(NamedTuple):
    """How to judge: whether dropout's p drops, Adam's count before the first step, the contract.

    train_only: whether the course's own file of networks never leaves batch norm's train mode.
    """

    drops: bool = False
    adam_t: int = 0
    strict: bool = False
    train_only: bool = False

    @classmethod
    def of(cls, profile: Profile | None, drops: bool | None, strict: bool) -> Habits:
        """Return those of a course; drops: what the caller said of dropout, if anything."""
        if profile is None:
            return cls(bool(drops), strict=strict)
        drops = profile.dropout == "drop" if drops is None else drops
        train_only = profile.course in ("nndl", "skynet") or profile.year == 2016
        return cls(drops, profile.adam_t, strict, train_only)


COMMON = Habits()
NAMES = (
    *update_rules.NAMES, *models.NAMES, *classifiers.NAMES, *own_weights.KINDS, *features.NAMES,
)  # fmt: skip


def judge_named(name: str, thing: Any, habits: Habits) -> list[Verdict] | None:
    """Judge an update rule or a model by its name; None if the checker does not know it."""
    if name in update_rules.NAMES:
        return [update_rules.judge(name, thing, habits.strict, habits.adam_t)]
    if networks.is_network(thing):
        return [networks.judge(name, thing)]
    for part in (classifiers, own_weights, features):
        verdicts = part.judge(name, thing)
        if verdicts is not None:
            return verdicts
    if name in models.NAMES:
        return [models.judge(name, thing, habits.drops, habits.strict, habits.train_only)]
    return None


def with_meaning(layer: KnownLayer, drops: bool, strict: bool = False) -> KnownLayer:
    """Return the layer with dropout's p read as the probability of dropping, and the contract to judge."""
    drops = drops and layer.name == "dropout"
    if (drops, strict) == (layer.drops, layer.strict):
        return layer
    return replace(layer, drops=drops, strict=strict, cache={})
