"""Trials that train a network: from a plain specification to plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from handgrad import data
from handgrad.data import Augmentation, Dataset
from handgrad.errors import NonFiniteError, check_known
from handgrad.experiments.networks import build_network
from handgrad.experiments.shown import watchers
from handgrad.training import Solver

VALIDATION_IMAGES = 1000
_SPEC = ("data", "model", "solver", "augment", "seed")
_DATA = ("name", "num_training", "standardize")


@lru_cache(maxsize=2)
def load_images(name: str, num_training: int, standardize: bool) -> Dataset:
    """Return a data set with at most `num_training` training images."""
    options: dict[str, Any] = {"standardize": standardize}
    if name != "digits":
        options |= {"num_training": num_training, "num_validation": VALIDATION_IMAGES}
        options |= {"num_test": 10}
    dataset = data.load(name, **options)
    for key in ("X_train", "y_train"):
        dataset.arrays[key] = dataset.arrays[key][:num_training]
    return dataset


def training(
    dataset: str,
    *,
    images: int,
    model: Mapping[str, Any],
    rule: str = "adam",
    lr: float | None = 1e-3,
    epochs: int,
    batch: int,
    seed: int,
    standardize: bool = True,
    augment: Mapping[str, float] | None = None,
    lr_decay: float = 1.0,
) -> dict[str, Any]:
    """Return the specification of a training, for `run_training`; lr None is the rule's default."""
    return {
        "data": {"name": dataset, "num_training": images, "standardize": standardize},
        "model": dict(model),
        "solver": {
            "update_rule": rule,
            "optim_config": {} if lr is None else {"learning_rate": lr},
            "num_epochs": epochs,
            "batch_size": batch,
            "lr_decay": lr_decay,
        },
        "augment": dict(augment or {}),
        "seed": seed,
    }


def run_training(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train as `spec` says; return the history.

    Returns a dictionary: loss (of each step), train_acc, val_acc (after the first step and after each
    epoch), steps (in an epoch), parameters (their number), and diverged: where the training blew up,
    or None.
    """
    check_known("trial", spec, _SPEC)
    check_known("trial, data", spec["data"], _DATA)
    np.random.seed(spec["seed"])
    dataset = load_images(**spec["data"])
    model = build_network(spec["model"], dataset.image_shape, dataset.num_classes)
    solver = Solver(
        model,
        dataset.arrays,
        **spec["solver"],
        augment=Augmentation(spec["augment"]) if spec["augment"] else None,
        verbose=False,
        callbacks=watchers(spec),
    )
    diverged = None
    try:
        solver.train()
    except NonFiniteError as error:
        diverged = str(error).splitlines()[0]
    return {
        "loss": solver.loss_history,
        "train_acc": solver.train_acc_history,
        "val_acc": solver.val_acc_history,
        "steps": solver.iterations_per_epoch,
        "parameters": sum(w.size for w in model.params.values()),
        "diverged": diverged,
    }
