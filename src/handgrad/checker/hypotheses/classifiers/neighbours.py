"""Mistakes of the nearest neighbours and of linear predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _dists(value: Callable[[Any, Any], Any]) -> Callable[[Call], dict[str, Any]]:
    """Predict distances from rows (n, 1, D) and neighbours (1, N, D)."""

    def predict(call: Call) -> dict[str, Any]:
        if "dists" not in call.expected:
            return {}
        return {"dists": value(call.arrays["X"][:, None], call.options[0][None])}

    return predict


def _terms(value: Callable[[Any, Any, Any], Any]) -> Callable[[Call], dict[str, Any]]:
    """Predict distances from the three terms |x|^2 (n, 1), |z|^2 (N,), x z (n, N)."""

    def predict(call: Call) -> dict[str, Any]:
        if "dists" not in call.expected:
            return {}
        x, z = call.arrays["X"], call.options[0]
        return {"dists": value(np.sum(x * x, axis=1)[:, None], np.sum(z * z, axis=1), x @ z.T)}

    return predict


def _vote(
    order: Callable[[Any, int], Any] = lambda near, k: near[:, :k],
    winner: Callable[[Any], Any] = lambda row: np.bincount(row).argmax(),
) -> Callable[[Call], dict[str, Any]]:
    """Predict labels from another choice of neighbours, or another vote."""

    def predict(call: Call) -> dict[str, Any]:
        if "dists" not in call.arrays:
            return {}
        labels, k = call.options
        near = order(np.argsort(call.arrays["dists"], axis=1), k)
        return {"labels": np.array([winner(labels[row]) for row in near], float)}

    return predict


def _largest_label(row: Any) -> Any:
    counts = np.bincount(row)
    return np.flatnonzero(counts == counts.max())[-1]


def _first_label(row: Any) -> Any:
    return max(row, key=lambda label: int(np.sum(row == label)))


def _ranks(near: Any, k: int) -> Any:
    return np.argsort(near, axis=1)[:, :k]


def _votes_until_k(call: Call) -> dict[str, Any]:
    """The label that is the first to have k votes, from the nearest neighbour on; else the last one's."""
    if "labels" not in call.expected or "X" in call.arrays:
        return {}
    dists, (labels, k) = call.arrays["dists"], call.options[:2]
    found = []
    for row in np.asarray(labels)[np.argsort(dists, axis=1)]:
        counts = [int(np.sum(row[: at + 1] == label)) for at, label in enumerate(row)]
        found.append(row[counts.index(k)] if k in counts else row[-1])
    return {"labels": np.array(found)}


def _classes(value: Callable[[Any], Any]) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        if "X" not in call.arrays or "labels" not in call.expected:
            return {}
        return {"labels": value(call.arrays["X"] @ call.options[0])}

    return predict


