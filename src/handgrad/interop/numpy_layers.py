# mypy: disable-error-code="no-untyped-def, no-untyped-call"
"""The layers of an exported NumPy file, as they are written into it; those on images alone in `numpy_images`.

Every function stands alone but for the helpers on top of a file, has its formula in its docstring, and takes
NumPy's arrays.  Images are (N, C, H, W), rows (N, D).  A backward function takes the gradient of the
output, then what its forward took, and returns the gradients of these in the same order.
"""

import math

import numpy as np


def affine(x, W, b):
    """out = x W + b"""
    return x.reshape(len(x), -1) @ W + b


def affine_backward(dout, x, W, b):
    """dx = dout W^T        dW = x^T dout        db = sum of dout over the rows"""
    return (dout @ W.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


def batchnorm(x, gamma, beta, mean, var, eps):
    """out = gamma (x - mean) / sqrt(var + eps) + beta, for each channel"""
    wide = (1, -1) + (1,) * (x.ndim - 2)
    factor = gamma / np.sqrt(var + eps)
    return x * factor.reshape(wide) + (beta - mean * factor).reshape(wide)


def batch_statistics(x):
    """Mean and variance of each channel over the batch, and over the pixels of images."""
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes)


def batchnorm_backward(dout, x, gamma, beta, mean, var, eps):
    """With xhat = (x - mean) / std of the batch, and means over all that a channel has:

    dgamma = sum(dout xhat)        dbeta = sum(dout)
    dx = gamma / std (dout - mean(dout) - xhat mean(dout xhat))
    """
    axes, wide = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    std = np.sqrt(var + eps).reshape(wide)
    xhat = (x - mean.reshape(wide)) / std
    middle, slope = (
        dout.mean(axis=axes, keepdims=True),
        (dout * xhat).mean(axis=axes, keepdims=True),
    )
    dx = gamma.reshape(wide) / std * (dout - middle - xhat * slope)
    return dx, (dout * xhat).sum(axis=axes), dout.sum(axis=axes)


def groupnorm(x, gamma, beta, groups, eps):
    """out = gamma (x - mean) / sqrt(var + eps) + beta; mean and var of each group of channels of a row"""
    wide = (1, -1) + (1,) * (x.ndim - 2)
    parts = x.reshape(len(x), groups, -1)
    mean, var = parts.mean(axis=2, keepdims=True), parts.var(axis=2, keepdims=True)
    xhat = ((parts - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma.reshape(wide) * xhat + beta.reshape(wide)


def groupnorm_backward(dout, x, gamma, beta, groups, eps):
    """As that of batch normalisation, with the means of a group in place of a channel's."""
    axes, wide = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    parts = x.reshape(len(x), groups, -1)
    mean, var = parts.mean(axis=2, keepdims=True), parts.var(axis=2, keepdims=True)
    std = np.sqrt(var + eps)
    xhat = (parts - mean) / std
    dxhat = (dout * gamma.reshape(wide)).reshape(parts.shape)
    middle = dxhat.mean(axis=2, keepdims=True)
    slope = (dxhat * xhat).mean(axis=2, keepdims=True)
    dx = ((dxhat - middle - xhat * slope) / std).reshape(x.shape)
    return dx, (dout * xhat.reshape(x.shape)).sum(axis=axes), dout.sum(axis=axes)


def relu(x):
    """out = x where it is positive, else 0"""
    return np.maximum(x, 0)


def relu_backward(dout, x):
    """dx = dout where x is positive, else 0"""
    return dout * (x > 0)


def leaky_relu(x, alpha):
    """out = x where it is positive, else alpha x"""
    return np.where(x > 0, x, alpha * x)


def leaky_relu_backward(dout, x, alpha):
    """dx = dout where x is positive, else alpha dout"""
    return np.where(x > 0, dout, alpha * dout)


def prelu(x, a):
    """out = x where it is positive, else a x, with a slope for each channel or one for all"""
    wide = a.reshape((1, -1) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, wide * x)


def prelu_backward(dout, x, a):
    """dx = dout where x is positive, else a dout        da = sum of dout x where x is not positive"""
    wide = a.reshape((1, -1) + (1,) * (x.ndim - 2))
    axes = tuple(range(x.ndim)) if a.size == 1 else (0, *range(2, x.ndim))
    da = np.where(x > 0, 0, dout * x).sum(axis=axes)
    return np.where(x > 0, dout, wide * dout), da.reshape(a.shape)


def elu(x, alpha):
    """out = x where it is positive, else alpha (exp(x) - 1)"""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(dout, x, alpha):
    """dx = dout where x is positive, else alpha exp(x) dout"""
    return np.where(x > 0, dout, dout * alpha * np.exp(np.minimum(x, 0)))


def sigmoid(x):
    """out = 1 / (1 + exp(-x)); exp(-|x|) cannot overflow"""
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1, small) / (1 + small)


def sigmoid_backward(dout, x):
    """dx = dout s (1 - s), with s = sigmoid(x)"""
    small = np.exp(-np.abs(x))
    return dout * small / (1 + small) ** 2


def tanh(x):
    """out = tanh(x)"""
    return np.tanh(x)


def tanh_backward(dout, x):
    """dx = dout (1 - tanh(x)^2)"""
    return dout * (1 - np.tanh(x) ** 2)


def softplus(x):
    """out = log(1 + exp(x))"""
    return np.logaddexp(x, 0)


def softplus_backward(dout, x):
    """dx = dout / (1 + exp(-x))"""
    small = np.exp(-np.abs(x))
    return dout * np.where(x > 0, 1, small) / (1 + small)


def gelu(x):
    """out = x P(x), with P(x) = (1 + erf(x / sqrt(2))) / 2, the normal distribution"""
    erfc = np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))
    return (0.5 * x * erfc).astype(x.dtype)


