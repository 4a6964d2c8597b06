"""Word embeddings: rows taken from a table, and added up by word."""

from __future__ import annotations

import numpy as np

from handgrad.engines.arrays import Array, namespace


def word_embedding_forward(W: Array, words: Array) -> tuple[Array, tuple]:
    xp = namespace(W)
    rows = xp.take(W, xp.reshape(words, (-1,)), axis=0)
    return xp.reshape(rows, (*words.shape, W.shape[1])), (words, W.shape)


def word_embedding_backward(dout: Array, saved: tuple) -> Array:
    words, (V, D) = saved
    xp = namespace(dout)
    words, rows = xp.reshape(words, (-1,)), xp.reshape(dout, (-1, D))
    if isinstance(dout, np.ndarray):
        dW = np.zeros((V, D), dout.dtype)
        np.add.at(dW, words, rows)
        return dW
    # the standard has no sum by index: a product with one-hot rows is the same sum
    places = xp.expand_dims(xp.arange(V, device=dout.device), axis=1) == xp.expand_dims(
        words, axis=0
    )
    return xp.astype(places, dout.dtype) @ rows
