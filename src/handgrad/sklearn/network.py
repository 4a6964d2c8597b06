"""The network of an estimator, and the scale of what it sees."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad.data.scaling import one_scale

ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": None,
}


def network_of(made: dict[str, Any], rng: Any, weights: Any) -> nn.Sequential:
    """Return the network of an `Estimator._architecture`; rng is dropout's stream, weights that of W."""
    parts: list[Any] = []
    activation = ACTIVATIONS[made["activation"]]
    for size in made["hidden"]:
        parts.append(nn.Affine(size))
        parts += [nn.BatchNorm()] if made["batch_norm"] else []
        parts += [] if activation is None else [activation()]
        parts += [nn.Dropout(1.0 - made["dropout"], rng=rng)] if made["dropout"] else []
    parts.append(nn.Affine(made["outputs"]))
    network: nn.Sequential = nn.Sequential(
        parts,
        input_shape=(made["width"],),
        loss=made["loss"],
        dtype=made["dtype"],
        rng=weights,
    )
    return network


def scale_of(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each column, and what its distance from it is divided by.

    That is its standard deviation, 1 for a constant column, or one number for all (`handgrad.data.scaling`).
    """
    X = X.astype(np.float64)
    mean = np.average(X, axis=0, weights=weight)
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    # what rounding leaves of a constant column is no spread
    is_constant = variance <= (1e-12 * np.maximum(np.abs(mean), 1e-300)) ** 2
    scale = np.where(is_constant, 1.0, np.sqrt(variance))
    return mean, one_scale(scale, ~is_constant)
