"""Group normalisation in a convolutional network, against batch normalisation, at small batches."""

from __future__ import annotations

from handgrad.experiments.batch_sizes import batch_size_study

CONV = {
    "conv_params": [
        {"num_filters": 16, "filter_size": 3},
        {"num_filters": 32, "filter_size": 3},
    ],
    "hidden_dims": [],
}

STUDY = batch_size_study(
    {
        "group norm": {**CONV, "normalization": "layernorm", "groups": 4},
        "batch norm": {**CONV, "normalization": "batchnorm"},
    },
    (1, 2, 4, 16, 50),
    name="groupnorm-batch-size",
    title="Group normalisation and the size of the batch",
    source="CS231n assignment 2, ConvolutionalNetworks; Wu and He (2018), arXiv:1803.08494",
    subtitle="2 convolutions, 4 groups",
    lr=1e-3,
)
