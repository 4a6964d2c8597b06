"""The courses' contract: what of the evidence only the library's own, strict contract judges.

By default WRONG means that a student of the course would lose points or get wrong numbers.  What no
course asks for is left out of the evidence, and so of the diagnosis; where it is wrong, a caution says
so beside the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.checker.calling import Pair
from handgrad.checker.records import Call, Config, Finding, Raised, is_numeric

# findings that no course takes points for: its notebooks pass
_CAUTIONS = {"dout_changed", "cache_changed", "second_backward", "strides", "scores_changed"}
_QUICK = ("_fast", "_strides", "_im2col", "_reshape", "_pytorch")


def leaves_out(pair: Pair, config: Config) -> bool:
    """Whether no gradient is judged in a configuration, not even for a caution."""
    judged = any(config.by_course("d" + key) for key in config.arrays)
    return not (pair.layer.strict or judged or config.beyond)


def refused(pair: Pair, config: Config, raised: Raised) -> bool:
    """Whether code may refuse a configuration: beyond the courses, or by the assertion of a fast layer."""
    quick = pair.forward_name.endswith(_QUICK)
    return config.optional or (quick and not pair.layer.strict and raised.kind == "AssertionError")


def within(
    calls: Sequence[Call], findings: Sequence[Finding]
) -> tuple[list[Call], list[Finding], list[str]]:
    """Return calls and findings without what only the strict contract judges, and the cautions."""
    cautions: list[str] = []
    kept: list[Call] = []
    for call in calls:
        for key in [key for key in call.expected if not call.config.by_course(key)]:
            if call.config.beyond and call.wrong(key):
                cautions.append(f"{call.config.beyond}, {_what(call, key)}")
            del call.expected[key]
        cautions += [_squeezed(call, key) for key in call.expected if _is_row(call, key)]
        if call.expected:
            kept.append(call)
    cautions += [finding.says for finding in findings if finding.name in _CAUTIONS]
    left = [finding for finding in findings if finding.name not in _CAUTIONS]
    return kept, left, list(dict.fromkeys(cautions))


def _what(call: Call, key: str) -> str:
    got, expected = call.got[key], call.expected[key]
    if isinstance(got, Raised):
        return f"it raises {got}"
    if not is_numeric(got) or np.shape(got) != np.shape(expected):
        return f"{key} has another shape"
    if not np.all(np.isfinite(np.asarray(got))):
        infinite = "infinite" if np.any(np.isinf(np.asarray(got, float))) else "not a number"
        why = ": log(p) of a p that underflows to 0" if key == "loss" else ""
        return f"{key} is {infinite}{why}"
    whole = np.all(np.asarray(got) == np.rint(got)) and not np.all(expected == np.rint(expected))
    return f"{key} is cut to whole numbers (zeros_like)" if whole else f"{key} is not right"


def _is_row(call: Call, key: str) -> bool:
    """Whether a vector came as a matrix of one row: (1, M) in place of (M,)."""
    got, expected = call.got[key], call.expected[key]
    return is_numeric(got) and np.ndim(expected) == 1 and np.shape(got) == (1, *expected.shape)


def _squeezed(call: Call, key: str) -> str:
    """Take the row as a vector, and say so."""
    call.got[key] = np.asarray(call.got[key])[0]
    return f"{key} has the shape (1, M): the courses' is (M,)"


def without_rows(results: dict[str, Any], call: Call) -> dict[str, Any]:
    """The same for results that another function gives for a call."""
    expected = call.expected
    return {
        key: np.asarray(value)[0]
        if key in expected
        and is_numeric(value)
        and np.ndim(expected[key]) == 1
        and np.shape(value) == (1, *np.shape(expected[key]))
        else value
        for key, value in results.items()
    }
