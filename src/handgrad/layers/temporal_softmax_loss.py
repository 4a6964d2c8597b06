"""The softmax loss at every step of sequences, without the steps that a mask leaves out.

With p[n, t] the probabilities of step t of row n, and mask 1 where the step counts:

    loss = -1/N sum_{n, t} mask[n, t] log p[n, t, y[n, t]]
    dx[n, t, v] = mask[n, t] (p[n, t, v] - [v = y[n, t]]) / N

It is summed over time and averaged over the rows, as if each sequence were one example.  The steps that
count are R rows of a softmax loss, whose mean is taken over R; the factor R / N makes it one over N.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.engines.arrays import Array, as_numpy, namespace, promote
from handgrad.errors import LabelError, ShapeError, check_ndim
from handgrad.labels import advice_on_kind
from handgrad.layers.softmax_loss import softmax_loss


def temporal_softmax_loss(
    x: Array, y: Array, mask: Array, verbose: bool = False, *, engine: str | None = None
) -> tuple[Array, Array]:
    """Negative log-probability of the words of sequences, summed over time, averaged over rows.

    Args:
        x: scores of V words at each step, (N, T, V); finite.
        y: the right words, integers in [0, V), (N, T); where the mask is False they are not looked at.
        mask: which steps count, booleans or 0 and 1, (N, T).
        verbose: taken for the courses' sake; nothing is printed.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, (N, T, V).

    Raises:
        ShapeError: x is not (N, T, V) with N at least 1, or y or mask is not (N, T).
        NonFiniteError: x holds NaN or an infinity at a step that counts.  LabelError: y or mask holds
        other numbers.  DtypeError: x is no array of numbers.

    Source: CS231n assignment 3, ``temporal_softmax_loss``.

    >>> import numpy as np
    >>> loss, dx = temporal_softmax_loss(
    ...     np.zeros((1, 3, 4)), np.array([[0, 1, 2]]), np.array([[True, True, False]])
    ... )
    >>> bool(np.isclose(loss, 2 * np.log(4)))
    True
    """
    layer = "temporal_softmax_loss"
    (x,) = promote(layer, x=x)
    check_ndim(layer, "x", x, 3, "(N, T, V)")
    N, T, V = x.shape
    if N == 0 or V == 0:
        raise ShapeError(
            f"{layer}: x must have at least one row and one word, got shape {tuple(x.shape)}"
        )
    xp = namespace(x)
    words, counts = (_two_dimensional(layer, *one, (N, T)) for one in (("y", y), ("mask", mask)))
    if counts.dtype.kind != "b" and not np.isin(counts, (0, 1)).all():
        raise LabelError(f"{layer}: mask must hold booleans, or 0 and 1, got {counts.dtype}")
    places = np.flatnonzero(counts)
    if len(places) == 0:
        dx = xp.zeros_like(x)
        return xp.sum(dx), dx
    rows = xp.take(xp.reshape(x, (N * T, V)), xp.asarray(places, device=x.device), axis=0)
    loss, drows = softmax_loss(rows, words.reshape(-1)[places], engine=engine)
    share = len(places) / N
    # each step takes its row of the gradient; steps that do not count take a row of zeros in front of them
    taken = np.zeros(N * T, np.int64)
    taken[places] = np.arange(1, len(places) + 1)
    padded = xp.concat([xp.zeros_like(drows[:1, :]), drows * share], axis=0)
    dx = xp.take(padded, xp.asarray(taken, device=x.device), axis=0)
    return loss * share, xp.reshape(dx, (N, T, V))


def _two_dimensional(layer: str, name: str, value: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return labels or a mask as a NumPy array, wherever they come from."""
    if hasattr(value, "requires_grad") and value.device.type != "meta":
        value = value.detach().cpu()
    advise = advice_on_kind if name == "y" else None
    array = as_numpy(layer, name, value, "be an array of integers", advise)
    if array.shape != shape:
        raise ShapeError(
            f"{layer}: {name} must have shape {shape}, one for each step of x, got {array.shape}"
        )
    return array
