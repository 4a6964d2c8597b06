"""Judging the classes of assignment 1: nearest neighbours, the linear classifier, the two-layer network."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker import diagnosis, pairs
from handgrad.checker.calling import loss_pair
from handgrad.checker.descent import Trained, judge_train
from handgrad.checker.known import linear
from handgrad.checker.known.configs import seeded
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Breach,
    Call,
    Config,
    Raised,
    Verdict,
    error_of,
    is_numeric,
    scales_of,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.undisturbed import fresh, quiet, run, source_file, source_lines
from handgrad.checker.written import LOSS, RESULT, unwritten


class Method(NamedTuple):
    """A method of a class, and what it must give.

    Attributes:
        key: the name of its result.
        configs: the situations, with what is trained on as options.
        call: (instance, the method, config) -> the result.
        expected: config -> the right one.
        family: its hypotheses.
    """

    key: str
    configs: Callable[[], list[Config]]
    call: Callable[[Any, Callable[..., Any], Config], Any]
    expected: Callable[[Config], Any]
    family: str


def judge(name: str, thing: Any) -> list[Verdict] | None:
    """Return the verdicts on a class of assignment 1, one for each method; None for another class."""
    if not inspect.isclass(thing):
        return None
    if name == "TwoLayerNet" and linear.is_neural_net(thing):
        return _judge_net(name, thing)
    if name in METHODS:
        own = vars(thing)
        verdicts = [
            judge_method(f"{name}.{method}", thing, own[method], known)
            for method, known in METHODS[name].items()
            if inspect.isfunction(own.get(method))
        ]
        if name == "LinearClassifier" and inspect.isfunction(own.get("train")):
            verdicts.append(judge_train(f"{name}.train", thing, own["train"], Trained))
        return verdicts
    return None


def judge_method(
    name: str, make: Callable[[], Any], function: Callable[..., Any], known: Method
) -> Verdict:
    """Judge one method by what it returns; make: makes an instance of its class."""
    start = time.perf_counter()
    if reason := unwritten(function, RESULT):
        return _unwritten(name, function, reason)
    calls = []

    def results(other: Callable[..., Any], call: Call) -> dict[str, Any]:
        return {known.key: run(known.call, make(), other, fresh(call.config))}

    with quiet():
        for config in known.configs():
            right = {known.key: known.expected(config)}
            call = Call(config, expected=right, scale=scales_of(right))
            call.got = results(function, call)
            calls.append(call)
        layer = KnownLayer("", list, family=known.family)
        rerun = Rerun(function, results)
        causes = diagnosis.explain(calls, [], layer, "forward", source_lines(function), rerun)
    lines, first = source_lines(function)
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        {known.key: max(error_of(call, known.key) for call in calls)},
        causes,
        configurations=len(calls),
        file=source_file(function),
        line=first if lines else None,
        seconds=time.perf_counter() - start,
        calls=calls,
    )


# nearest neighbours

# rows to be classified, rows of the training set, features
_POINTS = [(4, 6, 3), (5, 3, 7), (1, 4, 2), (3, 1, 5)]


def _distance_configs() -> list[Config]:
    rng = seeded(31)
    return [
        Config(
            f"{n} rows, {N} neighbours",
            {"X": rng.standard_normal((n, D))},
            (rng.standard_normal((N, D)), np.arange(N)),
            traits=frozenset(
                {"more rows than neighbours" if n > N else "fewer rows than neighbours"}
            ),
        )
        for n, N, D in _POINTS
    ]


def _distances(config: Config) -> np.ndarray:
    X, (known, _) = config.arrays["X"], config.options
    return np.sqrt(np.sum((X[:, None] - known[None]) ** 2, axis=2))


def _measured(instance: Any, method: Callable[..., Any], config: Config) -> Any:
    instance.train(*config.options)
    return method(instance, config.arrays["X"])


def _vote_configs() -> list[Config]:
    """Near and far neighbours of several classes; ties, where the smaller label wins."""
    rng, found = seeded(32), []
    for n, N, C, k in [(5, 7, 3, 1), (4, 9, 3, 3), (6, 8, 4, 5), (3, 8, 2, 6)]:
        labels = rng.integers(0, C, N)
        config = Config(f"k {k}", {"dists": rng.uniform(0, 9, (n, N))}, (labels, k))
        found.append(config)
    ties = np.array([[4.0, 1.0, 3.0, 2.0, 9.0], [1.0, 2.0, 3.0, 4.0, 9.0]])
    trait = frozenset({"two labels have as many votes"})
    found.append(
        Config("k 2, a tie", {"dists": ties}, (np.array([2, 3, 0, 1, 0]), 2), traits=trait)
    )
    found.append(
        Config("k 4, a tie", {"dists": ties}, (np.array([5, 2, 2, 5, 0]), 4), traits=trait)
    )
    return found


def _votes(config: Config) -> np.ndarray:
    labels, k = config.options
    nearest = labels[np.argsort(config.arrays["dists"], axis=1)[:, :k]]
    return np.array([np.bincount(row).argmax() for row in nearest], float)


def _voted(instance: Any, method: Callable[..., Any], config: Config) -> Any:
    labels, k = config.options
    instance.train(np.zeros((len(labels), 2)), labels)
    return method(instance, config.arrays["dists"], k)


# linear classifiers


def score_configs() -> list[Config]:
    """Rows of features, and weights (D, C)."""
    rng = seeded(33)
    return [
        Config(f"X {(N, D)}", {"X": rng.standard_normal((N, D))}, (rng.standard_normal((D, C)),))
        for N, D, C in [(6, 4, 3), (3, 5, 5), (1, 2, 4), (4, 4, 4)]
    ]


def largest(config: Config) -> np.ndarray:
    """The class with the largest score, of each row."""
    return np.argmax(config.arrays["X"] @ config.options[0], axis=1).astype(float)


def _classified(instance: Any, method: Callable[..., Any], config: Config) -> Any:
    instance.W = config.options[0]
    return method(instance, config.arrays["X"])


def _method(known: str) -> Method:
    if known == "votes":
        return Method("labels", _vote_configs, _voted, _votes, "neighbours")
    if known == "classes":
        return Method("labels", score_configs, _classified, largest, "neighbours")
    return Method("dists", _distance_configs, _measured, _distances, "neighbours")


METHODS = {
    "KNearestNeighbor": {
        "compute_distances_two_loops": _method("distances"),
        "compute_distances_one_loop": _method("distances"),
        "compute_distances_no_loops": _method("distances"),
        "predict_labels": _method("votes"),
    },
    "KNN": {
        "compute_distances": _method("distances"),
        "compute_L2_distances_vectorized": _method("distances"),
        "predict_labels": _method("votes"),
    },
    "LinearClassifier": {"predict": _method("classes")},
}
NAMES = tuple(METHODS)


# the two-layer network


def _unwritten(name: str, function: Any, reason: str) -> Verdict:
    lines, first = source_lines(function)
    line = first if lines else None
    return Verdict(name, NOT_WRITTEN, reason=reason, file=source_file(function), line=line)


def _judge_net(name: str, thing: Any) -> list[Verdict]:
    if reason := unwritten(thing.loss, LOSS):
        return [_unwritten(name, thing, f"loss: {reason}")]
    layer = linear.neural_net(thing)
    (verdict,) = pairs.judge(loss_pair(thing, layer))
    if verdict.verdict != UNTESTED:
        with quiet():
            findings = list(_findings_of_net(thing, layer))
        if any(cause.name == "bias_missing" for cause in verdict.causes):
            findings = [one for one in findings if one.name != "scores"]  # they lack it too
        causes = diagnosis.explain(
            [], findings, KnownLayer("", list), "forward", source_lines(thing)
        )
        if causes:
            verdict.causes = causes + verdict.causes
            verdict.verdict = WRONG
    verdict.function = name
    return [verdict]


def _findings_of_net(thing: Any, layer: KnownLayer) -> Iterator[Breach]:
    """What its loss cannot show: the scores, the constructor, the predictions."""
    for config in layer.configs()[:2]:
        params = dict(config.arrays)
        X = config.options[0]
        transposed = (
            params["W1"].shape[0] == len(params["b1"]) and params["W1"].shape[1] == X.shape[1]
        )
        W1, W2 = (params["W1"].T, params["W2"].T) if transposed else (params["W1"], params["W2"])
        right = np.maximum(X @ W1 + params["b1"], 0) @ W2 + params["b2"]
        net = run(
            linear.made, thing, {key: value.copy() for key, value in params.items()}, X.shape[1]
        )
        if isinstance(net, Raised):
            return
        scores = run(net.loss, X.copy())
        if not is_numeric(scores) or np.shape(scores) != right.shape:
            yield Breach("scores", f"loss(X) must return scores {right.shape}, got {_what(scores)}")
            return
        if not np.allclose(scores, right):
            yield Breach("scores", "loss(X) returns other scores than relu(X W1 + b1) W2 + b2")
            return
        predicted = run(net.predict, X.copy()) if hasattr(net, "predict") else None
        if predicted is None:
            continue
        if not is_numeric(predicted) or not np.array_equal(predicted, right.argmax(axis=1)):
            yield Breach(
                "predict", "predict(X) is not the class with the largest score of each row"
            )


def _what(value: Any) -> str:
    if isinstance(value, Raised):
        return str(value)
    return f"shape {np.shape(value)}" if is_numeric(value) else type(value).__name__
