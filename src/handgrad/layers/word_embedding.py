"""Word embeddings: each word is a row of a table that is learned.

    out[n, t] = W[x[n, t]]

A row of W takes part wherever its word stands, so its gradient is the sum of dout over all these places:

    dW[v] = sum of dout[n, t] over the places with x[n, t] = v

In NumPy the sum needs ``np.add.at(dW, x, dout)``; ``dW[x] += dout`` would keep one place for each word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, as_numpy, namespace, promote
from handgrad.errors import LabelError, check_ndim
from handgrad.labels import advice_on_integers
from handgrad.layers.pair import Cache, run_backward, run_forward


def word_embedding_forward(x: Array, W: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Look words up in a table: ``out[n, t] = W[x[n, t]]``.

    Args:
        x: numbers of words, integers in [0, V), (N, T) or any other shape.
        W: the table, one row of D numbers for each of V words, (V, D).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, T, D), and the cache for `word_embedding_backward`.

    Raises:
        LabelError: x holds no number of a word.  ShapeError, DtypeError: W is no table of numbers.

    Source: CS231n assignment 3, ``word_embedding_forward``.

    >>> import numpy as np
    >>> out, cache = word_embedding_forward(np.array([[0, 2, 2]]), np.arange(6.0).reshape(3, 2))
    >>> out[0, 1].tolist(), word_embedding_backward(np.ones((1, 3, 2)), cache)[:, 0].tolist()
    ([4.0, 5.0], [1.0, 0.0, 2.0])
    """
    (W,) = promote("word_embedding_forward", W=W)
    check_ndim("word_embedding_forward", "W", W, 2, "(V, D)")
    words = _check_words(x, W)
    return run_forward("word_embedding", engine, (W, words))


def word_embedding_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `word_embedding_forward`: dout, summed over the places of each word.

    Args:
        dout: upstream gradient, (N, T, D).
        cache: what `word_embedding_forward` returned.

    Returns:
        dW, (V, D); x holds integers and has no gradient.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("word_embedding", dout, cache)


class Saved(NamedTuple):
    """words: x, as int64; shape: that of W, (V, D)."""

    words: Array
    shape: tuple[int, ...]


@vectorized.computes("word_embedding_forward")
def _forward(W: Array, words: Array) -> tuple[Array, Saved]:
    xp = namespace(W)
    rows = xp.take(W, xp.reshape(words, (-1,)), axis=0)
    return xp.reshape(rows, (*words.shape, W.shape[1])), Saved(words, W.shape)


@vectorized.computes("word_embedding_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    words, (V, D) = saved
    xp = namespace(dout)
    words, rows = xp.reshape(words, (-1,)), xp.reshape(dout, (-1, D))
    if isinstance(dout, np.ndarray):
        dW = np.zeros((V, D), dout.dtype)
        np.add.at(dW, words, rows)
        return dW
    # the standard has no sum by index: a product with one-hot rows is the same sum
    numbers = xp.expand_dims(xp.arange(V, device=dout.device), axis=1)
    return xp.astype(numbers == xp.expand_dims(words, axis=0), dout.dtype) @ rows


def _check_words(x: Any, W: Array) -> Array:
    """Return the numbers of words as int64 of W's array library."""
    layer, xp, V = "word_embedding_forward", namespace(W), W.shape[0]
    if not hasattr(x, "shape") or xp.__name__ == "numpy":
        x = as_numpy(layer, "x", x, "hold integers", advice_on_integers)
    if not hasattr(W, "__array_interface__") or not hasattr(x, "__array_interface__"):
        x = xp.asarray(x, device=W.device)
    if not xp.isdtype(x.dtype, "integral"):
        raise LabelError(
            f"{layer}: x must hold integers in [0, {V}), the rows of W {tuple(W.shape)}; got {x.dtype}"
        )
    x = xp.astype(x, xp.int64, copy=True)
    if 0 not in x.shape and (int(xp.min(x)) < 0 or int(xp.max(x)) >= V):
        raise LabelError(
            f"{layer}: x must hold integers in [0, {V}), the rows of W {tuple(W.shape)}; "
            f"got numbers from {int(xp.min(x))} to {int(xp.max(x))}"
        )
    return x
