"""Accuracy, loss, confusion, and the examples that are chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handgrad.errors import LabelError, OptionError, ShapeError
from handgrad.layers import softmax_loss
from handgrad.training import evaluate, examples, predict, predict_probabilities


class Table:
    """Scores row i of a table for X = [[i]], and notes how many rows it was asked for."""

    def __init__(self, scores):
        self.scores = np.asarray(scores)
        self.asked = []

    def loss(self, X, y=None):
        self.asked.append(len(X))
        return self.scores[X[:, 0].astype(int)]


def rows(n):
    return np.arange(n)[:, None]


def certain(prediction, probability, classes=3):
    """Scores that give `probability` to `prediction`."""
    p = np.full(classes, (1 - probability) / (classes - 1))
    p[prediction] = probability
    return np.log(p)


def test_evaluation_by_hand():
    truth = np.array([0, 0, 0, 2, 2])
    model = Table([certain(k, 0.6) for k in (0, 2, 2, 2, 0)])
    found = evaluate(model, rows(5), truth, ["cat", "dog", "eel"])
    assert found.accuracy == 2 / 5
    assert found.confusion.tolist() == [[1, 0, 2], [0, 0, 0], [1, 0, 1]]
    assert found.per_class == (1 / 3, None, 1 / 2)  # there is no dog
    assert found.count == 5
    assert found.loss == pytest.approx(-(2 * np.log(0.6) + 3 * np.log(0.2)) / 5)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == {
        "accuracy": 0.4, "loss": found.loss, "confusion": found.confusion.tolist(),
        "per_class": [1 / 3, None, 0.5], "class_names": ["cat", "dog", "eel"], "count": 5,
    }  # fmt: skip
    assert evaluate(model, rows(5), truth).class_names == ("0", "1", "2")


def test_loss_is_that_of_the_layer_and_probabilities_sum_to_one():
    rng = np.random.default_rng(0)
    scores = 5 * rng.standard_normal((23, 4))
    y = rng.integers(0, 4, 23)
    assert evaluate(Table(scores), rows(23), y).loss == pytest.approx(
        float(softmax_loss(scores, y)[0]), rel=1e-13
    )
    p = predict_probabilities(Table(scores), rows(23))
    assert p == pytest.approx(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), rel=1e-12)
    assert p.sum(axis=1) == pytest.approx(np.ones(23), rel=1e-14)


def test_extreme_scores_stay_finite():
    scores = np.array([[1e30, -1e30, 0.0], [-1e30, -1e30, -1e30]], np.float32)
    p = predict_probabilities(Table(scores), rows(2))
    assert p.dtype == np.float64
    assert p.tolist() == [[1, 0, 0], pytest.approx([1 / 3] * 3)]
    assert evaluate(Table(scores), rows(2), [0, 1]).loss == pytest.approx(np.log(3) / 2)


def test_batches_cover_every_row_once():
    scores = np.random.default_rng(1).standard_normal((10, 3))
    model = Table(scores)
    assert predict(model, rows(10), batch_size=4).tolist() == scores.argmax(axis=1).tolist()
    assert model.asked == [4, 4, 2]


def test_examples_are_the_telling_ones():
    truth = np.array([0, 1, 2, 0, 1, 2])
    model = Table(
        [
            certain(0, 0.90), certain(1, 0.99), certain(2, 0.50),  # right
            certain(1, 0.70), certain(2, 0.95), certain(0, 0.40),  # wrong
        ]
    )  # fmt: skip
    found = examples(model, rows(6), truth, k=2)
    order = {kind: [entry["index"] for entry in chosen] for kind, chosen in found.items()}
    assert order == {"right": [1, 0], "wrong": [4, 3], "uncertain": [5, 2]}
    first = found["wrong"][0]
    assert (first["true"], first["predicted"]) == (1, 2)
    assert first["probabilities"] == pytest.approx([0.025, 0.025, 0.95])
    json.dumps(found)
    none_wrong = examples(model, rows(3), truth[:3], k=5)
    assert [len(chosen) for chosen in none_wrong.values()] == [3, 0, 3]


@pytest.mark.parametrize(
    ("X", "y", "options", "error", "match"),
    [
        (rows(0), [], {}, ShapeError, "at least one row"),
        (rows(3), [0, 1], {}, ShapeError, r"y must have shape \(3,\)"),
        (rows(3), [0, 1, 3], {}, LabelError, r"in \[0, 3\), got int64 from 0 to 3"),
        (rows(3), [0, -1, 1], {}, LabelError, "from -1 to 1"),
        (rows(3), [0.0, 1.0, 1.0], {}, LabelError, "float64"),
        (rows(3), [0, 1, 1], {"class_names": ["a"]}, ShapeError, "class_names must have 3 names"),
        (rows(3), [0, 1, 1], {"batch_size": 0}, OptionError, "batch_size"),
    ],
)
def test_wrong_calls(X, y, options, error, match):
    with pytest.raises(error, match=match):
        evaluate(Table(np.zeros((3, 3))), X, np.array(y), **options)
