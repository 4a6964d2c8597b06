"""Chapters 3 and 4: batch normalisation, layer normalisation, dropout."""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    """Centre and scale each column of x, (N, D), then multiply by gamma and add beta, both (D,).

    bn_param holds "mode" ("train" or "test"), "eps", "momentum", and after the first call "running_mean"
    and "running_var".  In train mode mean and variance are the batch's, and

        running = momentum running + (1 - momentum) batch

    In test mode they are the running ones.
    """
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    if bn_param["mode"] == "train":
        # TODO: out, the cache for backward, running_mean and running_var
        mean, var = x.mean(axis=0), x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mean) / std
        out = gamma * xhat + beta
        cache = (xhat, std, gamma)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
        # END
    else:
        # TODO: out, from the running mean and variance
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        # END
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    """Gradients of train mode: dx (N, D), dgamma (D,), dbeta (D,).  Go through the graph step by step."""
    # TODO: mean and variance depend on x, too
    xhat, std, gamma = cache
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    centred = xhat * std
    dstd = -(dxhat * centred).sum(axis=0) / std**2
    dvar = dstd / (2 * std)
    dcentred = dxhat / std + 2 * centred * dvar / N
    dmean = -dcentred.sum(axis=0)
    dx = dcentred + dmean / N
    # END
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    """The same gradients from the formula that is left when the steps are put into each other."""
    # TODO: take two means off the gradient of xhat
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
    # END
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    """Centre and scale each row of x, (N, D); gamma and beta are (D,).  There is no running average."""
    eps = ln_param.get("eps", 1e-5)
    # TODO: out, and the cache
    mean = x.mean(axis=1, keepdims=True)
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    xhat = (x - mean) / std
    out = gamma * xhat + beta
    cache = (xhat, std, gamma)
    # END
    return out, cache


def layernorm_backward(dout, cache):
    """Returns dx (N, D), dgamma (D,), dbeta (D,)."""
    # TODO: which axis belongs to dx, and which to dgamma?
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    along = (dxhat * xhat).mean(axis=1, keepdims=True)
    dx = (dxhat - dxhat.mean(axis=1, keepdims=True) - xhat * along) / std
    # END
    return dx, dgamma, dbeta


def dropout_forward(x, dropout_param):
    """Keep each number with probability p, divided by p; set the others to zero.  In test mode out = x.

    dropout_param holds "p", "mode" ("train" or "test") and perhaps "seed", for repeatable draws.
    """
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask, out = None, x
    if mode == "train":
        # TODO: draw the mask with np.random.rand, so that the mean of out is that of x
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
        # END
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    """Returns dx, in the shape of dout."""
    dropout_param, mask = cache
    if dropout_param["mode"] != "train":
        return dout
    # TODO: one line
    dx = dout * mask
    # END
    return dx
