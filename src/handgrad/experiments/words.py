"""From numbers to the words of the studies' sentences: each says what the numbers say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from handgrad.experiments.seeds import EVEN, Sample, ahead, ranked, sample, told_apart
from handgrad.experiments.study import Results

Record = Mapping[str, Any]
MANY = 8
"""So many names or fewer are listed; of more, only their number is said."""

UNRANKED = (
    "With one seed, differences of less than a few points say nothing, so nothing is ranked here; "
    "--seeds 3 ranks."
)


def best_val(record: Record) -> float:
    """Return the best validation accuracy of a training; 0 if it never got so far."""
    return max(record["val_acc"], default=0.0)


def final_train(record: Record) -> float:
    """Return the training accuracy at the end; 0 if the training never got so far."""
    return record["train_acc"][-1] if record["train_acc"] else 0.0


def final_gap(record: Record) -> float:
    """Return by how much the training accuracy exceeds the validation accuracy at the end."""
    return final_train(record) - (record["val_acc"][-1] if record["val_acc"] else 0.0)


def final_loss(record: Record) -> float:
    """Return the mean training loss of the last epoch, NaN without a step."""
    losses = record["loss"][-record["steps"] :]
    return float(np.mean(losses)) if losses else float("nan")


def measured(results: Results, measure: Callable[[Record], float]) -> dict[str, Sample]:
    """Return name -> `measure` of its records."""
    return {name: sample(results[name], measure) for name in results}


def number(values: Sample, form: str) -> str:
    """Return mean and spread as in "1.25 ± 0.05", or the number of one seed.

    >>> number(Sample((1.2, 1.3)), ".2f"), number(Sample((1.2,)), ".2f")
    ('1.25 ± 0.07', '1.20')
    """
    text = f"{values.mean:{form}}"
    return f"{text} ± {values.spread:{form}}" if len(values.values) > 1 else text


def loss_text(values: Sample) -> str:
    """Return a loss as in "1.25 ± 0.05"."""
    return number(values, ".2f")


def points(shares: Sample) -> str:
    """Return a difference of accuracies as in "12.5 ± 0.4"."""
    return number(Sample(tuple(100 * share for share in shares.values)), ".1f")


def percent(shares: Sample) -> str:
    """Return a share as in "93.1 ± 0.4 %", of one seed as in "93.1 %".

    >>> percent(Sample((0.931,))), percent(Sample((0.93, 0.94)))
    ('93.1 %', '93.5 ± 0.7 %')
    """
    return f"{points(shares)} %"


def listing(words: Sequence[str]) -> str:
    """Return words as in "a, b and c".

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def compared(a: Sample, b: Sample) -> str:
    """Return what accuracy `a` is beside `b`, in words, ready for what `b` is of.

    >>> compared(Sample((0.50, 0.51)), Sample((0.60, 0.61)))
    '10.0 points less validation accuracy than'
    >>> compared(Sample((0.50, 0.50)), Sample((0.501, 0.501)))
    'about the same validation accuracy as'
    >>> compared(Sample((0.50, 0.60)), Sample((0.60, 0.61)))
    'a validation accuracy that the seeds do not tell from that of'
    """
    difference = a.mean - b.mean
    if told_apart(a, b):
        more = "more" if difference > 0 else "less"
        return f"{100 * abs(difference):.1f} points {more} validation accuracy than"
    if told_apart(a, b, least=0):
        return "about the same validation accuracy as"
    return "a validation accuracy that the seeds do not tell from that of"


def tie(others: Sequence[str], what: str = "others") -> str:
    """Return, in brackets, what the seeds do not tell from the one just named; "" for none.

    >>> tie(["keep 0.5"])
    ' (which the seeds do not tell from keep 0.5)'
    """
    if not others:
        return ""
    names = listing(others) if len(others) <= MANY else f"{len(others)} {what}"
    return f" (which the seeds do not tell from {names})"


