"""What each hypothesis predicts for each call, and whether that is what came."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Beside, Hypothesis
from handgrad.checker.records import Call, Raised, difference, is_numeric, same

_AGREE = 1e-6  # predictions are computed another way, sometimes in another order
_SHARE = 0.02  # of the error, that a prediction may be off


class Guesses:
    """What each hypothesis predicts for each call, computed once."""

    def __init__(self, calls: Sequence[Call]) -> None:
        """Keep the calls, and which results are wrong anywhere."""
        self._calls = calls
        self._wrong = {key for call in calls for key in call.expected if call.wrong(key)}
        self._predicted: dict[tuple[int, int], dict[str, object]] = {}

    def of(self, hypothesis: Hypothesis, call: Call) -> dict[str, object]:
        """Return the prediction for one call."""
        at = (id(hypothesis), id(call))
        if at not in self._predicted:
            self._predicted[at] = _predict(hypothesis, call)
        return self._predicted[at]

    def fits(self, hypothesis: Hypothesis, call: Call, key: str, here: bool = True) -> bool:
        """Whether the hypothesis predicts one result of one call; here: the mistake is made there."""
        predicted = self.of(hypothesis, call) if here else {}
        if key not in predicted and call.wrong(key):
            return False
        guess = predicted.get(key, call.expected[key])
        if isinstance(guess, Raised) and isinstance(call.got[key], Raised):
            return _alike(guess, call.got[key])
        return same(call.got[key], guess, call.scale.get(key), self._tolerance(call, key))

    @staticmethod
    def _tolerance(call: Call, key: str) -> float:
        """How far a prediction may be from what came: little, beside how far that is from right."""
        got, expected = call.got[key], call.expected[key]
        tolerance = _AGREE
        if is_numeric(got) and np.shape(got) == np.shape(expected) and call.wrong(key):
            error = difference(got, expected, call.scale.get(key)).error
            tolerance = min(_AGREE, _SHARE * error)
        return max(tolerance, call.tolerance)

    def covers(
        self, hypothesis: Hypothesis, keys: Sequence[str], only: str = ""
    ) -> tuple[list[str], list[str]]:
        """Return the results whose every value the hypothesis predicts, and those that deny it.

        only: the trait of the configurations in which the mistake is made; in the others the
        results must be right.
        """
        told = dict.fromkeys(keys, False)  # whether it told wrong from right anywhere
        denied: set[str] = set()
        wrong = [key for key in keys if key in self._wrong]
        for call in self._calls:
            here = not only or only in call.config.traits
            for key in [key for key in keys if key in call.expected and key not in denied]:
                if hypothesis.some and not call.wrong(key):
                    continue
                if not self.fits(hypothesis, call, key, here):
                    denied.add(key)
                elif call.wrong(key):
                    told[key] = True
            if denied.issuperset(wrong):
                break
        return [key for key in keys if told[key] and key not in denied], sorted(denied)


_SHAPES = re.compile(r"align|mismatch|broadcast|shape|dimension|size|axis|axes|bounds", re.I)


def _alike(one: Raised, other: Raised) -> bool:
    """Whether two exceptions are of one kind, and speak of the same: shapes, or anything else."""
    if one.kind != other.kind:
        return False
    if one.kind in ("ValueError", "IndexError"):
        return bool(_SHAPES.search(one.message)) == bool(_SHAPES.search(other.message))
    words = [re.sub(r"[^a-z]+", " ", raised.message.lower())[:20] for raised in (one, other)]
    return words[0] == words[1]


def _predict(hypothesis: Hypothesis, call: Call) -> dict[str, object]:
    """Run a prediction; a bug that raises is predicted to raise."""
    try:
        with np.errstate(all="ignore"):
            return hypothesis.predict(call)
    except Beside:
        return {}
    except Exception as error:
        raised = Raised(type(error).__name__, str(error))
        return dict.fromkeys(call.expected, raised)
