"""Which rows train, which choose, and which measure: three parts of a data set, the same for ever.

====================  ==========================================================================
split                 what it does
====================  ==========================================================================
by class              each class gives every part its share of rows, at random (labels)
at random             the rows of a regression
by group              rows of one group, as of one patient, are all in one part
by time               the first rows train, the next choose, the last measure
====================  ==========================================================================

The draws are of ``RandomState(seed)``, a stream that NumPy keeps for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad.errors import DataError, OptionError, as_count, as_number, shown

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """The places of the rows of each part.

    parts: "train", "val", "test" -> places (n,) int64 in the data.  names: what all rows are called, or None
    where their numbers are their names.  digest: a SHA-256 of the stored data.
    """

    parts: dict[str, np.ndarray]
    names: tuple[str, ...] | None = None
    digest: str = ""

    @property
    def row_names(self) -> dict[str, list[str]]:
        """What the rows of each part are called."""
        if self.names is None:
            return {part: [str(row) for row in rows] for part, rows in self.parts.items()}
        return {part: [self.names[row] for row in rows] for part, rows in self.parts.items()}


@dataclass(frozen=True)
class SplitOptions:
    """How a data set is split: shares of validation and test rows, and the seed of the draws."""

    val: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("val", "test"):
            number = as_number("data", name, getattr(self, name), 0.0, 1.0, open_high=True)
            object.__setattr__(self, name, number)
        if self.val == 0:
            raise OptionError("data: val, the share of validation rows, must be above 0")
        if self.val + self.test >= 1:
            raise OptionError(
                f"data: val and test are shares that leave some to train on, got {self.val} and "
                f"{self.test}"
            )
        object.__setattr__(self, "seed", as_count("data", "split_seed", self.seed, 0, 2**32 - 1))

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part."""
        return {"train": 1 - self.val - self.test, "val": self.val, "test": self.test}


