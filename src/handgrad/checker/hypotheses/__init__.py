"""The library of hypotheses: what people get wrong, and what the numbers then are.

`Hypothesis` (hypothesis.py) is the form of one: a short name, the sentence that is printed, and a
prediction, call -> the numbers that the mistake gives.  A file holds lists of them, FORWARD and BACKWARD,
in the order in which they are tried.  `FAMILIES` says which file answers for which family of layers; a
layer names its family in `known/table.py`.  The files, by folder:

    generic             every layer: sign, factor, sum, transpose, a lost or unused gradient
    dense/              affine (also with ReLU), relu (and what acts number by number), dropout
    convolution/        conv: conv_forward (bias, kernel, padding), conv_places (how many windows, where),
                        conv_backward (products, indices, sums), conv_crop (dx at the padding),
                        conv_loops (what they override);
                        pool: pool_windows (size and stride), pool_forward, pool_backward (the maximum)
    norms/              batchnorm, layernorm, groupnorm, each of its own mistakes and of those that all
                        share: norm (forward), statistics (mean and variance), norm_backward, paths
                        (through mean and variance), sums (over a wrong axis); running_statistics
    losses/             loss (divisors), softmax, svm
    sequences/          recurrent (RNN, a step of an LSTM, embedding), lstm_sequence, temporal_loss (mask
                        and divisor)
    rules/              optim (all rules, SGD), momentum (and Nesterov's), squares (RMSProp, AdaGrad),
                        adam, adam_correction (bias correction and t), defaults (of settings);
                        rule and adam_rule (what they override)
    networks/           sandwich (a step left out), model (regularisation, what is forgotten),
                        joins (a layer left out, one too many, another order)
    classifiers/        assignment 1: linear (losses of W), neighbours (distances, votes), neural_net,
                        features (of images)
"""

from __future__ import annotations

import importlib

from handgrad.checker.hypotheses import generic
from handgrad.checker.hypotheses.hypothesis import Hypothesis

# family of layers -> the file that holds its FORWARD and BACKWARD
FAMILIES = {
    "affine": "dense.affine",
    "relu": "dense.relu",
    "dropout": "dense.dropout",
    "conv": "convolution.conv",
    "pool": "convolution.pool",
    "batchnorm": "norms.batchnorm",
    "layernorm": "norms.layernorm",
    "groupnorm": "norms.groupnorm",
    "loss": "losses.loss",
    "recurrent": "sequences.recurrent",
    "temporal_loss": "sequences.temporal_loss",
    "optim": "rules.optim",
    "sandwich": "networks.sandwich",
    "model": "networks.model",
    "linear": "classifiers.linear",
    "neighbours": "classifiers.neighbours",
    "neural_net": "classifiers.neural_net",
    "features": "classifiers.features",
}


def of(family: str, side: str) -> list[Hypothesis]:
    """Return the hypotheses of a family of layers, then those of all; side: "forward", "backward"."""
    own: list[Hypothesis] = []
    if family:
        module = importlib.import_module(f"{__name__}.{FAMILIES[family]}")
        own = module.FORWARD if side == "forward" else module.BACKWARD
    return own + (generic.FORWARD if side == "forward" else generic.BACKWARD)
