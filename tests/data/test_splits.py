"""Splits: by class, group and time; the same for ever."""

import numpy as np
import pytest

from handgrad.data.splits import PARTS, SplitOptions, split_rows
from handgrad.errors import DataError, OptionError

LABELS = np.random.default_rng(0).choice(4, 400, p=[0.6, 0.3, 0.09, 0.01])


def test_each_row_is_in_one_part_and_each_class_in_all():
    parts = split_rows(400, SplitOptions(), labels=LABELS)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(400))
    assert {part: len(rows) for part, rows in parts.items()} == {
        "train": 280,
        "val": 60,
        "test": 60,
    }
    whole = np.bincount(LABELS) / 400
    for rows in parts.values():
        assert np.abs(np.bincount(LABELS[rows], minlength=4) / len(rows) - whole).max() < 0.02
        assert (np.bincount(LABELS[rows], minlength=4) > 0).all()


def test_the_split_is_the_same_for_ever_and_another_for_another_seed():
    parts = split_rows(400, SplitOptions(), labels=LABELS)
    assert parts["test"][:6].tolist() == [5, 7, 19, 23, 42, 48]
    again = split_rows(400, SplitOptions(), labels=LABELS)
    other = split_rows(400, SplitOptions(seed=1), labels=LABELS)
    assert all(np.array_equal(parts[part], again[part]) for part in PARTS)
    assert not np.array_equal(parts["test"], other["test"])


def test_groups_are_never_on_two_sides_and_classes_keep_their_shares():
    groups = np.random.default_rng(1).integers(0, 40, 400)
    parts = split_rows(400, SplitOptions(), labels=LABELS, groups=groups)
    owners = {}
    for part, rows in parts.items():
        assert 0.5 < len(rows) / (400 * SplitOptions().shares[part]) < 1.5
        for group in groups[rows]:
            owners.setdefault(group, set()).add(part)
    assert all(len(found) == 1 for found in owners.values())


def test_the_last_rows_in_time_are_the_test():
    times = np.random.default_rng(2).integers(0, 50, 400).astype(float)
    parts = split_rows(400, SplitOptions(), times=times)
    assert times[parts["train"]].max() < times[parts["val"]].min()
    assert times[parts["val"]].max() < times[parts["test"]].min()
    assert sum(map(len, parts.values())) == 400


@pytest.mark.parametrize("count", [3, 4, 7, 10])
def test_few_rows_still_give_every_part_one(count):
    parts = split_rows(count, SplitOptions(), labels=np.arange(count) % 3)
    assert all(len(parts[part]) for part in PARTS)
    assert sum(map(len, parts.values())) == count


def test_a_class_of_one_row_is_trained_on():
    labels = np.r_[np.zeros(50, int), 1]
    assert 50 in split_rows(51, SplitOptions(), labels=labels)["train"]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(DataError, match="2 rows cannot be split"):
        split_rows(2, SplitOptions())
    with pytest.raises(DataError, match="2 groups cannot be split into 3"):
        split_rows(10, SplitOptions(), groups=np.arange(10) % 2)
    with pytest.raises(DataError, match="too few different times"):
        split_rows(10, SplitOptions(), times=np.zeros(10))
    with pytest.raises(OptionError, match="together"):
        split_rows(10, SplitOptions(), groups=np.arange(10), times=np.arange(10.0))
    for options in ({"val": 0}, {"val": 0.6, "test": 0.5}, {"val": "a"}, {"seed": -1}, {"test": 1}):
        with pytest.raises(OptionError):
            SplitOptions(**options)
