"""A wrong update rule as a prediction: it is run over the same steps as the one that is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.checker.records import Call
from handgrad.checker.steps import counting, simulate

Rule = Callable[[Any, Any, dict[str, Any]], tuple[Any, dict[str, Any]]]


def of(names: tuple[str, ...], rule: Rule, counts: bool = True) -> Callable[[Call], dict[str, Any]]:
    """Predict what the rules `names` give if they are `rule`.

    counts: whether its count of steps starts where the course's does; else where `rule` lets it.
    """

    def predict(call: Call) -> dict[str, Any]:
        name, start, dws, first_t = call.options
        if name not in names:
            return {}
        counted = counting(rule, first_t) if counts else rule
        predicted = simulate(counted, name, call.arrays["w"], dws, start)
        return {key: predicted[key][: len(call.expected[key])] for key in call.expected}

    return predict
