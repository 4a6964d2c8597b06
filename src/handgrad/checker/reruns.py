"""What another function gives for a call in the place of a pair's own, as an edit of it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.checker import callees
from handgrad.checker.calling import Pair, Passed, call_backward, call_forward
from handgrad.checker.course import without_rows
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Call, Raised, is_numeric
from handgrad.checker.undisturbed import fresh, run


def results_of(pair: Pair, forward: Any, call: Call) -> dict[str, Any]:
    """What another forward gives for a call."""
    passed = call_forward(pair._replace(forward=forward), call.arrays, call.options)
    if isinstance(passed, Raised):
        return {}
    found = {key: state_of(passed, key) for key in call.expected if key != "out"}
    return without_rows({**found, "out": passed.out}, call)


def loss_of(loss: Any, call: Call) -> dict[str, Any]:
    """What another loss gives for a call: its value, and its gradient times dout."""
    result = run(loss, *[array.copy() for array in call.arrays.values()], *fresh(call.options))
    names = ["d" + key for key in call.arrays]
    if not (isinstance(result, tuple) and len(result) == 2):
        return {}
    gradients = result[1] if isinstance(result[1], tuple) else (result[1],)
    if len(gradients) != len(names) or not all(map(is_numeric, gradients)):
        return {}
    dout = 1.0 if call.dout is None else call.dout
    scaled = {name: dout * one for name, one in zip(names, gradients, strict=True)}
    return {"loss": result[0], **scaled}


def true_loss(layer: KnownLayer, call: Call) -> dict[str, Any]:
    """What the right loss and its gradient are; the call expects the gradient of the code's own loss."""
    truth = layer.truth(call.config)
    if truth is None or call.dout is None:
        return call.expected
    right = {"loss": truth.results["out"], **truth.gradient(call.dout)}
    return {key: right[key] for key in call.expected}


def gradients_of(pair: Pair, name: str) -> Callable[[Any, Call], dict[str, Any]]:
    """What another backward gives for a call, from the caches of the forward that there is."""
    caches: dict[int, Any] = {}

    def results(backward: Any, call: Call) -> dict[str, Any]:
        passed = None if callees.replaced() else caches.get(id(call.config))
        if passed is None:
            passed = call_forward(pair, call.arrays, call.options)
            if not callees.replaced():
                caches[id(call.config)] = passed
        if isinstance(passed, Raised):
            return {}
        other = pair._replace(backwards={name: pair.layer.adapt("backward", backward)})
        got = call_backward(other, name, fresh(call.dout), fresh(passed.cache), call.config)
        return {} if isinstance(got, Raised) else without_rows(got, call)

    return results


def state_of(passed: Passed, key: str) -> Any:
    """What forward left under `key` in the dictionaries that it got."""
    for option in passed.options:
        if isinstance(option, dict) and key in option:
            return option[key]
    return Raised("Missing", f"{key} is not stored in the dictionary that came in")
