"""Pairs that are right, in many forms: none of them may be called wrong.

The project's engines, PyTorch's functions seen as pairs, and correct solutions written in other ways:
another cache, another formula, another choice at ties, another dropout mask.
"""

from __future__ import annotations

import functools

import numpy as np
from contract.cases import CASES

from handgrad import engines, layers, optim

# the engines: a known layer by each engine, and its rows of the contract table as somebody's own pair


def engine_pairs(share: int = 3):
    """(name, forward, backward, keyword arguments of check)."""
    for engine in engines.available():
        if engine == "naive":
            continue  # slow; its mutants and its own tests cover it
        for name in sorted({case.layer for case in CASES if not case.layer.endswith("_loss")}):
            rows = [case for case in CASES if case.layer == name][::share]
            for case in rows:
                if 0 in [np.size(a) for a in case.arrays.values()] or name == "lstm_step":
                    continue  # nothing to compare; lstm_step's backward takes two dout
                yield (f"{engine}-{case.id}", *_with_engine(case, engine))


def _with_engine(case, engine):
    def forward(*arrays):
        return case.forward(*arrays, engine=engine)

    return forward, getattr(layers, f"{case.layer}_backward"), {"inputs": [dict(case.arrays)]}


# PyTorch's functions


def torch_pairs():
    """(name, forward, backward, inputs): the backward is autograd's."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(0)
    image, row = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((5, 4))
    w, b = rng.standard_normal((3, 4, 3, 3)), rng.standard_normal(3)
    gamma, beta = rng.uniform(0.5, 1.5, 4), rng.standard_normal(4)
    labels = torch.tensor([0, 3, 1, 2, 0])
    functions = {
        name: (getattr(F, name), [row])
        for name in (
            "relu", "gelu", "elu", "silu", "softplus", "sigmoid", "tanh", "leaky_relu", "selu", "celu",
            "mish", "hardtanh", "relu6", "hardswish", "hardsigmoid", "logsigmoid", "softsign",
            "tanhshrink", "softshrink", "hardshrink",
        )
    }  # fmt: skip
    batch_norm = functools.partial(_batch_norm, F)
    functions |= {
        "softmax": (lambda x: F.softmax(x, 1), [row]),
        "log_softmax": (lambda x: F.log_softmax(x, 1), [row]),
        "linear": (F.linear, [row, rng.standard_normal((3, 4)), b]),
        "cross_entropy": (lambda x: F.cross_entropy(x, labels), [row]),
        "multi_margin_loss": (lambda x: F.multi_margin_loss(x, labels), [row]),
        "layer_norm": (lambda x, g, o: F.layer_norm(x, (4,), g, o), [row, gamma, beta]),
        "batch_norm": (batch_norm, [row, gamma, beta]),
        "batch_norm of images": (batch_norm, [image, gamma, beta]),
        "group_norm": (lambda x, g, o: F.group_norm(x, 2, g, o), [image, gamma, beta]),
        "instance_norm": (F.instance_norm, [image]),
        "normalize": (F.normalize, [row]),
        "prelu": (F.prelu, [image, np.array([0.2])]),
        "mse_loss": (F.mse_loss, [row, row[::-1].copy()]),
        "smooth_l1_loss": (F.smooth_l1_loss, [row, row[::-1].copy()]),
        "cosine_similarity": (F.cosine_similarity, [row, row[::-1].copy()]),
        "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), [image]),
        "pad reflect": (lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"), [image]),
        "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), [image]),
        "unfold": (lambda x: F.unfold(x, 3), [image]),
        "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), [image]),
        "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 2), [image]),
    }  # fmt: skip
    for stride in (1, 2, 3):
        for pad in (0, 1, 2):
            functions[f"conv2d, stride {stride}, pad {pad}"] = (
                lambda x, w, b, s=stride, p=pad: F.conv2d(x, w, b, stride=s, padding=p),
                [image, w, b],
            )
        for size in (1, 2, 3):
            functions[f"max_pool2d {size}, stride {stride}"] = (
                lambda x, k=size, s=stride: F.max_pool2d(x, k, s),
                [image],
            )
            functions[f"avg_pool2d {size}, stride {stride}"] = (
                lambda x, k=size, s=stride: F.avg_pool2d(x, k, s),
                [image],
            )
    for name, (function, inputs) in functions.items():
        yield (f"torch {name}", *_by_autograd(function), {"inputs": [inputs]})
    # at kinks and ties, where PyTorch's own gradcheck complains
    kinked = np.array([[0.0, 1.0, -1.0, 0.0], [0.5, 0.0, 0.0, 2.0]])
    for name in ("relu", "leaky_relu", "hardtanh", "relu6", "hardshrink"):
        yield (f"torch {name} at its kink", *_by_autograd(getattr(F, name)), {"inputs": [[kinked]]})
    tied = np.zeros((1, 2, 4, 4))
    yield (
        "torch max_pool2d of ties",
        *_by_autograd(lambda x: F.max_pool2d(x, 2)),
        {"inputs": [[tied]]},
    )


def _batch_norm(F, x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True)


def _by_autograd(function):
    import torch

    def forward(*arrays):
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        out = function(*tensors)
        return out.detach().numpy(), (out, tensors)

    def backward(dout, cache):
        out, tensors = cache
        gradients = torch.autograd.grad(out, tensors, torch.as_tensor(dout), retain_graph=True)
        return tuple(gradient.numpy() for gradient in gradients)

    return forward, backward


# correct solutions written differently


def relu_by_where(x):
    return np.where(x > 0, x, 0.0), (x > 0)


def relu_by_where_backward(dout, mask):
    return np.where(mask, dout, 0.0)


def relu_by_product(x):
    return x * (x > 0), x


def relu_by_product_backward(dout, x):
    dx = dout.copy()
    dx[x <= 0] = 0
    return dx


def relu_with_slope_at_zero(dout, x):
    return dout * (x >= 0)


def relu_with_half_at_zero(dout, x):
    return dout * ((x > 0) + 0.5 * (x == 0))


def affine_by_einsum(x, w, b):
    return np.einsum("nd,dm->nm", x.reshape(len(x), -1), w) + b, [x.shape, x.reshape(len(x), -1), w]


def affine_by_einsum_backward(dout, cache):
    shape, rows, w = cache
    return [
        np.einsum("nm,dm->nd", dout, w).reshape(shape),
        np.einsum("nd,nm->dm", rows, dout),
        np.ones(len(dout)) @ dout,
    ]


def pool_by_reshape_or_loops(x, pool_param):
    """Ties are shared equally."""
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    windows = np.lib.stride_tricks.sliding_window_view(x, (ph, pw), axis=(2, 3))[:, :, ::s, ::s]
    return windows.max(axis=(4, 5)), {"x": x, "param": dict(pool_param)}


def pool_shared_backward(dout, cache):
    return _pool_backward(
        dout, cache, lambda window: (window == window.max()) / np.sum(window == window.max())
    )


def pool_last_backward(dout, cache):
    def last(window):
        mask = np.zeros(window.size)
        mask[np.flatnonzero(window.ravel() == window.max())[-1]] = 1
        return mask.reshape(window.shape)

    return _pool_backward(dout, cache, last)


def _pool_backward(dout, cache, share):
    x, param = cache["x"], cache["param"]
    ph, pw, s = param["pool_height"], param["pool_width"], param["stride"]
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dout.shape):
        place = (n, c, slice(i * s, i * s + ph), slice(j * s, j * s + pw))
        dx[place] += share(x[place]) * dout[n, c, i, j]
    return dx


def conv_by_windows(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))[
        :, :, ::s, ::s
    ]
    return np.einsum("ncijuv,fcuv->nfij", windows, w) + b[:, None, None], (x, w, b, conv_param)


def conv_by_windows_backward(dout, cache):
    """The kernel's places outside, the image's inside."""
    x, w, _, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))).astype(float)
    dx, dw = np.zeros_like(padded), np.zeros(w.shape)
    H, W = dout.shape[2:]
    for u in range(w.shape[2]):
        for v in range(w.shape[3]):
            place = (slice(None), slice(None), slice(u, u + s * H, s), slice(v, v + s * W, s))
            place = (*place[:2], slice(u, u + s * (H - 1) + 1, s), slice(v, v + s * (W - 1) + 1, s))
            dw[:, :, u, v] = np.einsum("nfij,ncij->fc", dout, padded[place])
            dx[place] += np.einsum("nfij,fc->ncij", dout, w[:, :, u, v])
    H, W = x.shape[2:]
    return dx[:, :, p : p + H, p : p + W], dw, dout.sum(axis=(0, 2, 3))


def batchnorm_by_var(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        scale = gamma / np.sqrt(bn_param["running_var"] + eps)
        shift = beta - bn_param["running_mean"] * scale
        return x * scale + shift, (
            x,
            scale,
            gamma,
            bn_param["running_mean"],
            bn_param["running_var"] + eps,
            False,
        )
    mean, var = x.mean(axis=0), x.var(axis=0)
    bn_param["running_mean"] = momentum * bn_param["running_mean"] + (1 - momentum) * mean
    bn_param["running_var"] = bn_param["running_var"] - (1 - momentum) * (
        bn_param["running_var"] - var
    )
    return gamma * (x - mean) / np.sqrt(var + eps) + beta, (x, None, gamma, mean, var + eps, True)


def batchnorm_by_var_backward(dout, cache):
    x, scale, gamma, mean, var, train = cache
    dgamma, dbeta = np.sum(dout * (x - mean) * var**-0.5, axis=0), dout.sum(axis=0)
    if not train:
        return dout * scale, dgamma, dbeta
    N = len(x)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mean) * -0.5 * var**-1.5, axis=0)
    dmean = np.sum(-dxhat * var**-0.5, axis=0) + dvar * np.mean(-2 * (x - mean), axis=0)
    return dxhat * var**-0.5 + dvar * 2 * (x - mean) / N + dmean / N, dgamma, dbeta


def layernorm_by_batchnorm(x, gamma, beta, ln_param):
    centred = x.T - x.T.mean(axis=0)
    scale = 1 / np.sqrt((centred * centred).mean(axis=0) + ln_param.get("eps", 1e-5))
    xhat = (centred * scale).T
    return xhat * gamma + beta, (xhat, scale[:, None], gamma)


def layernorm_by_batchnorm_backward(dout, cache):
    xhat, scale, gamma = cache
    g = dout * gamma
    dx = scale * (g - g.mean(axis=1, keepdims=True) - xhat * (g * xhat).mean(axis=1, keepdims=True))
    return dx, (dout * xhat).sum(0), dout.sum(0)


def dropout_with(draw):
    def forward(x, dropout_param):
        p = dropout_param["p"]
        if dropout_param["mode"] == "test":
            return x.copy(), None
        if "seed" in dropout_param:
            np.random.seed(dropout_param["seed"])
        mask = draw(x.shape, p)
        return x * mask, mask

    return forward


def dropout_backward(dout, mask):
    return dout.copy() if mask is None else dout * mask


def softmax_by_log_sum(x, y):
    N = len(x)
    m = x.max(axis=1)
    log_sum = m + np.log(np.exp(x - m[:, None]).sum(axis=1))
    dx = np.exp(x - log_sum[:, None])
    dx[range(N), y] -= 1
    return np.mean(log_sum - x[np.arange(N), y]), dx / N


def softmax_by_one_hot(x, y):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    one = np.eye(x.shape[1])[y]
    logs = x - x.max(axis=1, keepdims=True) - np.log(e.sum(axis=1, keepdims=True))
    return -(one * logs).sum() / len(x), (p - one) / len(x)


def svm_by_loops(x, y):
    N, C = x.shape
    loss, dx = 0.0, np.zeros(x.shape)
    for n in range(N):
        for c in range(C):
            margin = x[n, c] - x[n, y[n]] + 1
            if c != y[n] and margin > 0:
                loss += margin
                dx[n, c] += 1
                dx[n, y[n]] -= 1
    return loss / N, dx / N


def adam_by_rate(w, dw, config=None):
    """The corrections in the learning rate, as many write it."""
    config = {} if config is None else config
    for key, value in (
        ("learning_rate", 1e-3),
        ("beta1", 0.9),
        ("beta2", 0.999),
        ("epsilon", 1e-8),
        ("t", 0),
    ):
        config.setdefault(key, value)
    config["t"] += 1
    config["m"] = config.get("m", 0) + (1 - config["beta1"]) * (dw - config.get("m", 0))
    config["v"] = config["beta2"] * config.get("v", 0) + (1 - config["beta2"]) * np.square(dw)
    first, second = 1 - config["beta1"] ** config["t"], 1 - config["beta2"] ** config["t"]
    step = config["m"] / first / (np.sqrt(config["v"] / second) + config["epsilon"])
    return w - config["learning_rate"] * step, config


def sgd_out_of_place(w, dw, config=None):
    config = config if config is not None else {}
    return w - config.setdefault("learning_rate", 1e-2) * dw, config


MASKS = {
    "rand < p": lambda shape, p: (np.random.rand(*shape) < p) / p,
    "rand > 1 - p": lambda shape, p: (np.random.rand(*shape) > 1 - p) / p,
    "rand >= 1 - p": lambda shape, p: (np.random.rand(*shape) >= 1 - p) / p,
    "binomial": lambda shape, p: np.random.binomial(1, p, shape) / p,
    "uniform": lambda shape, p: np.where(np.random.uniform(size=shape) <= p, 1 / p, 0.0),
    "choice": lambda shape, p: np.random.choice([0, 1 / p], shape, p=[1 - p, p]),
    "float32": lambda shape, p: (np.random.rand(*shape).astype(np.float32) < p) / p,
    "flat": lambda shape, p: (np.random.random(int(np.prod(shape))) < p).reshape(shape) / p,
}


def variants():
    """(name, forward, backward, keyword arguments of check)."""
    known = {
        "relu": [
            (relu_by_where, relu_by_where_backward),
            (relu_by_product, relu_by_product_backward),
            (relu_by_product, relu_with_slope_at_zero),
            (relu_by_product, relu_with_half_at_zero),
        ],
        "affine": [(affine_by_einsum, affine_by_einsum_backward)],
        "max_pool": [
            (pool_by_reshape_or_loops, pool_shared_backward),
            (pool_by_reshape_or_loops, pool_last_backward),
        ],
        "conv": [(conv_by_windows, conv_by_windows_backward)],
        "batchnorm": [(batchnorm_by_var, batchnorm_by_var_backward)],
        "layernorm": [(layernorm_by_batchnorm, layernorm_by_batchnorm_backward)],
        "softmax_loss": [(softmax_by_log_sum, None), (softmax_by_one_hot, None)],
        "svm_loss": [(svm_by_loops, None)],
        "dropout": [(dropout_with(draw), dropout_backward) for draw in MASKS.values()],
    }
    for layer, pairs in known.items():
        for number, (forward, backward) in enumerate(pairs):
            yield f"variant {number} of {layer}", forward, backward, {"layer": layer}
    for layer in sorted({case.layer for case in CASES}):
        for engine in engines.available():
            if engine != "naive" and layer in KNOWN_TO_THE_CHECKER:
                yield (f"{engine} {layer}", *_whole(layer, engine), {"layer": layer})


def rules():
    """(name of the rule, a right one)."""
    yield from optim.RULES.items()
    yield "adam", adam_by_rate
    yield "sgd", sgd_out_of_place


KNOWN_TO_THE_CHECKER = {
    "affine", "relu", "batchnorm", "layernorm", "dropout", "conv", "max_pool", "spatial_batchnorm",
    "spatial_groupnorm", "affine_relu", "affine_bn_relu", "affine_ln_relu", "conv_relu",
    "conv_pool", "conv_relu_pool", "conv_bn_relu", "conv_bn_relu_pool", "avg_pool", "global_avg_pool",
    "prelu", "maxout", "spatial_instancenorm", "sigmoid", "tanh", "elu", "gelu", "leaky_relu",
}  # fmt: skip


def _whole(layer, engine):
    def forward(*arguments):
        return getattr(layers, f"{layer}_forward")(*arguments, engine=engine)

    return forward, getattr(layers, f"{layer}_backward")
