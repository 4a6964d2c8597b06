"""The one list of what an engine computes: each has a function for every name, with one signature."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

PAIRS = (
    "add",
    "affine",
    "avg_pool",
    "batchnorm",
    "batchnorm_test",
    "concat",
    "conv",
    "conv_transpose",
    "dropout",
    "elu",
    "flatten",
    "gelu",
    "global_avg_pool",
    "groupnorm",
    "leaky_relu",
    "max_pool",
    "maxout",
    "prelu",
    "relu",
    "sigmoid",
    "softplus",
    "tanh",
    "upsample",
    "word_embedding",
)
LOSSES = (
    "absolute_loss",
    "binary_cross_entropy_loss",
    "focal_loss",
    "huber_loss",
    "mse_loss",
    "poisson_loss",
    "quantile_loss",
    "softmax_loss",
    "svm_loss",
)
FUNCTIONS = frozenset(
    {
        *(f"{pair}_forward" for pair in PAIRS),
        *(f"{pair}_backward" for pair in PAIRS),
        "batchnorm_backward_alt",
        *LOSSES,
    }
)


def functions_of(*files: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions of `files` that an engine computes, by name."""
    return {
        name: function
        for file in files
        for name, function in vars(file).items()
        if name in FUNCTIONS
    }
