"""From numbers to the words of the studies' sentences: each says what the numbers say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Record = Mapping[str, Any]

EVEN = 0.01
"""Accuracies that differ by less are called equal."""


def best_val(record: Record) -> float:
    """Return the best validation accuracy of a training; 0 if it never got so far."""
    return max(record["val_acc"], default=0.0)


def final_train(record: Record) -> float:
    """Return the training accuracy at the end; 0 if the training never got so far."""
    return record["train_acc"][-1] if record["train_acc"] else 0.0


def final_loss(record: Record) -> float:
    """Return the mean training loss of the last epoch, NaN without a step."""
    losses = record["loss"][-record["steps"] :]
    return float(np.mean(losses)) if losses else float("nan")


def percent(share: float) -> str:
    """Return a share as in "93.1 %".

    >>> percent(0.931)
    '93.1 %'
    """
    return f"{100 * share:.1f} %"


def listing(words: Sequence[str]) -> str:
    """Return words as in "a, b and c".

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def ranked(values: Mapping[Any, float]) -> list[Any]:
    """Return the keys, the one with the largest value first.

    >>> ranked({"a": 1, "b": 2})
    ['b', 'a']
    """
    return sorted(values, key=lambda key: -values[key])


def compared(difference: float, what: str = "validation accuracy") -> str:
    """Return what a difference of two accuracies is, in words, ready for "than" or "as".

    >>> compared(-0.052, "accuracy"), compared(0.001, "accuracy")
    ('5.2 points less accuracy than', 'about the same accuracy as')
    """
    if abs(difference) < EVEN:
        return f"about the same {what} as"
    return f"{100 * abs(difference):.1f} points {'more' if difference > 0 else 'less'} {what} than"


def capital(sentence: str) -> str:
    """Return `sentence` with a capital letter in front."""
    return sentence[:1].upper() + sentence[1:]


Trial = Mapping[str, Any]
Columns = Mapping[str, Callable[[Trial], str]]

TRAINING_COLUMNS: Columns = {
    "final loss": lambda trial: f"{final_loss(trial['record']):.3f}",
    "training": lambda trial: percent(final_train(trial["record"])),
    "best validation": lambda trial: percent(best_val(trial["record"])),
    "": lambda trial: "diverged" if trial["record"]["diverged"] else "",
}
"""Heading -> text of a cell, for the table of trials that train."""
