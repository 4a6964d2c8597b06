"""The options that choose what is trained, shared by the commands that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handgrad.cli.paths import PathType

if TYPE_CHECKING:
    from handgrad.training.config import RunConfig

# option of the command -> key of the configuration
KEYS = {
    "name": "name",
    "seed": "seed",
    "engine": "engine",
    "device": "device",
    "data_dir": "data.root",
    "model": "model.name",
    "rule": "optimizer.name",
    "lr": "optimizer.learning_rate",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
}

OPTIONS = (
    click.option("--config", type=PathType(dir_okay=False), help="TOML file to start from."),
    click.option("--recipe", metavar="NAME", help="A recipe to follow; `handgrad train --recipe list` "
                 "shows them all."),
    click.option("--dataset", help="digits (default), shapes or cifar10; sets fitting defaults."),
    click.option("--data-dir", help="Folder or archive of cifar10 (default: $HANDGRAD_DATA)."),
    click.option("--model", help="ConvNet, resnet20, ..., or your own package.module:Class."),
    click.option("--rule", help="Update rule: sgd, sgd_momentum, adam, ..."),
    click.option("--lr", type=float, help="Learning rate."),
    click.option("--epochs", type=int, help="Passes over the training set."),
    click.option("--batch-size", type=int, help="Images a step."),
    click.option("--engine", help="naive, vectorized, native or auto (default)."),
    click.option("--device", help="cpu (default), or cuda: PyTorch's arrays on a GPU."),
    click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with."),
    click.option("--seed", type=int, help="Seed of every random number of the run (default 0)."),
    click.option("--name", help="Name of the run."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
                 help="Any other setting, as model.reg=0.01 (a TOML value); repeatable."),
)  # fmt: skip


def configuration_options(command: Callable) -> Callable:
    """Give `command` the options, in this order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def given_settings(options: dict[str, Any], settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the dotted keys of the configuration that the command line sets, and their values."""
    given = {KEYS[option]: value for option, value in options.items() if value is not None}
    return given | dict(_setting(text) for text in settings)


def chosen_config(
    config: Path | None, recipe: str | None, dataset: str | None, given: dict[str, Any]
) -> RunConfig:
    """Return what the options ask for: a file, a recipe or a data set's default, with changes."""
    from handgrad.training.config import RunConfig
    from handgrad.training.recipes import load_recipe

    if recipe is not None:
        if config is not None or dataset is not None:
            other = "--config" if config is not None else "--dataset"
            raise click.UsageError(f"--recipe is a complete configuration; leave out {other}")
        start = load_recipe(recipe).config
    elif config is None:
        start = RunConfig.default("digits" if dataset is None else dataset)
    else:
        start = RunConfig.from_toml(config)
        if dataset is not None:
            given = {**given, "data.name": dataset}
    chosen = start.with_overrides(given)
    if "data.root" in given and chosen.data["name"] != "cifar10":
        raise click.UsageError(f"--data-dir is for cifar10, not for {chosen.data['name']}")
    return chosen


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.UsageError(f"--set takes KEY=VALUE, as in model.reg=0.01; got {text!r}")
    from handgrad.training.config import parse_toml

    try:
        return key.strip(), parse_toml(f"value = {value}")["value"]
    except ValueError:
        return key.strip(), value.strip()