def standing(
    values: Mapping[str, Sample],
    measure: str = "validation accuracy",
    *,
    ends: tuple[str, str] = ("highest", "lowest"),
    text: Callable[[Sample], str] = percent,
    least: float = EVEN,
    plural: bool = False,
) -> str:
    """Return who is first and who is last, as far as the seeds tell them apart.

    Args:
        values: name -> its number for each seed.
        measure: what the number is.
        ends: of the first and of the last; the first is the one of the lowest mean if it says so.
        text: how a number is written.
        least: the difference that counts.
        plural: whether a name is a plural.

    >>> a, b, c = Sample((0.9, 0.91)), Sample((0.88, 0.92)), Sample((0.1, 0.11))
    >>> first, last = standing({"a": a, "b": b, "c": c}, "accuracy").split("; ")
    >>> first
    'a and b, which the seeds do not tell apart, have the highest accuracy, 90.5 ± 0.7 % and 90.0 ± 2.8 %'
    >>> last
    'c has the lowest, 10.5 ± 0.7 %'
    """
    lowest = ends[0] == "lowest"
    top, near_top = ahead(values, lowest=lowest, least=least)
    low, near_low = ahead(values, lowest=not lowest, least=least)
    if len(near_top) == len(values) - 1:
        order = ranked(values, lowest=lowest)
        return (
            f"the seeds do not tell {listing(order)} apart: the {measure} is {text(values[top])} to "
            f"{text(values[low])}"
        )
    if {top, *near_top} & {low, *near_low}:
        told = [f"{name} ({text(values[name])})" for name in values if name not in (top, *near_top)]
        return (
            f"{top} {'have' if plural else 'has'} the {ends[0]} {measure}, {text(values[top])}, but the "
            f"seeds tell {'them' if plural else 'it'} apart from {listing(told)} only"
        )

    def holder(name: str, near: Sequence[str]) -> tuple[str, str]:
        if len(near) == 1:
            names = f"{listing([name, *near])}, which the seeds do not tell apart,"
            return f"{names} have", listing([text(values[n]) for n in (name, *near)])
        others = f", which the seeds do not tell from {listing(near)}," if near else ""
        return f"{name}{others} {'have' if plural else 'has'}", text(values[name])

    (first, its), (last, their) = holder(top, near_top), holder(low, near_low)
    return f"{first} the {ends[0]} {measure}, {its}; {last} the {ends[1]}, {their}"


def gap_change(results: Results, name: str, without: str, what: str) -> str:
    """Return a sentence on the gap between training and validation accuracy `without` and with `what`."""
    gap = measured(results, final_gap)
    where = "the gap between training and validation accuracy at the end"
    verdict = f"the seeds do not tell whether {what} narrows {where}"
    if told_apart(gap[name], gap[without]):
        verb = "narrows" if gap[name].mean < gap[without].mean else "widens"
        verdict = f"{what} {verb} {where}"
    return (
        f"{capital(verdict)}: {points(gap[without])} points without, {points(gap[name])} with it."
    )


def of_several_seeds(
    sentences: Callable[..., tuple[str, str]],
) -> Callable[..., tuple[str, str]]:
    """Decorate sentences that rank: results of one seed are not ranked, and that is said instead."""

    @wraps(sentences)
    def said(results: Results, **options: Any) -> tuple[str, str]:
        return sentences(results, **options) if results.seeds > 1 else unranked(results)

    return said


def unranked(results: Results) -> tuple[str, str]:
    """Return the validation accuracies of one seed, and that they rank nothing."""
    accuracy = measured(results, best_val)
    if len(accuracy) <= MANY:
        each = listing([f"{percent(values)} with {name}" for name, values in accuracy.items()])
        first = f"The best validation accuracy is {each}."
    else:
        low, high = (percent(pick(accuracy.values(), key=_mean)) for pick in (min, max))
        first = f"The {len(accuracy)} trainings reach {low} to {high} validation accuracy."
    return first, UNRANKED


def _mean(values: Sample) -> float:
    return values.mean


def capital(sentence: str) -> str:
    """Return `sentence` with a capital letter in front."""
    return sentence[:1].upper() + sentence[1:]


Group = Mapping[str, Any]
Columns = Mapping[str, Callable[[Group], str]]


def _diverged(group: Group) -> str:
    number = sum(bool(record["diverged"]) for record in group["records"])
    of = len(group["records"])
    return "" if not number else "diverged" if number == of else f"{number} of {of} diverged"


TRAINING_COLUMNS: Columns = {
    "final loss": lambda group: number(sample(group["records"], final_loss), ".3f"),
    "training": lambda group: percent(sample(group["records"], final_train)),
    "best validation": lambda group: percent(sample(group["records"], best_val)),
    "": _diverged,
}
"""Heading -> text of a cell, for the table of trials that train."""
