"""All that a search is: what every worker must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handgrad.errors import OptionError
from handgrad.training.config import RunConfig
from handgrad.tuning.space import Space
from handgrad.tuning.storage import BEAT, GRACE


@dataclass(frozen=True)
class Settings:
    """A search, as plain data.

    Attributes:
        config: the tables of the configuration that all trials start from.
        space: the tables of the space.
        out: folder of the run folders, the journal and the page.
        trials: how many the study is to have in all.
        storage: URL of the storage; "" is a journal file in `out`.
        name: of the study in the storage.
        direction: "maximize" or "minimize".
        metric: the name of what is judged, of the validation set.
        sampler, pruner: names, see `handgrad.tuning.methods`.
        sampler_options, pruner_options: arguments of their classes.
        seed: of the sampler.
        retries: how often a trial whose process dies is tried again without getting any further.
        beat, grace: see `handgrad.tuning.storage.open_storage`.

    >>> space = {"optimizer": {"learning_rate": {"type": "log", "low": 1e-4, "high": 0.1}}}
    >>> Settings({"name": "small"}, space, "tune").url
    'journal:tune/study.journal'
    """

    config: Mapping[str, Any]
    space: Mapping[str, Any]
    out: str
    trials: int = 100
    storage: str = ""
    name: str = ""
    direction: str = "maximize"
    metric: str = "accuracy"
    sampler: str = "tpe"
    pruner: str = "asha"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    retries: int = 5
    beat: int = BEAT
    grace: int = GRACE

    @property
    def folder(self) -> Path:
        """The folder `out`."""
        return Path(self.out)

    @property
    def url(self) -> str:
        """The URL of the storage."""
        return self.storage or f"journal:{self.folder / 'study.journal'}"

    @property
    def is_database(self) -> bool:
        """Whether the storage is a database, which other machines may use too."""
        return bool(self.storage) and not self.storage.startswith("journal:")

    def run_config(self) -> RunConfig:
        """Return the configuration that all trials start from."""
        return RunConfig.from_dict(self.config)

    def made_space(self) -> Space:
        """Return the space."""
        return Space(self.space)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, ready for JSON."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """Return what a study cannot be gone on with when it differs, by its name for messages."""
        return {
            "configuration": dict(self.config),
            "space": dict(self.space),
            "seed": self.seed,
            "metric": self.metric,
        }


def check_same(study: Any, settings: Settings) -> None:
    """Raise OptionError unless `study` was begun with these `settings`; a new one is told of them."""
    known = study.user_attrs.get("handgrad")
    own = settings.identity()
    if known is None:
        study.set_user_attr("handgrad", own)
        return
    different = [name for name, value in own.items() if known.get(name) != value]
    if different:
        raise OptionError(
            f"tune: the study {settings.name!r} has another {' and '.join(different)}; "
            "give this one another --name and another --out"
        )
