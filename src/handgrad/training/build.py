"""From a configuration to the objects it describes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import models
from handgrad.data import DATASETS, Dataset, load
from handgrad.errors import CheckpointError
from handgrad.optim import get_rule
from handgrad.training.config import RunConfig


def read_config(folder: Path) -> RunConfig:
    """Return the configuration in a run `folder`; CheckpointError if it is none."""
    if not (folder / "config.toml").is_file():
        raise CheckpointError(
            f"{folder} is not a run folder: it holds no config.toml; `handgrad train` makes run folders"
        )
    return RunConfig.from_toml(folder / "config.toml")


def load_dataset(config: RunConfig) -> Dataset:
    """Load the data set of `config`."""
    return load(config.data["name"], **options_of(config.data))


def build_model(config: RunConfig, image_shape: tuple[int, ...], num_classes: int) -> Any:
    """Build the model of `config` for images of `image_shape`, with fresh parameters."""
    kind = config.model["name"]
    options = options_of(config.model)
    takes_shape = kind in ("ThreeLayerConvNet", "ConvNet")
    options.setdefault("input_dim", list(image_shape) if takes_shape else int(np.prod(image_shape)))
    options.setdefault("num_classes", num_classes)
    return models.build(kind, **options)


def completed(config: RunConfig) -> RunConfig:
    """Return `config` with every default of its data set, model and update rule written out."""
    model = _with_defaults(config.model, models.MODELS.get(config.model["name"]))
    data = _with_defaults(config.data, DATASETS.get(config.data["name"]))
    optimizer = dict(config.optimizer)
    _, settings = get_rule(optimizer["name"])(np.zeros(1), np.zeros(1), options_of(optimizer))
    optimizer |= {key: value for key, value in settings.items() if isinstance(value, float)}
    return replace(config, model=model, data=data, optimizer=optimizer)


def options_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of the configuration without its ``name``."""
    return {key: value for key, value in table.items() if key != "name"}


def _with_defaults(table: Mapping[str, Any], function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if isinstance(p.default, str | int | float)}
    return {"name": table["name"], **defaults, **table}
