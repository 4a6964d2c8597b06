"""One step of a long short-term memory (LSTM).

A step has a state h and a cell c.  Four gates are cut, in this order, from one affine sum (N, 4H):

    a = x Wx + prev_h Wh + b
    i = sigmoid(a_i)    f = sigmoid(a_f)    o = sigmoid(a_o)    g = tanh(a_g)
    next_c = f prev_c + i g                 forget a part of the old cell, write a part of g
    next_h = o s, with s = tanh(next_c)     show a part of the cell

next_c is used twice, as an output and in next_h.  So its whole gradient is

    dc = dnext_c + dnext_h o (1 - s^2)

and from it

    dprev_c = dc f     di = dc g     df = dc prev_c     dg = dc i     do = dnext_h s

which go through the slopes of sigmoid and tanh into da, and from there through the affine sum.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_shape
from handgrad.layers.pair import Cache, check_backward
from handgrad.layers.rnn_step import joined_affine_backward, joined_affine_forward
from handgrad.layers.sequences import check_step
from handgrad.layers.sigmoid import sigmoid_backward, sigmoid_forward
from handgrad.layers.tanh import tanh_backward, tanh_forward


class Saved(NamedTuple):
    """The caches of the affine layer, the sigmoids and both tanh, and the letters of the derivation."""

    affine: Cache
    D: int
    gates: Cache
    squashed_g: Cache
    squashed_c: Cache
    i: Array
    f: Array
    o: Array
    g: Array
    s: Array
    prev_c: Array


def lstm_step_forward(
    x: Array,
    prev_h: Array,
    prev_c: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    *,
    engine: str | None = None,
) -> tuple[Array, Array, Cache]:
    """One time step of an LSTM: ``next_c = f prev_c + i g``, ``next_h = o tanh(next_c)``.

    Args:
        x: inputs of this step, (N, D).
        prev_h: the state before it, (N, H).
        prev_c: the cell before it, (N, H).
        Wx: weights of the input, (D, 4H); the columns of the gates i, f, o, g, in this order.
        Wh: weights of the state, (H, 4H).
        b: biases, (4H,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        next_h, (N, H), next_c, (N, H), and the cache for `lstm_step_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 3, ``lstm_step_forward``; S. Hochreiter, J. Schmidhuber, "Long
    short-term memory" (1997).

    >>> import numpy as np
    >>> ones = np.ones
    >>> next_h, next_c, cache = lstm_step_forward(
    ...     ones((2, 3)), ones((2, 4)), ones((2, 4)), ones((3, 16)), ones((4, 16)), ones(16)
    ... )
    >>> next_h.shape, next_c.shape
    ((2, 4), (2, 4))
    """
    layer = "lstm_step_forward"
    x, prev_h, prev_c, Wx, Wh, b = promote(
        layer, x=x, prev_h=prev_h, prev_c=prev_c, Wx=Wx, Wh=Wh, b=b
    )
    check_step(layer, x, prev_h, Wx, Wh, b, gates=4)
    check_shape(layer, "prev_c", prev_c, tuple(prev_h.shape), "that of prev_h")
    H = prev_h.shape[1]
    a, affine, D = joined_affine_forward(x, prev_h, Wx, Wh, b, engine=engine)
    ifo, gates = sigmoid_forward(a[:, : 3 * H], engine=engine)
    g, squashed_g = tanh_forward(a[:, 3 * H :], engine=engine)
    i, f, o = (ifo[:, k * H : (k + 1) * H] for k in range(3))
    next_c = f * prev_c + i * g
    s, squashed_c = tanh_forward(next_c, engine=engine)
    next_h = o * s
    saved = Saved(affine, D, gates, squashed_g, squashed_c, i, f, o, g, s, prev_c)
    cache = Cache("lstm_step", affine.engine, tuple(next_h.shape), next_h[:0, ...], saved)
    return next_h, next_c, cache


def lstm_step_backward(
    dnext_h: Array, dnext_c: Array, cache: Cache
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Gradients of `lstm_step_forward`; see the derivation on top of this file.

    Args:
        dnext_h: upstream gradient of the state, (N, H).
        dnext_c: upstream gradient of the cell, (N, H).
        cache: what `lstm_step_forward` returned.

    Returns:
        dx (N, D), dprev_h (N, H), dprev_c (N, H), dWx (D, 4H), dWh (H, 4H), db (4H,).

    Raises:
        ShapeError: an upstream gradient does not have the shape of its output.
        CacheError: cache is another layer's.
    """
    dnext_h = check_backward("lstm_step", dnext_h, cache, name="dnext_h")
    dnext_c = check_backward("lstm_step", dnext_c, cache, name="dnext_c")
    affine, D, gates, squashed_g, squashed_c, i, f, o, g, s, prev_c = cache.saved
    xp = namespace(dnext_h)
    dc = dnext_c + tanh_backward(dnext_h * o, squashed_c)
    difo = xp.concat([dc * g, dc * prev_c, dnext_h * s], axis=1)
    da = xp.concat([sigmoid_backward(difo, gates), tanh_backward(dc * i, squashed_g)], axis=1)
    dx, dprev_h, dWx, dWh, db = joined_affine_backward(da, affine, D)
    return dx, dprev_h, dc * f, dWx, dWh, db
