"""What a study is: trials, the figure that is drawn of their results, and the sentences about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.errors import as_count
from handgrad.experiments.training import run_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """How studies are done this time.

    dataset: digits, shapes or cifar10.  quick: small enough for a test, too small to learn from.
    seed: the first one.  image: a picture file for the study that filters one.
    seeds: how many there are: seed, seed + 1, ...; studies that draw nothing take no notice.

    >>> Setting('digits', quick=True).seeds
    1
    """

    dataset: str
    quick: bool = False
    seed: int = 0
    image: Path | None = None
    seeds: int = 1

    def __post_init__(self) -> None:
        as_count("experiment", "seeds", self.seeds)

    def numbered(self, number: int) -> int:
        """Return the seed `number` places behind the first; behind the largest comes 0."""
        return (self.seed + number) % 2**32

    def few(self, many: int, few: int) -> int:
        """Return `many`, or, for a quick trial, `few`."""
        return few if self.quick else many


@dataclass(frozen=True)
class Trial:
    """One computation of a study: `spec`, plain data, is all that determines its result.

    name: of what is compared, the same for all seeds.  seed: None for the first one.

    >>> Trial('sgd', {'update_rule': 'sgd'}, seed=1).name
    'sgd'
    """

    name: str
    spec: Mapping[str, Any]
    seed: int | None = None

    @property
    def label(self) -> str:
        """A name of its own: the seed stands in it, but for the first one."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"


Trials = Callable[[Setting], list[Trial]]


def each_seed(trials: Trials) -> Trials:
    """Return a function to the trials of every seed of a setting, from one to those of a single seed.

    >>> trials = each_seed(lambda setting: [Trial("a", {"seed": setting.seed})])
    >>> [trial.label for trial in trials(Setting("digits", seeds=3))]
    ['a', 'a, seed 1', 'a, seed 2']
    """

    def repeated(setting: Setting) -> list[Trial]:
        made = []
        for number in range(setting.seeds):
            seed = setting.numbered(number)
            alone = trials(replace(setting, seed=seed, seeds=1))
            made += [replace(trial, seed=seed if number else None) for trial in alone]
        return made

    return repeated


class Results:
    """The finished trials of a study: name -> the records of its seeds, in the order of the trials.

    `spec(name)` made the first of them; `seeds` is how many each name has, at least.

    >>> Results([]).names  # doctest: +SKIP
    """

    def __init__(self, trials: Sequence[Mapping[str, Any]]) -> None:
        """Take trials as dictionaries of name, spec and record."""
        self.trials = list(trials)
        self._by_name: dict[str, list[Mapping[str, Any]]] = {}
        for trial in self.trials:
            self._by_name.setdefault(trial["name"], []).append(trial)

    def __getitem__(self, name: str) -> list[Record]:
        return [trial["record"] for trial in self._by_name[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of a name."""
        return min(map(len, self._by_name.values()), default=0)

    def spec(self, name: str) -> Record:
        """Return what the first trial of `name` was made of."""
        return self._by_name[name][0]["spec"]

    def groups(self) -> list[dict[str, Any]]:
        """Return a dictionary of name, spec and records for each name: a row of a table."""
        return [{"name": name, "spec": self.spec(name), "records": self[name]} for name in self]


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
        trials: from the setting to the trials; `each_seed` repeats those of one seed.
        draw: from the results to the figure.
        sentences: from the results to two sentences that say what to see in the figure.
        columns: heading -> function from a trial (its name, spec and records) to the text of its cell.
        run: from a trial's spec to its record; both are plain data.
        more: from the setting and the results so far to further trials; asked until there are none.
        alone: whether a trial must have the machine for itself, because it measures time.
        seeds: how many unless another number is asked for; several where trials are compared.
        source: where the courses do it.
        needs: the library of an extra without which it cannot be done; "" where there is none.
    """

    name: str
    title: str
    source: str
    trials: Trials
    draw: Callable[[Results], Figure]
    sentences: Callable[[Results], tuple[str, str]]
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]]
    dataset: str = "shapes"
    run: Callable[[Mapping[str, Any]], Record] = run_training
    more: Callable[[Setting, Results], list[Trial]] = no_more
    alone: bool = False
    seeds: int = 3
    needs: str = ""
