"""The configuration of a run: TOML in, checked dataclass, complete TOML out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from handgrad.data import Augmentation
from handgrad.data.kinds import kind_of
from handgrad.engines.devices import check_device_name
from handgrad.errors import OptionError, as_count, check_choice, check_known, check_name
from handgrad.training.ensemble import views_of
from handgrad.training.options import (
    ARGUMENTS,
    FILE_TEXTS,
    IN_FILE,
    check_together,
    described,
)

LARGEST_SEED = 2**32 - 1  # that np.random.seed takes


@described(FILE_TEXTS)
@dataclass(frozen=True)
class TrainingOptions:
    """The table ``[training]``: how long, in what portions, and what is kept.

    Attributes:
        options
    """

    epochs: int = 10
    batch_size: int = 50
    lr_decay: float = 1.0
    num_train_samples: int = 1000
    num_val_samples: int = 0
    patience: int = 0
    checkpoint_every: int = 1
    checkpoint_steps: int = 0
    augment: Mapping[str, float] = field(default_factory=dict)
    clip_norm: float = 0.0
    precision: str = "float32"
    ema: float = 0.0
    restore_best: bool = True
    sampling: str = "replacement"
    skip_easy: float | list[float] = 0.0
    metric: str = ""
    class_weight: str | Mapping[str, float] = ""
    accumulate: int = 1
    shards: int = 0
    norm_sync: bool = False
    rank_timeout: float = 20.0
    freeze: list[str] = field(default_factory=list)
    steering: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, option in IN_FILE.items():
            _keep(self, key, option.checked_in_file(getattr(self, key)))
        check_together("training", vars(self))

    def arguments(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the arguments of a Solver that these options are, for data of these classes."""
        values = {name: (getattr(self, o.key), o.off) for name, o in ARGUMENTS.items() if o.key}
        found = {name: None if value == off else value for name, (value, off) in values.items()}
        found["augment"] = Augmentation(self.augment) if self.augment else None
        if isinstance(self.class_weight, Mapping):
            for name in self.class_weight:
                check_choice("training", "a name in class_weight", name, class_names)
            numbers = {class_names.index(name): w for name, w in self.class_weight.items()}
            found["class_weight"] = numbers or None
        return found


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run; `to_toml` alone repeats it.

    device is where the arrays are that are computed with (`handgrad.engines.devices`).  tta names the
    views of an image that the trained network is asked about, as "flip+shift"; "" is the image alone
    (`handgrad.training.ensemble`).  start_from is another run's folder or a file, whose weights the training
    starts from where they fit; "" for none.

    data, model, optimizer and schedule hold a ``name`` and the options of that data set, model,
    update rule or schedule; an empty schedule keeps the learning rate constant.
    """

    name: str = "digits"
    seed: int = 0
    engine: str = "auto"
    device: str = "cpu"
    tta: str = ""
    start_from: str = ""
    data: Mapping[str, Any] = field(default_factory=lambda: {"name": "digits"})
    model: Mapping[str, Any] = field(default_factory=lambda: {"name": "ConvNet"})
    optimizer: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "adam", "learning_rate": 1e-3}
    )
    schedule: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingOptions = field(default_factory=TrainingOptions)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise OptionError(f"config: name must be a text, got {self.name!r}")
        _keep(self, "seed", as_count("config", "seed", self.seed, 0, LARGEST_SEED))
        check_device_name("config", self.device)
        if not isinstance(self.start_from, str):
            raise OptionError(f"config: start_from must be a text, got {self.start_from!r}")
        if self.tta != "":
            views_of(self.tta)
        for table in ("data", "model", "optimizer", "schedule"):
            value = getattr(self, table)
            if not isinstance(value, Mapping):
                raise OptionError(f"config: [{table}] must be a table, got {value!r}")
            if "name" not in value and (value or table != "schedule"):
                raise OptionError(f"config: [{table}] lacks the key 'name'; it has {list(value)}")
        for key, given in (("data.path", self.data.get("path")), ("start_from", self.start_from)):
            if isinstance(given, str):
                check_name("config", key, given)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> RunConfig:
        """Build from plain dictionaries; unknown keys are an OptionError that names the known ones."""
        check_known("config", tables, [f.name for f in fields(cls)])
        values = dict(tables)
        if "training" in values:
            training = values["training"]
            if not isinstance(training, Mapping):
                raise OptionError(f"config: [training] must be a table, got {training!r}")
            check_known("config [training]", training, [f.name for f in fields(TrainingOptions)])
            values["training"] = TrainingOptions(**training)
        own = values.get("data")
        if isinstance(own, Mapping) and isinstance(own.get("path"), str) and "name" not in own:
            values["data"] = {"name": kind_of(own["path"]), **own}
        return cls(**values)

    @classmethod
    def default(cls, dataset: str) -> RunConfig:
        """Return a configuration that does well on `dataset`."""
        check_choice("config", "dataset", dataset, DEFAULTS)
        return cls.from_dict({"name": dataset, "data": {"name": dataset}, **DEFAULTS[dataset]})

    @classmethod
    def from_toml(cls, path: str | Path) -> RunConfig:
        """Read a TOML file; OptionError names the file and what is wrong in it."""
        return cls.from_dict(read_toml("config", path))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries and lists, ready for TOML or JSON."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def to_toml(self) -> str:
        """Return the complete configuration as TOML text."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def with_overrides(self, overrides: Mapping[str, Any]) -> RunConfig:
        """Return a copy with dotted keys replaced, as in ``{"optimizer.learning_rate": 1e-2}``.

        A new ``data.name``, ``model.name``, ``optimizer.name`` or ``schedule.name`` that differs from
        the old one drops that table's other options, which belong to the old name.
        """
        tables = replace(self).to_dict()
        for key in sorted(overrides, key=lambda key: not key.endswith(".name")):
            *parents, last = key.split(".")
            table = tables
            for parent in parents:
                table = table.setdefault(parent, {})
                if not isinstance(table, dict):
                    raise OptionError(f"config: {key}: {parent} is not a table")
            if last == "name" and parents and table.get("name") != overrides[key]:
                table.clear()
            table[last] = overrides[key]
        return RunConfig.from_dict(tables)


