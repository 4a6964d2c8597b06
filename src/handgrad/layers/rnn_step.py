"""One step of a vanilla recurrent network.

The new state is a squashed sum of the input and of the old state:

    a = x Wx + prev_h Wh + b        next_h = tanh(a)

It is an affine layer of the row [x, prev_h] with the weights [Wx; Wh] one above the other, and tanh
behind it.  So with da the gradient of a, dout dnext_h:

    da = dnext_h (1 - next_h^2)
    dx = da Wx^T      dprev_h = da Wh^T
    dWx = x^T da      dWh = prev_h^T da      db = sum_n da[n]
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.layers.affine import affine_backward, affine_forward
from handgrad.layers.pair import Cache, check_backward
from handgrad.layers.sequences import check_step
from handgrad.layers.tanh import tanh_backward, tanh_forward


class Saved(NamedTuple):
    """affine, squashed: the caches of the affine layer and of tanh; D: the columns of x."""

    affine: Cache
    squashed: Cache
    D: int


def rnn_step_forward(
    x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """One time step of a vanilla RNN: ``next_h = tanh(x Wx + prev_h Wh + b)``.

    Args:
        x: inputs of this step, (N, D).
        prev_h: the state before it, (N, H).
        Wx: weights of the input, (D, H).
        Wh: weights of the state, (H, H).
        b: biases, (H,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        next_h, (N, H), and the cache for `rnn_step_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 3, ``rnn_step_forward``.

    >>> import numpy as np
    >>> ones = np.ones
    >>> next_h, cache = rnn_step_forward(ones((2, 3)), ones((2, 4)), ones((3, 4)), ones((4, 4)), ones(4))
    >>> next_h.shape
    (2, 4)
    """
    arrays = promote("rnn_step_forward", x=x, prev_h=prev_h, Wx=Wx, Wh=Wh, b=b)
    check_step("rnn_step_forward", *arrays, gates=1)
    a, affine, D = joined_affine_forward(*arrays, engine=engine)
    next_h, squashed = tanh_forward(a, engine=engine)
    saved = Saved(affine, squashed, D)
    return next_h, Cache("rnn_step", affine.engine, tuple(next_h.shape), next_h[:0, ...], saved)


def rnn_step_backward(dnext_h: Array, cache: Cache) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of `rnn_step_forward`: tanh's slope, then those of the affine sum.

    Args:
        dnext_h: upstream gradient, (N, H).
        cache: what `rnn_step_forward` returned.

    Returns:
        dx (N, D), dprev_h (N, H), dWx (D, H), dWh (H, H), db (H,).

    Raises:
        ShapeError: dnext_h does not have the shape of next_h.  CacheError: cache is another layer's.
    """
    dnext_h = check_backward("rnn_step", dnext_h, cache, name="dnext_h")
    affine, squashed, D = cache.saved
    return joined_affine_backward(tanh_backward(dnext_h, squashed), affine, D)


def joined_affine_forward(
    x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, engine: str | None
) -> tuple[Array, Cache, int]:
    """Return ``x Wx + h Wh + b`` as one affine layer, its cache, and D, the columns of x."""
    xp = namespace(x)
    rows = xp.concat([x, h], axis=1)
    weights = xp.concat([Wx, Wh], axis=0)
    a, cache = affine_forward(rows, weights, b, engine=engine)
    return a, cache, x.shape[1]


def joined_affine_backward(
    da: Array, cache: Cache, D: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Return dx, dh, dWx, dWh and db of `joined_affine_forward`."""
    gradients: tuple[Array, Array, Array] = affine_backward(da, cache)
    drows, dweights, db = gradients
    # copies: the gradients of one array must not share memory with those of another
    xp = namespace(da)
    dx, dh = (xp.asarray(part, copy=True) for part in (drows[:, :D], drows[:, D:]))
    dWx, dWh = (xp.asarray(part, copy=True) for part in (dweights[:D, :], dweights[D:, :]))
    return dx, dh, dWx, dWh, db
