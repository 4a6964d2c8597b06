"""A long short-term memory (LSTM) over whole sequences.

The same step, with the same weights, at each time t, from the state h0 and a cell of zeros:

    h[:, t], c[:, t] = lstm_step(x[:, t], h[:, t - 1], c[:, t - 1])

State and cell both go on to the next step, so backward carries two gradients from the last step to the first.
The cells are not outputs: the gradient of the last one is zero.  The gradients of the weights are summed over
time.
"""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.layers.lstm_step import lstm_step_backward, lstm_step_forward
from handgrad.layers.pair import Cache, check_backward
from handgrad.layers.sequences import check_sequence, sum_over_time


def lstm_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Run an LSTM over sequences, from the state h0 and a cell of zeros.

    Args:
        x: inputs, (N, T, D): T steps of D numbers, T at least 1.
        h0: the first state, (N, H).
        Wx: weights of the input, (D, 4H); the columns of the gates i, f, o, g, in this order.
        Wh: weights of the state, (H, 4H).
        b: biases, (4H,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        h, the states of all steps, (N, T, H), and the cache for `lstm_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 3, ``lstm_forward``.

    >>> import numpy as np
    >>> h, cache = lstm_forward(
    ...     np.ones((2, 5, 3)), np.zeros((2, 4)), np.ones((3, 16)), np.ones((4, 16)), np.zeros(16)
    ... )
    >>> h.shape
    (2, 5, 4)
    """
    x, h, Wx, Wh, b = promote("lstm_forward", x=x, h0=h0, Wx=Wx, Wh=Wh, b=b)
    check_sequence("lstm_forward", x, h, Wx, Wh, b, gates=4)
    xp = namespace(x)
    c = xp.zeros_like(h)
    states, steps = [], []
    for t in range(x.shape[1]):
        h, c, step = lstm_step_forward(x[:, t, :], h, c, Wx, Wh, b, engine=engine)
        states.append(h)
        steps.append(step)
    out = xp.stack(states, axis=1)
    return out, Cache("lstm", steps[0].engine, tuple(out.shape), out[:0, ...], steps)


def lstm_backward(dh: Array, cache: Cache) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `lstm_forward`, by backpropagation through time.

    Args:
        dh: upstream gradient of the states of all steps, (N, T, H).
        cache: what `lstm_forward` returned.

    Returns:
        dx (N, T, D), dh0 (N, H), dWx (D, 4H), dWh (H, 4H), db (4H,).

    Raises:
        ShapeError: dh does not have the shape of h.  CacheError: cache is another layer's.
    """
    dh = check_backward("lstm", dh, cache, name="dh")
    xp = namespace(dh)
    dprev_h = dprev_c = xp.zeros_like(dh[:, 0, :])
    steps = []
    for t in reversed(range(dh.shape[1])):
        gradients = lstm_step_backward(dh[:, t, :] + dprev_h, dprev_c, cache.saved[t])
        dprev_h, dprev_c = gradients[1], gradients[2]
        steps.append(gradients)
    dx = xp.stack([gradients[0] for gradients in reversed(steps)], axis=1)
    dWx, dWh, db = sum_over_time([gradients[3:] for gradients in steps])
    return dx, dprev_h, dWx, dWh, db
