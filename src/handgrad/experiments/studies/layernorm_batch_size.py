"""Layer normalisation looks at one image at a time: it against batch normalisation and none."""

from __future__ import annotations

from handgrad.experiments.batch_sizes import batch_size_study

HIDDEN = {"conv_params": [], "hidden_dims": [100] * 5}

STUDY = batch_size_study(
    {
        "layer norm": {**HIDDEN, "normalization": "layernorm"},
        "batch norm": {**HIDDEN, "normalization": "batchnorm"},
        "no norm": HIDDEN,
    },
    (3, 5, 10, 50),
    name="layernorm-batch-size",
    title="Layer normalisation and the size of the batch",
    source="CS231n assignment 2, BatchNormalization",
    dataset="digits",
    subtitle="5 hidden layers of 100 units",
)