def gelu_backward(dout, x):
    """dx = dout (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))"""
    erfc = np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return (dout * (0.5 * erfc + x * density)).astype(x.dtype)


def gelu_tanh(x):
    """out = x (1 + tanh(s)) / 2, with s = sqrt(2 / pi) (x + 0.044715 x^3)"""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_backward(dout, x):
    """dx = dout ((1 + t) / 2 + x (1 - t^2) s' / 2), with t = tanh(s)"""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * slope)


def maxout(x, pieces):
    """out = the largest of each group of `pieces` channels"""
    return x.reshape(len(x), -1, pieces, *x.shape[2:]).max(axis=2)


def maxout_backward(dout, x, pieces):
    """dx = dout at the largest (the first of equal ones), else 0"""
    groups = x.reshape(len(x), -1, pieces, *x.shape[2:])
    first = np.expand_dims(groups.argmax(axis=2), 2)
    dx = np.zeros_like(groups)
    np.put_along_axis(dx, first, np.expand_dims(dout, 2), axis=2)
    return dx.reshape(x.shape)


def flatten(x):
    """out = each image as one row"""
    return x.reshape(len(x), -1)


def flatten_backward(dout, x):
    """dx = dout in the shape of x"""
    return dout.reshape(x.shape)


def concat(*xs):
    """out = the channels of all, one behind the other"""
    return np.concatenate(xs, axis=1)


def concat_backward(dout, *xs):
    """dxs = dout, cut where the channels were joined"""
    return np.split(dout, np.cumsum([x.shape[1] for x in xs])[:-1], axis=1)


def dropout(x, mask):
    """out = x mask; the mask holds 1 / p with probability p, else 0"""
    return x * mask


def dropout_backward(dout, x, mask):
    """dx = dout mask"""
    return dout * mask


def softmax_loss(scores, y, smoothing=0.0):
    """loss = -mean of sum t log p, with p = exp(scores) / sum        dscores = (p - t) / N
    t is 1 at y and 0 elsewhere, of which `smoothing` is spread over all classes
    """
    logp = scores - scores.max(axis=1, keepdims=True)
    logp = logp - np.log(np.exp(logp).sum(axis=1, keepdims=True))
    t = np.full_like(scores, smoothing / scores.shape[1])
    t[np.arange(len(y)), y] += 1 - smoothing
    return -(t * logp).sum() / len(y), (np.exp(logp) - t) / len(y)