def split_rows(
    count: int,
    options: SplitOptions,
    *,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Split `count` rows into three parts.

    Args:
        count: how many rows.
        options: shares and seed.
        labels: (count,) integers, of which each part gets its share; None for a regression.
        groups: (count,) values; rows of one value stay together.
        times: (count,) numbers by which the rows are ordered; equal times stay together.

    Returns:
        "train", "val", "test" -> places (n,) int64, sorted (by time: in the order of time).

    Raises:
        DataError: there are too few rows or groups.
        OptionError: both groups and times are given.
    """
    needed = 1 + (options.val > 0) + (options.test > 0)
    if count < needed:
        raise DataError(
            f"data: {count} row{'s' if count != 1 else ''} cannot be split into training, validation and "
            "test rows; a network needs at least some dozens"
        )
    if groups is not None and times is not None:
        raise OptionError("data: group and time cannot be given together; leave one out")
    if times is not None:
        return _by_time(times, options)
    random = np.random.RandomState(options.seed)
    if groups is not None:
        return _by_group(groups, labels, options, random)
    classes = np.zeros(count, np.int64) if labels is None else labels
    parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    owed = dict.fromkeys(PARTS, 0.0)  # what rounding left over, so that small classes add up
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        rows = rows[random.permutation(len(rows))]
        sizes = _sizes(len(rows), options, owed)
        first, second = sizes["train"], sizes["train"] + sizes["val"]
        for part, chosen in zip(PARTS, np.split(rows, [first, second]), strict=True):
            parts[part].append(chosen)
    made = {part: np.sort(np.concatenate(rows)).astype(np.int64) for part, rows in parts.items()}
    return _filled(made, options, random)


def _sizes(count: int, options: SplitOptions, owed: dict[str, float]) -> dict[str, int]:
    """How many rows of a class each part gets; `owed` carries the rounding to the next class."""
    sizes = {}
    for part in ("val", "test"):
        wanted = options.shares[part] * count + owed[part]
        sizes[part] = min(int(np.floor(wanted + 0.5)), count)
        if options.shares[part] > 0 and count >= 3:
            sizes[part] = max(sizes[part], 1)
        owed[part] = wanted - sizes[part]
    spare = count - sizes["val"] - sizes["test"]
    while spare < 1:  # a class that is not trained on cannot be told
        part = max(("val", "test"), key=lambda part: sizes[part])
        sizes[part], spare = sizes[part] - 1, spare + 1
        owed[part] += 1
    return {"train": spare, **sizes}


def _filled(
    parts: dict[str, np.ndarray], options: SplitOptions, random: np.random.RandomState
) -> dict[str, np.ndarray]:
    """Give a part that got no row one of the training rows."""
    for part in ("val", "test"):
        if options.shares[part] > 0 and not len(parts[part]):
            taken = int(random.randint(len(parts["train"])))
            parts[part] = parts["train"][taken : taken + 1]
            parts["train"] = np.delete(parts["train"], taken)
    return parts


def _by_time(times: np.ndarray, options: SplitOptions) -> dict[str, np.ndarray]:
    order = np.argsort(times, kind="stable")
    count, ordered = len(order), times[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of each moment
    ends = []
    for share in (options.test, options.test + options.val):
        wanted = count - max(1, round(share * count)) if share else count
        before = starts[starts <= wanted] if share else np.array([count])
        ends.append(int(before[-1]))
    last, middle = ends
    if middle < 1 or (options.val and middle >= last):
        raise DataError(
            "data: the column of times has too few different times to split by; leave out --time"
        )
    return {"train": order[:middle], "val": order[middle:last], "test": order[last:]}


def _by_group(
    groups: np.ndarray,
    labels: np.ndarray | None,
    options: SplitOptions,
    random: np.random.RandomState,
) -> dict[str, np.ndarray]:
    """Give each group, the largest first, to the part that lacks most of what the group holds."""
    names, places = np.unique(groups, return_inverse=True)
    needed = sum(share > 0 for share in options.shares.values())
    if len(names) < needed:
        raise DataError(
            f"data: {len(names)} group{'s' if len(names) != 1 else ''} cannot be split into {needed} parts; "
            "every row of a group is in one part"
        )
    classes = np.zeros(len(groups), np.int64) if labels is None else labels
    held = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(held, (places, classes), 1.0)
    order = random.permutation(len(names))
    order = order[np.argsort(-held.sum(axis=1)[order], kind="stable")]
    total = np.maximum(held.sum(axis=0), 1.0)
    wanted = {part: share * total for part, share in options.shares.items() if share > 0}
    got = {part: np.zeros(held.shape[1]) for part in wanted}
    owner = np.empty(len(names), object)
    for number, group in enumerate(order):
        empty = [part for part in wanted if not got[part].any()]
        left = len(order) - number
        choices = empty if len(empty) >= left else list(wanted)
        lacks = {p: (((wanted[p] - got[p]) / wanted[p]) * held[group]).sum() for p in choices}
        owner[group] = max(choices, key=lambda part: lacks[part])
        got[owner[group]] += held[group]
    return {part: np.flatnonzero(owner[places] == part) for part in PARTS}


def split_as_before(
    before: Split, names: Sequence[str] | None, count: int, where: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the parts that a run had, by the names of the rows, and notes on rows that it did not have.

    Raises:
        DataError: rows of the run are gone.
    """
    if not isinstance(before, Split):
        raise OptionError(f"{where}: split must be the Split of a run, got {shown(before)}")
    notes = []
    if before.names is None or names is None:
        known = sum(len(rows) for rows in before.parts.values())
        highest = max((int(rows.max()) for rows in before.parts.values() if len(rows)), default=-1)
        if highest >= count:
            raise DataError(
                f"{where}: the run was trained on {highest + 1} rows or more, now there are {count}; bring "
                "the removed rows back"
            )
        parts, extra = dict(before.parts), count - known
    else:
        places = {name: row for row, name in enumerate(names)}
        gone = [name for rows in before.row_names.values() for name in rows if name not in places]
        if gone:
            some = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
            raise DataError(
                f"{where}: {len(gone)} of the run's rows are gone: {some}; bring them back, or begin "
                "a new run"
            )
        parts = {
            part: np.array([places[name] for name in rows], np.int64)
            for part, rows in before.row_names.items()
        }
        extra = count - sum(len(rows) for rows in parts.values())
    if extra > 0:
        notes.append(
            f"{extra} rows came after the run was begun, or were left out of it: they are in none "
            "of its parts"
        )
    return parts, notes


def digest_of(*pieces: Any) -> str:
    """Return a SHA-256 of texts and arrays, one after the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else np.ascontiguousarray(piece).data
        digest.update(data)
        digest.update(b"\0")
    return digest.hexdigest()


def counts_of(parts: Mapping[str, np.ndarray]) -> str:
    """Return how many rows each part has, as a text."""
    names = {"train": "training", "val": "validation", "test": "test"}
    return ", ".join(f"{len(rows):,} {names[part]}" for part, rows in parts.items())