# data set -> what `handgrad train --dataset` does unless told otherwise
DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {
        "model": {
            "name": "ConvNet",
            "conv_params": [
                {"num_filters": 16, "filter_size": 3, "pool": False},
                {"num_filters": 32, "filter_size": 3},
            ],
            "hidden_dims": [64],
            "normalization": "batchnorm",
            "weight_scale": "kaiming",
            "reg": 1e-3,
        },
        "optimizer": {"name": "adam", "learning_rate": 2e-3},
        "schedule": {"name": "cosine", "final": 0.05},
        "training": {"epochs": 15, "batch_size": 50},
    },
    "shapes": {
        "model": {
            "name": "ConvNet",
            "conv_params": [
                {"num_filters": 16, "filter_size": 3},
                {"num_filters": 32, "filter_size": 3},
                {"num_filters": 64, "filter_size": 3},
            ],
            "hidden_dims": [64],
            "normalization": "batchnorm",
            "weight_scale": "kaiming",
            "reg": 1e-3,
        },
        "optimizer": {"name": "adam", "learning_rate": 2e-3},
        "schedule": {"name": "cosine", "final": 0.05},
        "training": {"epochs": 8, "batch_size": 50},
    },
    # the three-layer network of CS231n's ConvolutionalNetworks notebook
    "cifar10": {
        "model": {
            "name": "ThreeLayerConvNet",
            "hidden_dim": 500,
            "weight_scale": 1e-3,
            "reg": 1e-3,
        },
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "training": {"epochs": 1, "batch_size": 50},
    },
}


def read_toml(where: str, path: str | Path) -> dict[str, Any]:
    """Return the tables of a TOML file; OptionError names `where`, the file and what is wrong in it."""
    try:
        return parse_toml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OptionError(f"{where}: there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{where}: {path} cannot be read: {error}") from None
    except ValueError as error:
        raise OptionError(f"{where}: {path} is not valid TOML: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML `text`; ValueError says what is wrong in it."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _keep(options: Any, name: str, value: Any) -> None:
    """Set a field of a frozen dataclass to its checked value."""
    object.__setattr__(options, name, value)


def _plain(value: Any) -> Any:
    """Return `value` with tuples as lists and without None, which TOML lacks."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
