"""Guards of the softmax loss that cost no points: a tiny number that keeps log(p) from -inf.

Students write log(p + 1e-8), log(max(p, 1e-8)), or add the number to the exponentials or to their sum.
Up to 1e-7 no score of the courses' sizes shows it, and the gradient is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from handgrad.checker.records import Call, is_numeric

# call -> scores, one row each, their labels, and the weight of each row in the loss
Scored = Callable[[Call], tuple[Any, Any, Any]]

_SIZES = [10.0**-power for power in range(7, 17)] + [float(np.finfo(np.float64).eps)]
_CLOSE = 1e-5  # of a gradient that follows the guarded loss


def accept(calls: Sequence[Call], scored: Scored) -> list[str]:
    """Take losses that differ by one guard alone as right, with their gradients; return what to say of it.

    Where the guard explains some of the calls, to all digits, its part is taken out of the others: what is
    wrong there is another mistake, as one of the regularisation.
    """
    present = [call for call in calls if _number(call)]
    judged = [call for call in present if call.config.by_course("loss")]
    if not judged or not any(call.wrong(key) for call in present for key in call.expected):
        return []
    effects = {id(call): _effects(call, *scored(call)) for call in present}

    def fits(call: Call, words: str) -> bool:
        return abs(_deviation(call) - effects[id(call)][words]) <= 1e-12 * _size(call)

    def shows(words: str) -> bool:
        """Whether the guard can be seen in a call that it explains."""
        explained = [call for call in present if fits(call, words)]
        return any(abs(effects[id(call)][words]) > 1e-9 * _size(call) for call in explained)

    shown = [words for words in effects[id(judged[0])] if shows(words)]
    known = [words for words in shown if all(fits(call, words) for call in judged)]
    known = known or [words for words in shown if any(fits(call, words) for call in judged)]
    if not known:
        return []
    best = max(known, key=lambda words: sum(fits(call, words) for call in present))
    for call in present:
        if fits(call, best):
            _take(call)
        elif call in judged:
            call.got["loss"] = _loss(call) - effects[id(call)][best]
    return [f"{best}: no score of the courses' sizes shows it"]


def _take(call: Call) -> None:
    """Let the loss that came be the right one, and the gradients that are close to the right ones."""
    for key, expected in call.expected.items():
        got = call.got[key]
        if not is_numeric(got) or np.shape(got) != np.shape(expected):
            continue
        if key == "loss" or (key[0] == "d" and call.difference(key).error <= _CLOSE):
            call.expected[key] = got


def _number(call: Call) -> bool:
    """Whether the loss that came is one finite number."""
    loss: Any = call.got.get("loss")
    number = "loss" in call.expected and is_numeric(loss) and np.size(loss) == 1
    return number and bool(np.all(np.isfinite(np.asarray(loss))))


def _loss(call: Call) -> float:
    return float(np.ravel(call.got["loss"])[0])


def _deviation(call: Call) -> float:
    return _loss(call) - float(call.expected["loss"])


def _size(call: Call) -> float:
    return abs(float(call.expected["loss"])) + abs(_loss(call))


def _effects(call: Call, scores: Any, labels: Any, weights: Any) -> dict[str, float]:
    """Return what each guard adds to the loss, the largest guards first."""
    with np.errstate(all="ignore"):
        right = float(np.sum(weights * -_logarithms(scores)[np.arange(len(labels)), labels]))
        return {words: value - right for words, value in _guarded(scores, labels, weights)}


def _logarithms(scores: Any) -> Any:
    moved = scores - scores.max(axis=1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))


def _guarded(scores: Any, labels: Any, weights: Any) -> Iterator[tuple[str, float]]:
    """Each guard in words, and the loss that has it."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    total, rows = e.sum(axis=1), np.arange(len(labels))
    own = e[rows, labels]
    p = own / total
    for eps in _SIZES:
        for words, q in (
            (f"{eps:.0e} is added to p in the logarithm", p + eps),
            (f"p is at least {eps:.0e} in the logarithm", np.maximum(p, eps)),
            (f"p is kept within {eps:.0e} and 1 - {eps:.0e}", np.clip(p, eps, 1 - eps)),
            (f"{eps:.0e} is added to the exponentials", (own + eps) / (total + e.shape[1] * eps)),
            (f"{eps:.0e} is added to the label's exponential", (own + eps) / total),
            (f"{eps:.0e} is added to the sum of the exponentials", own / (total + eps)),
        ):
            yield words, float(np.sum(weights * -np.log(q)))
