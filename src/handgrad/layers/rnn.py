"""A vanilla recurrent network over whole sequences.

The same step, with the same weights, at each time t, from the state h0:

    h[:, t] = tanh(x[:, t] Wx + h[:, t - 1] Wh + b)        h[:, -1] = h0

A state is used twice: it is an output, and the next step starts from it.  Its gradient is the sum of both, so
backward goes through the steps from the last to the first and carries dprev_h along.  All steps share the
weights; their gradients are summed over time.
"""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.layers.pair import Cache, check_backward
from handgrad.layers.rnn_step import rnn_step_backward, rnn_step_forward
from handgrad.layers.sequences import check_sequence, sum_over_time


def rnn_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Run a vanilla RNN over sequences: ``h[:, t] = tanh(x[:, t] Wx + h[:, t - 1] Wh + b)``.

    Args:
        x: inputs, (N, T, D): T steps of D numbers, T at least 1.
        h0: the first state, (N, H).
        Wx: weights of the input, (D, H).
        Wh: weights of the state, (H, H).
        b: biases, (H,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        h, the states of all steps, (N, T, H), and the cache for `rnn_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 3, ``rnn_forward``.

    >>> import numpy as np
    >>> h, cache = rnn_forward(
    ...     np.ones((2, 5, 3)), np.zeros((2, 4)), np.ones((3, 4)), np.ones((4, 4)), np.zeros(4)
    ... )
    >>> h.shape
    (2, 5, 4)
    """
    x, h, Wx, Wh, b = promote("rnn_forward", x=x, h0=h0, Wx=Wx, Wh=Wh, b=b)
    check_sequence("rnn_forward", x, h, Wx, Wh, b, gates=1)
    states, steps = [], []
    for t in range(x.shape[1]):
        h, step = rnn_step_forward(x[:, t, :], h, Wx, Wh, b, engine=engine)
        states.append(h)
        steps.append(step)
    out = namespace(x).stack(states, axis=1)
    return out, Cache("rnn", steps[0].engine, tuple(out.shape), out[:0, ...], steps)


def rnn_backward(dh: Array, cache: Cache) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `rnn_forward`, by backpropagation through time.

    Args:
        dh: upstream gradient of the states of all steps, (N, T, H).
        cache: what `rnn_forward` returned.

    Returns:
        dx (N, T, D), dh0 (N, H), dWx (D, H), dWh (H, H), db (H,).

    Raises:
        ShapeError: dh does not have the shape of h.  CacheError: cache is another layer's.
    """
    dh = check_backward("rnn", dh, cache, name="dh")
    xp = namespace(dh)
    carried = xp.zeros_like(dh[:, 0, :])  # the gradient that comes back from the next step
    steps = []
    for t in reversed(range(dh.shape[1])):
        gradients = rnn_step_backward(dh[:, t, :] + carried, cache.saved[t])
        carried = gradients[1]
        steps.append(gradients)
    dx = xp.stack([gradients[0] for gradients in reversed(steps)], axis=1)
    dWx, dWh, db = sum_over_time([gradients[2:] for gradients in steps])
    return dx, carried, dWx, dWh, db
