"""Pairs on which there is no verdict: not written yet, or with arguments that no course's test has."""

from __future__ import annotations

import inspect
from typing import Any

from handgrad.checker.calling import Pair, call_forward
from handgrad.checker.records import NOT_WRITTEN, UNTESTED, Raised, Verdict
from handgrad.checker.undisturbed import quiet, source_file, source_lines
from handgrad.checker.written import BACKWARD, FORWARD, LOSS, unwritten


def not_written(pair: Pair) -> list[Verdict]:
    """The verdicts where the forward pass, or the loss, is not written yet; nothing if it is."""
    reason = unwritten(pair.forward, LOSS if pair.layer.loss else FORWARD)
    if not reason or _leaves_results(pair):
        return []
    verdicts = [unjudged(pair.forward_name, pair.forward, NOT_WRITTEN, reason)]
    for name, backward in () if pair.layer.loss else pair.backwards.items():
        also = unwritten(backward, BACKWARD)
        says = also or f"{pair.forward_name} is not written yet"
        verdicts.append(unjudged(name, backward, NOT_WRITTEN if also else UNTESTED, says))
    return verdicts


def of_its_own(pair: Pair) -> list[Verdict]:
    """The verdicts on a pair that no course tests, and that takes arguments of its own; else nothing."""
    layer = pair.layer
    of_courses = layer.family not in ("", "sandwich") and pair.forward_name not in _SHORT
    if of_courses or not layer.known:
        return []
    config = layer.configs()[0]
    try:
        inspect.signature(pair.forward).bind(*config.arrays.values(), *config.options)
    except TypeError:
        names = ", ".join(inspect.signature(pair.forward).parameters)
        reason = f"it takes ({names}): arguments of its own, which no course's test has"
    except ValueError:
        return []
    else:
        reason = _own_backward(pair)
        if not reason:
            return []
    pairs = [(pair.forward_name, pair.forward), *pair.backwards.items()]
    return [unjudged(name, function, UNTESTED, reason) for name, function in pairs]


_SHORT = (
    "conv_forward",
    "max_pool_forward",
)  # names that some courses give to layers of other arguments


def _own_backward(pair: Pair) -> str:
    """Return that a backward takes more, or less, than (dout, cache); "" if none does."""
    for name, backward in pair.backwards.items():
        try:
            signature = inspect.signature(backward)
            signature.bind(None, None)
        except TypeError:
            names = ", ".join(signature.parameters)
            return f"{name} takes ({names}): arguments of its own, which no course's test has"
        except ValueError:
            continue
    return ""


def _leaves_results(pair: Pair) -> bool:
    """Whether forward is the method of an object that leaves its output in an attribute."""
    if not hasattr(pair.forward, "layer"):
        return False
    with quiet():
        first = pair.configs()[0]
        return not isinstance(call_forward(pair, first.arrays, first.options), Raised)


def unjudged(name: str, function: Any, verdict: str, reason: str) -> Verdict:
    """Return the verdict on a function that was not tried, with the reason."""
    lines, first = source_lines(function)
    line = first if lines else None
    return Verdict(name, verdict, reason=reason, file=source_file(function), line=line)
