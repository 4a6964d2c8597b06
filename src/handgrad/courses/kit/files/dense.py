"""Chapter 1: an affine layer, ReLU, and the softmax loss."""

import numpy as np


def affine_forward(x, w, b):
    """out = x w + b, with each row of x taken as one long row of D numbers.

    x: (N, d1, ..., dk) with D = d1 ... dk; w: (D, M); b: (M,).  Returns out, (N, M), and the cache.
    """
    # TODO: lay the rows of x out, multiply, add the bias
    out = x.reshape(len(x), -1) @ w + b
    # END
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    """dout: (N, M).  Returns dx in the shape of x, dw (D, M), db (M,)."""
    x, w, _ = cache
    # TODO: three gradients, each in the shape of what it is the gradient of
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.sum(axis=0)
    # END
    return dx, dw, db


def relu_forward(x):
    """out = max(0, x), of any shape."""
    # TODO: one line
    out = np.maximum(0, x)
    # END
    return out, x


def relu_backward(dout, cache):
    """dout: the shape of x.  At x = 0 the gradient is 0."""
    x = cache
    # TODO: where may the gradient pass?
    dx = dout * (x > 0)
    # END
    return dx


def softmax_loss(x, y):
    """The mean of -log p[y] over the rows, and its gradient.

    x: scores, (N, C); y: labels, (N,), whole numbers from 0 to C - 1.  Returns loss and dx, (N, C).
    """
    # TODO: shift each row by its maximum first; exp(1000) is infinite
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(x))
    loss = -log_p[rows, y].mean()
    dx = np.exp(log_p)
    dx[rows, y] -= 1
    dx /= len(x)
    # END
    return loss, dx
