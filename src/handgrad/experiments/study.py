"""What a study is: trials, the figure that is drawn of their results, and the sentences about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.experiments.training import run_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """How studies are done this time.

    dataset: digits, shapes or cifar10.  quick: small enough for a test, too small to learn from.
    seed: of every trial.  image: a picture file for the study that filters one.
    """

    dataset: str
    quick: bool = False
    seed: int = 0
    image: Path | None = None

    def few(self, many: int, few: int) -> int:
        """Return `many`, or, for a quick trial, `few`."""
        return few if self.quick else many


@dataclass(frozen=True)
class Trial:
    """One computation of a study: `spec`, plain data, is all that determines its result."""

    name: str
    spec: Mapping[str, Any]


class Results:
    """The finished trials of a study, in their order: name -> record; `spec(name)` made it."""

    def __init__(self, trials: Sequence[Mapping[str, Any]]) -> None:
        """Take trials as dictionaries of name, spec and record."""
        self.trials = list(trials)
        self._by_name = {trial["name"]: trial for trial in self.trials}

    def __getitem__(self, name: str) -> Record:
        return self._by_name[name]["record"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.trials)

    def spec(self, name: str) -> Record:
        """Return what the trial was made of."""
        return self._by_name[name]["spec"]


def no_more(setting: Setting, results: Results) -> list[Trial]:
    """Return no further trials."""
    return []


@dataclass(frozen=True)
class Study:
    """One of the courses' studies.

    Attributes:
        name: on the command line.
        title: of its section in a report.
        dataset: the one it is done on unless another is asked for.
        trials: from the setting to the trials.
        draw: from the results to the figure.
        sentences: from the results to two sentences that say what to see in the figure.
        columns: heading -> function from a trial (its name, spec and record) to the text of its cell.
        run: from a trial's spec to its record; both are plain data.
        more: from the setting and the results so far to further trials; asked until there are none.
        alone: whether a trial must have the machine for itself, because it measures time.
        source: where the courses do it.
    """

    name: str
    title: str
    source: str
    trials: Callable[[Setting], list[Trial]]
    draw: Callable[[Results], Figure]
    sentences: Callable[[Results], tuple[str, str]]
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]]
    dataset: str = "shapes"
    run: Callable[[Mapping[str, Any]], Record] = run_training
    more: Callable[[Setting, Results], list[Trial]] = no_more
    alone: bool = False