FORWARD = [
    Hypothesis("root_missing", "dists are squared distances: take the square root",
               _dists(lambda x, z: np.sum((x - z) ** 2, axis=2)), r"sum|dot|\*\*"),
    Hypothesis("other_norm", "dists are sums of absolute differences (L1): the course's are L2",
               _dists(lambda x, z: np.sum(np.abs(x - z), axis=2)), r"abs"),
    Hypothesis("other_norm", "dists are largest differences: the course's are L2",
               _dists(lambda x, z: np.max(np.abs(x - z), axis=2)), r"max"),
    Hypothesis("mean_for_sum", "the squares are averaged over the features: they must be summed",
               _dists(lambda x, z: np.sqrt(np.mean((x - z) ** 2, axis=2))), r"mean"),
    Hypothesis("squares_missing", "dists are absolute sums of differences: square each before the sum",
               _dists(lambda x, z: np.abs(np.sum(x - z, axis=2))), r"sum"),
    Hypothesis("transposed", "dists[i, j] is that of row j and neighbour i: it is transposed",
               _dists(lambda x, z: np.sqrt(np.sum((x - z) ** 2, axis=2)).T), r"dists"),
    Hypothesis("cross_term", "the term -2 x z lacks its factor 2: |x - z|^2 = |x|^2 - 2 x z + |z|^2",
               _terms(lambda xx, zz, xz: np.sqrt(xx + zz - xz)), r"dot|@|matmul"),
    Hypothesis("cross_term", "the term 2 x z must be subtracted: |x - z|^2 = |x|^2 - 2 x z + |z|^2",
               _terms(lambda xx, zz, xz: np.sqrt(xx + zz + 2 * xz)), r"dot|@|matmul"),
    Hypothesis("cross_term", "the term -2 x z is missing: |x - z|^2 = |x|^2 - 2 x z + |z|^2",
               _terms(lambda xx, zz, xz: np.sqrt(xx + zz + 0 * xz)), r"sqrt|sum"),
    Hypothesis("square_term", "the term |x|^2 is missing: |x - z|^2 = |x|^2 - 2 x z + |z|^2",
               _terms(lambda xx, zz, xz: np.sqrt(zz - 2 * xz)), r"sqrt|sum"),
    Hypothesis("square_term", "the term |z|^2 is missing: |x - z|^2 = |x|^2 - 2 x z + |z|^2",
               _terms(lambda xx, zz, xz: np.sqrt(xx - 2 * xz)), r"sqrt|sum"),
    Hypothesis("rank_for_index", "the ranks of points are taken for neighbours: argsort gives the indices",
               _vote(_ranks), r"argsort|where"),
    Hypothesis("rank_for_index",
               "the ranks of points are taken for neighbours, and of as many votes the first label wins",
               _vote(_ranks, _first_label), r"argsort|where"),
    Hypothesis("farthest", "the labels are those of the farthest neighbours, not of the nearest",
               _vote(lambda near, k: near[:, ::-1][:, :k]), r"argsort|sort"),
    Hypothesis("nearest_left_out", "the nearest neighbour is left out: take the first k of argsort",
               _vote(lambda near, k: near[:, 1 : k + 1] if near.shape[1] > k else near[:, 1:]),
               r"argsort|\["),
    Hypothesis("one_more", "k + 1 neighbours vote: take the first k of argsort",
               _vote(lambda near, k: near[:, : k + 1]), r"argsort|\["),
    Hypothesis("one_fewer", "k - 1 neighbours vote: take the first k of argsort",
               _vote(lambda near, k: near[:, : max(k - 1, 1)]), r"argsort|\["),
    Hypothesis("all_vote", "all neighbours vote, not the k nearest",
               _vote(lambda near, k: near), r"argsort|\["),
    Hypothesis("nearest_only", "only the nearest neighbour votes, not the k nearest",
               _vote(lambda near, k: near[:, :1]), r"argsort|argmin"),
    Hypothesis("ties", "of labels with as many votes the larger one wins: it must be the smaller one",
               _vote(winner=_largest_label), r"max|sort"),
    Hypothesis("ties", "of labels with as many votes that of the nearest wins: it must be the smaller one",
               _vote(winner=_first_label), r"max|Counter"),
    Hypothesis("first_with_k", "neighbours are counted until a label has k votes: the k nearest alone vote",
               _votes_until_k, r"== k|break"),
    Hypothesis("smallest_label", "the smallest label wins, not the one with most votes",
               _vote(winner=lambda row: row.min()), r"min"),
    Hypothesis("largest_label", "the largest label wins, not the one with most votes",
               _vote(winner=lambda row: row.max()), r"max"),
    Hypothesis("place_for_label",
               "the place of a label among those of the neighbours is taken, not the label",
               _vote(winner=lambda row: np.unique(row, return_counts=True)[1].argmax()), r"argmax"),
    Hypothesis("votes_for_label", "the number of votes is taken, not the label that has them: use argmax",
               _vote(winner=lambda row: np.bincount(row).max()), r"max"),
    Hypothesis("smallest_score", "the class with the smallest score is taken: it must be the largest",
               _classes(lambda scores: scores.argmin(axis=1)), r"argmin"),
    Hypothesis("wrong_axis", "argmax runs over the rows: it must run over the classes, axis 1",
               _classes(lambda scores: scores.argmax(axis=0)), r"argmax"),
    Hypothesis("scores_for_classes", "the largest scores are returned, not their classes: use argmax",
               _classes(lambda scores: scores.max(axis=1)), r"max"),
]  # fmt: skip
BACKWARD = FORWARD
