"""From a configuration to the objects it describes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import models
from handgrad.data import DATASETS, Dataset, load
from handgrad.engines.devices import check_device
from handgrad.errors import CheckpointError, as_path
from handgrad.optim import DECAYS, get_rule, settings_of
from handgrad.training.checkpoint import load_model_arrays
from handgrad.training.checks import split_settings
from handgrad.training.config import RunConfig
from handgrad.training.division import SPLIT, load_split
from handgrad.training.own_data import PREPARED, data_of_run


def read_config(folder: str | PathLike[str]) -> RunConfig:
    """Return the configuration in a run `folder`; CheckpointError if it is none."""
    folder = as_path("run", "folder", folder)
    if not (folder / "config.toml").is_file():
        raise CheckpointError(
            f"{folder} is not a run folder: it holds no config.toml; `handgrad train` makes run folders"
        )
    return RunConfig.from_toml(folder / "config.toml")


def network_of(source: str | PathLike[str]) -> dict[str, Any]:
    """Return the table [model] of a run folder, or of a model file, without the sizes that data give."""
    path = as_path("run", "source", source)
    if path.is_file():
        metadata = load_model_arrays(path).metadata
        if "config" not in metadata:
            raise CheckpointError(
                f"{path}: its header does not describe its network; give --config too"
            )
        model = RunConfig.from_dict(metadata["config"]).model
    else:
        model = read_config(path).model
    return {
        key: value
        for key, value in model.items()
        if key not in ("num_classes", "input_dim", "input_shape")
    }


def headed(config: RunConfig, num_outputs: int) -> RunConfig:
    """Return `config` with as many scores as there are outputs, where its list of layers says how many."""
    if config.model["name"] != "Sequential":
        return config
    layers = [dict(layer) for layer in config.model.get("layers", [])]
    last = next((layer for layer in reversed(layers) if layer.get("layer") == "Affine"), None)
    if last is None:
        return config
    last["width"] = num_outputs
    return replace(config, model={**config.model, "layers": layers})


def load_dataset(config: RunConfig, folder: Path | None = None) -> Dataset:
    """Load the data set of `config`, in the parts that the run in `folder` has, where it wrote them."""
    options = options_of(config.data)
    if config.data["name"] == PREPARED:
        return data_of_run(folder)
    if folder is not None and (folder / SPLIT).is_file():
        options["split"] = load_split(folder / SPLIT)
    return load(config.data["name"], **options)


def build_model(config: RunConfig, input_shape: tuple[int, ...], num_outputs: int) -> Any:
    """Build the model of `config` for rows of `input_shape`, with fresh parameters."""
    options = {**_sizes(config, input_shape, num_outputs), **options_of(config.model)}
    model = models.build(config.model["name"], **options)
    if config.device != "cpu":
        model.device = check_device("config", config.device)
    return model


def completed(config: RunConfig, dataset: Dataset) -> RunConfig:
    """Return `config` with every default of its data set, model and update rule written out."""
    sizes = _sizes(config, dataset.input_shape, dataset.description.num_outputs)
    model = {**config.model, **sizes, **options_of(config.model)}
    optimizer = dict(config.optimizer)
    rule = get_rule(optimizer["name"])
    known = getattr(rule, "settings", None) or (*settings_of(optimizer["name"]), *DECAYS)
    where = f"config [optimizer] of {optimizer['name']}"
    options, _ = split_settings(options_of(optimizer), None, where, known)
    _, settings = rule(np.zeros(1), np.ones(1), options)
    optimizer |= {key: value for key, value in settings.items() if isinstance(value, float)}
    return replace(
        config,
        model=_with_defaults(model, models.constructor(model["name"])),
        data=_data(config, dataset),
        optimizer=optimizer,
    )


def _sizes(config: RunConfig, input_shape: tuple[int, ...], num_outputs: int) -> dict[str, Any]:
    """Return the sizes that the data give the model, under the names that its constructor knows."""
    known = inspect.signature(models.constructor(config.model["name"])).parameters
    sizes = {"num_classes": num_outputs, "input_shape": list(input_shape)}
    takes_rows = config.model["name"] in ("TwoLayerNet", "FullyConnectedNet")
    sizes["input_dim"] = int(np.prod(input_shape)) if takes_rows else list(input_shape)
    return {name: size for name, size in sizes.items() if name in known}


def options_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of the configuration without its ``name``."""
    return {key: value for key, value in table.items() if key != "name"}


def _data(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Return the table [data] with its defaults, and with what was guessed about the data."""
    if config.data["name"] == PREPARED:
        return dict(config.data)
    return _with_defaults({**config.data, **dataset.settings}, DATASETS[config.data["name"]])


def _with_defaults(table: Mapping[str, Any], function: Any) -> dict[str, Any]:
    """Return `table` with the defaults of `function`, dtypes by name and None left out."""
    defaults: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        value = parameter.default
        if isinstance(value, type) and value is not parameter.empty:
            defaults[parameter.name] = np.dtype(value).name
        elif isinstance(value, bool | int | float | str | list | tuple | dict):
            defaults[parameter.name] = value
    return {"name": table["name"], **defaults, **table}
