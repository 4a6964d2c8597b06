"""The options that choose what is trained, shared by the commands that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from handgrad.cli.paths import PathType

if TYPE_CHECKING:
    from handgrad.data import Dataset
    from handgrad.training.config import RunConfig

# option of the command -> key of the configuration
KEYS = {
    "name": "name",
    "seed": "seed",
    "engine": "engine",
    "start_from": "start_from",
    "device": "device",
    "data_dir": "data.root",
    "data_path": "data.path",
    "model": "model.name",
    "rule": "optimizer.name",
    "lr": "optimizer.learning_rate",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "target": "data.target",
    "task": "data.task",
    "group": "data.group",
    "time": "data.time",
    "image_size": "data.image_size",
    "freeze": "training.freeze",
}


class _Told(click.Option):
    """An option whose help is what `handgrad.training.options` says of its key, once it is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help."""
        from handgrad.training.options import FILE_TEXTS

        text = FILE_TEXTS[KEYS[str(self.name)].removeprefix("training.")]
        names = super().get_help_record(ctx)
        return names and (names[0], f"{text[:1].upper()}{text[1:]}{self.help or ''}.")


OPTIONS = (
    click.option("--config", type=PathType(dir_okay=False), help="TOML file to start from."),
    click.option("--recipe", metavar="NAME", help="A recipe to follow; `handgrad train --recipe list` "
                 "shows them all."),
    click.option("--dataset", help="digits (default), shapes or cifar10; sets fitting defaults."),
    click.option("--data", "data_path", type=PathType(), metavar="PATH",
                 help="Data of your own: a folder of class folders of pictures, a table (CSV, TSV, "
                 "Parquet, Arrow), or arrays (.npz, .npy, .safetensors, MNIST's files)."),
    click.option("--target", multiple=True, metavar="COLUMN",
                 help="Column of a table that is to be predicted; repeatable."),
    click.option("--task", type=click.Choice(["classification", "regression", "multilabel"]),
                 help="What the target is (default: guessed from it)."),
    click.option("--group", metavar="COLUMN", help="Rows with the same value in this column are never on "
                 "both sides of the split; for pictures, a regular expression for their paths."),
    click.option("--time", metavar="COLUMN", help="Split by this column: the last rows are the test."),
    click.option("--image-size", type=click.IntRange(1, 4096), metavar="PIXELS",
                 help="Resize pictures to squares of this size."),
    click.option("--from", "start_from", type=PathType(exists=True), metavar="RUN",
                 help="Start from the weights, and the network, of another run; its head is made anew "
                 "for other classes."),
    click.option("--freeze", cls=_Told, multiple=True, metavar="PATTERN", help="; repeatable"),
    click.option("--data-dir", help="Folder or archive of cifar10 (default: $HANDGRAD_DATA)."),
    click.option("--model", help="ConvNet, resnet20, ..., or your own package.module:Class."),
    click.option("--rule", help="Update rule: sgd, sgd_momentum, adam, ..."),
    click.option("--lr", type=float, help="Learning rate."),
    click.option("--epochs", cls=_Told, type=int),
    click.option("--batch-size", cls=_Told, type=int),
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
    given = {KEYS[option]: value for option, value in options.items() if value not in (None, ())}
    if "data.target" in given:
        target = given["data.target"]
        given["data.target"] = target[0] if len(target) == 1 else list(target)
    if "training.freeze" in given:
        given["training.freeze"] = list(given["training.freeze"])
    if "start_from" in given:
        given["start_from"] = str(given["start_from"].expanduser().absolute())
    if "data.path" in given:
        given["data.path"] = str(given["data.path"].expanduser().absolute())
    return given | dict(_setting(text) for text in settings)


class Chosen(NamedTuple):
    """A configuration; its data set, if it is loaded already; and why it is as it is."""

    config: RunConfig
    dataset: Dataset | None = None
    reasons: tuple[str, ...] = ()


def chosen_config(
    config: Path | None, recipe: str | None, dataset: str | None, given: dict[str, Any]
) -> RunConfig:
    """Return what the options ask for: a file, a recipe or a data set's default, with changes."""
    return chosen(config, recipe, dataset, given).config


def chosen(
    config: Path | None, recipe: str | None, dataset: str | None, given: dict[str, Any]
) -> Chosen:
    """Return what the options ask for; data of one's own are loaded to choose a network for them."""
    if "data.path" in given:
        other = {"--recipe": recipe, "--dataset": dataset, "--data-dir": given.get("data.root")}
        extra = [option for option, value in other.items() if value is not None]
        if extra:
            raise click.UsageError(f"--data is the data set; leave out {', '.join(extra)}")
    if recipe is None and dataset is None:
        written = {} if config is None else _without_a_network(config)
        if written is not None and "data.path" in {**written, **given}:
            return _for_own_data({**written, **given})
    if "data.path" in given:
        from handgrad.data import kind_of

        given = {**given, "data.name": kind_of(given["data.path"])}
    return Chosen(_listed(config, recipe, dataset, given))


def _without_a_network(config: Path) -> dict[str, Any] | None:
    """Return the settings of a file that names no network, by dotted keys; None where it names one."""
    from handgrad.training.config import RunConfig, read_toml

    tables = read_toml("config", config)
    RunConfig.from_dict(tables)  # says what is wrong in it
    if "model" in tables:
        return None
    found: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found


def _for_own_data(given: dict[str, Any]) -> Chosen:
    """Load the data at a path, and choose what fits them where the options leave it open."""
    from handgrad.cli.progress import data_progress
    from handgrad.data import kind_of, load
    from handgrad.training.defaults import choose

    own = {k.removeprefix("data."): v for k, v in given.items() if k.startswith("data.")}
    table = {"name": kind_of(given["data.path"]), **own}
    with data_progress():
        dataset = load(**table)
    choice = choose(dataset, table, given)
    if "start_from" in given:
        choice = choice._replace(config=_like_the_start(choice.config, given["start_from"]))
        choice.reasons["model"] = f"network: that of {given['start_from']}"
    changes = {key: value for key, value in given.items() if not key.startswith("data.")}
    reasons = [
        why
        for key, why in choice.reasons.items()
        if not any(k == key or k.startswith(f"{key}.") for k in changes)
    ]
    return Chosen(choice.config.with_overrides(changes), dataset, tuple(reasons))


def _listed(
    config: Path | None, recipe: str | None, dataset: str | None, given: dict[str, Any]
) -> RunConfig:
    """Return the configuration of a file, a recipe or a data set's default, with changes."""
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
    if "start_from" in given and config is None:
        start = _like_the_start(start, given["start_from"])
    made = start.with_overrides(given)
    if "data.root" in given and made.data["name"] != "cifar10":
        raise click.UsageError(f"--data-dir is for cifar10, not for {made.data['name']}")
    return made


def _like_the_start(config: RunConfig, source: str) -> RunConfig:
    """Return `config` with the network of the run `source`, whose weights it starts from."""
    from dataclasses import replace

    from handgrad.training.build import network_of

    return replace(config, model=network_of(source))


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.UsageError(f"--set takes KEY=VALUE, as in model.reg=0.01; got {text!r}")
    from handgrad.training.config import parse_toml

    try:
        return key.strip(), parse_toml(f"value = {value}")["value"]
    except ValueError:
        return key.strip(), value.strip()
