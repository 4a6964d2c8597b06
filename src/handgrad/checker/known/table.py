"""The table of known layers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from handgrad.checker.known import (
    activations,
    configs,
    expectations,
    linear,
    sandwiches,
    sequences,
    windows,
)
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Config


def _pair(
    name: str,
    family: str,
    make: Callable[[], list[Config]],
    variants: tuple[str, ...] = ("",),
    backward: tuple[str, ...] = (),
    called: str = "",
    **more: Any,
) -> KnownLayer:
    """A layer whose functions are <name>_forward<variant> and <name>_backward<variant>.

    called: a student's own word for it, which may stand for something else too.
    """
    if family == "sandwich" and name not in _OF_COURSES:
        roles = _roles(name)
        more |= {"own_word": roles, "adapt": sandwiches.in_order(roles)}
    stem = called or name
    forwards = tuple(f"{stem}_forward{variant}" for variant in variants)
    backwards = tuple(f"{stem}_backward{variant}" for variant in variants) + backward
    return KnownLayer(name, make, forwards, backwards, family, **more)


def _roles(name: str) -> tuple[str, ...]:
    """The arguments of a sandwich, in the order of its name's pair: conv_bn_relu_pool has all of them."""
    normed = {"bn", "ln"} & {*name.split("_")}
    options = [
        word for word in ("conv", "norm", "pool") if word in name or (word == "norm" and normed)
    ]
    return ("x", "w", "b", *(("gamma", "beta") if normed else ()), *options)


_OF_COURSES = ("affine_relu", "conv_relu", "conv_relu_pool")  # whose arguments the course wrote
_VARIANTS = ("_naive", "", "_fast", "_strides", "_im2col", "_pytorch")

LAYERS = [
    _pair("affine", "affine", configs.affine),
    _pair("relu", "relu", configs.relu, legitimate=configs.within_dout),
    KnownLayer(
        "softmax_loss",
        functools.partial(configs.loss, True),
        ("softmax_loss",),
        (),
        "loss",
        loss=True,
        scored=configs.scored,
    ),
    KnownLayer(
        "svm_loss", functools.partial(configs.loss, False), ("svm_loss",), (), "loss", loss=True
    ),
    _pair("batchnorm", "batchnorm", configs.batchnorm, ("", "_alt")),
    _pair("layernorm", "layernorm", configs.layernorm),
    _pair("dropout", "dropout", configs.dropout, random=True, expectations=(expectations.dropout,)),
    _pair("conv", "conv", windows.conv, _VARIANTS),
    _pair(
        "max_pool",
        "pool",
        windows.max_pool,
        ("_naive", "", "_fast", "_im2col", "_reshape"),
        legitimate=windows.shares_of_maxima,
    ),
    _pair("spatial_batchnorm", "batchnorm", configs.spatial_batchnorm),
    _pair("spatial_groupnorm", "groupnorm", configs.spatial_groupnorm, ("", "_quick")),
    _pair("affine_relu", "sandwich", functools.partial(configs.affine_like, "")),
    _pair("affine_bn_relu", "sandwich", functools.partial(configs.affine_like, "bn")),
    _pair("affine_ln_relu", "sandwich", functools.partial(configs.affine_like, "ln")),
    _pair("conv_relu", "sandwich", windows.conv_sandwich),
    _pair("conv_relu_pool", "sandwich", functools.partial(windows.conv_sandwich, pool=True)),
    _pair("conv_pool", "sandwich", functools.partial(windows.conv_sandwich, pool=True)),
    _pair("conv_bn_relu", "sandwich", functools.partial(windows.conv_sandwich, "bn")),
    _pair(
        "conv_bn_relu_pool", "sandwich", functools.partial(windows.conv_sandwich, "bn", pool=True)
    ),
    _pair("avg_pool", "", windows.avg_pool),
    _pair("global_avg_pool", "", windows.global_avg_pool),
    _pair("prelu", "", configs.prelu),
    _pair("maxout", "", configs.maxout),
    _pair("spatial_instancenorm", "", configs.spatial_instancenorm),
    *[
        _pair(
            "affine_bn_relu", "sandwich", functools.partial(configs.affine_like, "bn"), called=word
        )
        for word in ("affine_batchnorm_relu", "affine_batch_relu")
    ],
    _pair(
        "affine_ln_relu",
        "sandwich",
        functools.partial(configs.affine_like, "ln"),
        called="affine_layernorm_relu",
    ),
    *[
        _pair(
            "conv_bn_relu", "sandwich", functools.partial(windows.conv_sandwich, "bn"), called=word
        )
        for word in ("conv_batchnorm_relu", "conv_batch_relu")
    ],
    *[
        _pair(
            "conv_bn_relu_pool",
            "sandwich",
            functools.partial(windows.conv_sandwich, "bn", pool=True),
            called=word,
        )
        for word in ("conv_batchnorm_relu_pool", "conv_batch_relu_pool")
    ],
    *[
        _pair(
            "affine_bn_relu",
            "sandwich",
            functools.partial(configs.affine_like, "bn"),
            called=word,
            chain=("affine", "batchnorm", "relu"),
        )
        for word in ("affine_norm_relu", "affine_relu_bn", "affine_relu_norm")
    ],
    *[
        _pair(
            "conv_bn_relu",
            "sandwich",
            functools.partial(windows.conv_sandwich, "bn"),
            called=word,
            chain=("conv", "spatial_batchnorm", "relu"),
        )
        for word in ("conv_norm_relu", "conv_relu_bn", "conv_sbn_relu", "conv_relu_norm")
    ],
    linear.linear("svm_loss", ("svm_loss_naive", "svm_loss_vectorized")),
    linear.linear("softmax_loss", ("softmax_loss_naive", "softmax_loss_vectorized")),
    _pair("rnn_step", "recurrent", functools.partial(sequences.steps, 1)),
    _pair("rnn", "recurrent", functools.partial(sequences.sequences, 1)),
    _pair(
        "lstm_step",
        "recurrent",
        functools.partial(sequences.steps, 4),
        adapt=sequences.two_outputs,
    ),
    _pair("lstm", "recurrent", functools.partial(sequences.sequences, 4)),
    _pair("word_embedding", "recurrent", sequences.embedding, adapt=sequences.words_first),
    _pair("temporal_affine", "recurrent", sequences.temporal_affine),
    KnownLayer(
        "temporal_softmax_loss",
        sequences.loss,
        ("temporal_softmax_loss",),
        (),
        "temporal_loss",
        loss=True,
        scored=sequences.scored,
    ),
    *[
        activations.as_meant(_pair(name, "", configs.elementwise))
        for name in ("sigmoid", "tanh", "elu", "gelu", "leaky_relu")
    ],
]


def by_function(name: str) -> tuple[KnownLayer, str] | None:
    """Return the layer that a function belongs to, and "forward" or "backward"."""
    for layer in LAYERS:
        if name in layer.forward:
            return layer, "forward"
        if name in layer.backward:
            return layer, "backward"
    return None


def forget_truths() -> None:
    """Let what the layers give be computed anew, as where NumPy was not itself meanwhile."""
    for layer in LAYERS:
        layer.cache.clear()
