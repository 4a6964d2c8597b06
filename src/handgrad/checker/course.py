"""The courses' contract: what of the evidence only the library's own, strict contract judges.

By default WRONG means that a student of the course would lose points or get wrong numbers.  What no
course asks for is left out of the evidence, and so of the diagnosis; where it is wrong, a caution says
so beside the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.checker import guards
from handgrad.checker.calling import Pair
from handgrad.checker.hypotheses.generic import INTEGER_CAST
from handgrad.checker.records import Breach, Call, Config, Raised, is_numeric

# findings that no course takes points for: its notebooks pass
BEYOND = "beyond"
_CAUTIONS = {
    "dout_changed", "cache_changed", "second_backward", "strides", "scores_changed", BEYOND,
}  # fmt: skip
_HARMLESS = (
    "input_changed"  # where all that is computed is right: nothing reads the input afterwards
)
_QUICK = ("_fast", "_strides", "_im2col", "_reshape", "_pytorch")


def leaves_out(pair: Pair, config: Config) -> bool:
    """Whether no gradient is judged in a configuration, not even for a caution."""
    judged = any(config.by_course("d" + key) for key in config.arrays)
    return not (pair.layer.strict or judged or config.beyond)


def refused(pair: Pair, config: Config, raised: Raised) -> bool:
    """Whether code may refuse a configuration: beyond the courses, or by an assertion.

    A fast layer may assert anything; every layer, that its windows are squares and tile the image, as the
    courses' docstrings and their im2col do.
    """
    if config.optional or raised.kind != "AssertionError" or pair.layer.strict:
        return config.optional
    return pair.forward_name.endswith(_QUICK) or not _is_plain(config)


def _is_plain(config: Config) -> bool:
    """Whether windows of a convolution or a pool are squares, and end at the image's borders."""
    for param in (option for option in config.options if isinstance(option, dict)):
        if "pool_height" in param:
            sides: Any = (param["pool_height"], param["pool_width"])
        elif "w" in config.arrays and np.ndim(config.arrays["w"]) == 4 and "pad" in param:
            sides = config.arrays["w"].shape[2:]
        else:
            continue
        pad, image = param.get("pad", 0), config.arrays["x"].shape[2:]
        return sides[0] == sides[1] and not any(
            (length + 2 * pad - side) % param["stride"]
            for length, side in zip(image, sides, strict=True)
        )
    return True


def within(
    calls: Sequence[Call], findings: Sequence[Breach], scored: guards.Scored | None = None
) -> tuple[list[Call], list[Breach], list[str]]:
    """Return calls and findings without what only the strict contract judges, and the cautions.

    scored: of a softmax loss, the scores, labels and weights of a call.
    """
    cautions = guards.accept(calls, scored) if scored else []
    kept: list[Call] = []
    elsewhere = {
        key for call in calls if not call.config.beyond for key in call.expected if call.wrong(key)
    }
    for call in calls:
        if not call.expected:  # somebody's own forward: its contract is judged alone
            kept.append(call)
            continue
        beyond = [key for key in call.expected if not call.config.by_course(key)]
        if any(_alike(call, key, elsewhere) for key in call.expected if key not in beyond):
            beyond = []  # another result is wrong here, and only here: it has the same cause
        for key in beyond:
            if call.config.beyond and call.wrong(key) and key not in elsewhere:
                cautions.append(f"{call.config.beyond}, {_what(call, key)}")
            del call.expected[key]
        if call.expected:
            kept.append(call)
    cautions += _squeezed(kept)
    wrong = any(call.wrong(key) for call in kept for key in call.expected)
    lenient = _CAUTIONS if wrong else _CAUTIONS | {_HARMLESS}
    cautions += [finding.says for finding in findings if finding.name in lenient]
    left = [finding for finding in findings if finding.name not in lenient]
    return kept, left, list(dict.fromkeys(cautions))


def _alike(call: Call, key: str, elsewhere: set[str]) -> bool:
    """Whether a result is wrong by what is special here: it is right elsewhere, or not finite."""
    if not call.wrong(key):
        return False
    got = call.got[key]
    finite = is_numeric(got) and bool(np.all(np.isfinite(np.asarray(got))))
    return key not in elsewhere or not finite


def _what(call: Call, key: str) -> str:
    got, expected = call.got[key], call.expected[key]
    if isinstance(got, Raised):
        cast = INTEGER_CAST.search(got.message)
        return "a buffer has their dtype (zeros_like)" if cast else f"it raises {got}"
    if not is_numeric(got) or np.shape(got) != np.shape(expected):
        return f"{key} has another shape"
    if not np.all(np.isfinite(np.asarray(got))):
        infinite = "infinite" if np.any(np.isinf(np.asarray(got, float))) else "not a number"
        why = ": log(p) of a p that underflows to 0" if key == "loss" else ""
        return f"{key} is {infinite}{why}"
    whole = np.all(np.asarray(got) == np.rint(got)) and not np.all(expected == np.rint(expected))
    return f"{key} is cut to whole numbers (zeros_like)" if whole else f"{key} is not right"


def _squeezed(calls: Sequence[Call]) -> list[str]:
    """Take vectors that always come as a matrix of one row, (1, M), as (M,), and say so."""
    cautions = []
    for key in dict.fromkeys(key for call in calls for key in call.expected):
        present = [call for call in calls if key in call.expected]
        if all(_is_row(call.got[key], call.expected[key]) for call in present):
            for call in present:
                call.got[key] = np.asarray(call.got[key])[0]
            cautions.append(f"{key} has the shape (1, M): the courses' is (M,)")
        elif any(
            map(_is_bare, *zip(*[(c.got[key], c.expected[key]) for c in present], strict=True))
        ):
            for call in present:
                if _is_bare(call.got[key], call.expected[key]):
                    call.got[key] = np.reshape(call.got[key], (1,))
            cautions.append(
                f"{key} has the shape () where it holds one number: the courses' is (1,)"
            )
        elif key == "loss" and all(map(_is_boxed, [call.got[key] for call in present])):
            shape = np.shape(present[0].got[key])
            for call in present:
                call.got[key] = np.asarray(call.got[key]).reshape(())[()]
            cautions.append(f"{key} has the shape {shape}: the courses' is one number")
    return cautions


def _is_boxed(got: Any) -> bool:
    """Whether one number comes as an array of some axes."""
    return is_numeric(got) and np.ndim(got) > 0 and np.size(got) == 1


def _is_row(got: Any, expected: Any) -> bool:
    return is_numeric(got) and np.ndim(expected) == 1 and np.shape(got) == (1, *np.shape(expected))


def _is_bare(got: Any, expected: Any) -> bool:
    """Whether the one number of a vector of one comes without its axis, as squeeze leaves it."""
    return is_numeric(got) and np.ndim(got) == 0 and np.shape(expected) == (1,)


def without_rows(results: dict[str, Any], call: Call) -> dict[str, Any]:
    """The same for results that another function gives for a call."""
    return {
        key: np.asarray(value)[0]
        if _is_row(value, call.expected.get(key))
        else np.reshape(value, (1,))
        if _is_bare(value, call.expected.get(key))
        else value
        for key, value in results.items()
    }
