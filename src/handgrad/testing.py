"""For tests of hand-written layers: one assertion that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from handgrad.checker import UNTESTED, Report, check

__all__ = ["assert_layer"]


def assert_layer(
    forward: Any,
    backward: Callable[..., Any] | None = None,
    inputs: Any = None,
    *,
    options: Sequence[Any] = (),
    layer: str | None = None,
    drops: bool = False,
    strict: bool = False,
) -> Report:
    """Fail, with the diagnosis as the message, unless the pair is right.

    Arguments are those of `handgrad.check`; what cannot be tested fails too.

    >>> from handgrad.layers import relu_backward, relu_forward
    >>> assert_layer(relu_forward, relu_backward).exit_code
    0
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    report = check(
        forward, backward, inputs, options=options, layer=layer, drops=drops, strict=strict
    )
    if not report or any(verdict.verdict == UNTESTED for verdict in report.verdicts):
        raise AssertionError(f"\n{report}")
    return report
