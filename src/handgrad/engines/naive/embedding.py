"""Word embeddings, one number at a time."""

from __future__ import annotations

import numpy as np


def word_embedding_forward(W: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, tuple]:
    D = W.shape[1]
    out = np.zeros((*words.shape, D), W.dtype)
    for place in np.ndindex(words.shape):
        for d in range(D):
            out[*place, d] = W[words[place], d]
    return out, (words, W.shape)


def word_embedding_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    words, (V, D) = saved
    dW = np.zeros((V, D), dout.dtype)
    for place in np.ndindex(words.shape):
        for d in range(D):
            dW[words[place], d] += dout[*place, d]
    return dW
