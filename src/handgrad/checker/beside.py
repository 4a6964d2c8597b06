"""A backward beside a wrong forward: what of it follows from that forward alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad.checker import repair
from handgrad.checker.calling import Pair
from handgrad.checker.records import WRONG, Call, Cause, Verdict, same
from handgrad.checker.repair import Rerun
from handgrad.checker.reruns import gradients_of
from handgrad.checker.wording import worst


def of_a_right_forward(calls: Sequence[Call], forward: Verdict) -> list[Cause]:
    """Return that all wrong results are the layer's own gradients; nothing if some are not.

    So the code's forward is another function than the layer, and its derivative another one.
    """
    wrong = _wrong(calls)
    if forward.verdict != WRONG or not wrong or not all(_true(call) for call in calls):
        return []
    says = (
        f"{' and '.join(wrong)} {'are' if len(wrong) > 1 else 'is'} right for a right forward, and "
        f"{forward.function} is wrong: mend that first"
    )
    return [Cause("forward", says, tuple(wrong), worst(wrong, calls), _line(forward))]


def _wrong(calls: Sequence[Call]) -> list[str]:
    return list(dict.fromkeys(key for call in calls for key in call.expected if call.wrong(key)))


def _true(call: Call) -> bool:
    """Whether what differs from the derivative of the code's forward is the layer's gradient."""
    keys = [key for key in call.expected if call.wrong(key)]
    if not keys:
        return True
    if call.gradient is None or call.dout is None:
        return False
    right = call.gradient(call.dout)
    return all(
        key in right and same(call.got[key], right[key], call.scale.get(key), call.tolerance)
        for key in keys
    )


def of_a_mended_forward(
    pair: Pair, name: str, calls: Sequence[Call], forward: Verdict
) -> list[Cause]:
    """Return that backward is right as soon as forward is mended; nothing if it is not.

    The edit is looked for in the line that the verdict on forward names, then everywhere: where forward
    is named by its numbers, that line is the likeliest one only.
    """
    line, wrong = _line(forward), _wrong(calls)
    usable = wrong and all(call.gradient is not None and call.dout is not None for call in calls)
    if forward.verdict != WRONG or not usable:
        return []

    def results(other: Any, call: Call) -> dict[str, Any]:
        mended = pair._replace(forward=pair.layer.adapt("forward", other))
        return gradients_of(mended, name)(pair.backwards[name], call)

    def expected(call: Call) -> dict[str, Any]:
        assert call.gradient is not None
        right = call.gradient(call.dout)
        return {key: right[key] for key in call.expected if key in right}

    rerun = Rerun(pair.forward, results, expected)
    found = repair.find(rerun, calls, wrong, [line]) if line else None
    found = found or repair.find(rerun, calls, wrong)
    if found is None or set(found.keys) != set(wrong) or "wrong configurations" in found.words:
        return []
    says = (
        f"{' and '.join(wrong)} {'are' if len(wrong) > 1 else 'is'} right as soon as {forward.function} is: "
        f"there, {found.words}"
    )
    return [Cause("forward", says, tuple(wrong), worst(wrong, calls), found.line)]


def _line(forward: Verdict) -> int | None:
    return forward.causes[0].line if forward.causes else None
