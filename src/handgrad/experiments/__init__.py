"""The courses' studies: each a set of trials, the figure drawn of them, and two sentences about it.

A study is one file of `handgrad.experiments.studies`; ``handgrad experiment list`` names them.

>>> get_study("dropout").title
'Dropout as a regulariser'
"""

from __future__ import annotations

import importlib

from handgrad.errors import OptionError, is_one_of
from handgrad.experiments.study import Record, Results, Setting, Study, Trial, each_seed

NAMES = (
    "overfit-small",
    "update-rules",
    "activations",
    "dropout",
    "batchnorm-depth",
    "batchnorm-init",
    "batchnorm-batch-size",
    "layernorm-batch-size",
    "groupnorm-batch-size",
    "filter-size",
    "depth",
    "augmentation",
    "coarse-to-fine",
    "image-filters",
    "naive-against-fast",
)


def get_study(name: str) -> Study:
    """Return the study called `name`; OptionError lists the known ones.

    >>> get_study('batchnorm-depth').name
    'batchnorm-depth'
    """
    if not is_one_of(name, NAMES):
        raise OptionError(f"experiment: name must be one of {', '.join(NAMES)}; got {name!r}")
    module = importlib.import_module(f"handgrad.experiments.studies.{name.replace('-', '_')}")
    return module.STUDY


__all__ = ["NAMES", "Record", "Results", "Setting", "Study", "Trial", "each_seed", "get_study"]
