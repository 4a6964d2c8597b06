"""What the recurrent layers share: the checks of a sequence, and sums over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad.engines.arrays import Array
from handgrad.errors import ShapeError, check_ndim, check_shape


def check_sequence(
    layer: str, x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, *, gates: int
) -> None:
    """Check the shapes of a recurrent layer; an LSTM has 4 gates in its weights, an RNN 1."""
    check_ndim(layer, "x", x, 3, "(N, T, D)")
    if x.shape[1] == 0:
        raise ShapeError(f"{layer}: x must have at least one step T, got x {tuple(x.shape)}")
    check_step(layer, x[:, 0, :], h0, Wx, Wh, b, gates=gates, state="h0")


def check_step(
    layer: str,
    x: Array,
    h: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    *,
    gates: int,
    state: str = "prev_h",
) -> None:
    """Check the shapes of one step."""
    wide = f"{gates}H" if gates > 1 else "H"
    check_ndim(layer, "x", x, 2, "(N, D)")
    check_ndim(layer, "Wh", Wh, 2, f"(H, {wide})")
    N, D, H = x.shape[0], x.shape[1], Wh.shape[0]
    check_shape(layer, "Wh", Wh, (H, gates * H), f"(H, {wide})")
    check_shape(layer, "Wx", Wx, (D, gates * H), f"(D, {wide}) of x (..., D) and Wh (H, {wide})")
    check_shape(layer, "b", b, (gates * H,), f"({wide},) of Wh (H, {wide})")
    check_shape(layer, state, h, (N, H), f"(N, H) of x (N, ...) and Wh (H, {wide})")


def sum_over_time(steps: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the sums, over the steps, of the gradients that all steps share."""
    totals = list(steps[0])
    for step in steps[1:]:
        totals = [total + gradient for total, gradient in zip(totals, step, strict=True)]
    return totals
