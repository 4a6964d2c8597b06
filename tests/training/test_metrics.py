"""Metrics against scikit-learn where it is installed, by hand, and at their edges."""

import math

import numpy as np
import pytest

from handgrad.errors import LabelError, OptionError, ShapeError
from handgrad.training import metrics


def softmax(scores):
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def cases():
    for seed, (N, C) in enumerate([(40, 2), (90, 3), (200, 7), (31, 2), (64, 5)]):
        rng = np.random.default_rng(seed)
        y = rng.integers(C, size=N)
        y[:C] = np.arange(C)
        p = softmax(rng.standard_normal((N, C)) + 1.5 * np.eye(C)[y])
        yield (np.round(p, 2) if seed == 1 else p), y  # with ties


@pytest.mark.parametrize(("p", "y"), list(cases()))
def test_classification_is_scikit_learns(p, y):
    theirs = pytest.importorskip("sklearn.metrics")
    said = p.argmax(axis=1)
    p = p / p.sum(axis=1, keepdims=True)
    auc = (
        theirs.roc_auc_score(y, p[:, 1])
        if p.shape[1] == 2
        else theirs.roc_auc_score(y, p, multi_class="ovr")
    )
    expected = {
        "accuracy": theirs.accuracy_score(y, said),
        "balanced_accuracy": theirs.balanced_accuracy_score(y, said),
        "macro_f1": theirs.f1_score(y, said, average="macro"),
        "roc_auc": auc,
        "log_loss": theirs.log_loss(y, p),
    }
    got = metrics.measured("classification", p, y)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-12), name
    np.testing.assert_array_equal(metrics.confusion_matrix(p, y), theirs.confusion_matrix(y, said))
    k = min(2, p.shape[1] - 1)
    if p.shape[1] > 2:
        assert metrics.top_k(p, y, k) == pytest.approx(theirs.top_k_accuracy_score(y, p, k=k))
    parts = theirs.precision_recall_fscore_support(y, said, zero_division=0)
    for c, row in enumerate(metrics.by_class(p, y)):
        assert [row[key] or 0 for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            [part[c] for part in parts]
        )
    fpr, tpr = metrics.roc_curve(p[:, 1], y == 1)
    a, b, _ = theirs.roc_curve(y == 1, p[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(fpr, a)
    np.testing.assert_allclose(tpr, b)
    recall, precision = metrics.precision_recall_curve(p[:, 1], y == 1)
    c, d, _ = theirs.precision_recall_curve(y == 1, p[:, 1])
    np.testing.assert_allclose(precision, c[:-1][::-1])
    np.testing.assert_allclose(recall, d[:-1][::-1])


def test_multi_label_is_scikit_learns():
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=(80, 4))
    p = 1 / (1 + np.exp(-(rng.standard_normal((80, 4)) + 2 * y - 1)))
    got = metrics.measured("multilabel", p, y)
    assert got["accuracy"] == pytest.approx(1 - theirs.hamming_loss(y, p >= 0.5))
    assert got["macro_f1"] == pytest.approx(theirs.f1_score(y, p >= 0.5, average="macro"))
    assert got["roc_auc"] == pytest.approx(theirs.roc_auc_score(y, p))
    each = [theirs.log_loss(y[:, k], p[:, k]) for k in range(4)]
    assert got["log_loss"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_regression_is_scikit_learns(shape):
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    y = 100 + 20 * rng.standard_normal(shape)
    p = y + 5 * rng.standard_normal(shape)
    got = metrics.measured("regression", p, y)
    assert got["mae"] == pytest.approx(theirs.mean_absolute_error(y, p))
    assert got["rmse"] == pytest.approx(math.sqrt(theirs.mean_squared_error(y, p)))
    assert got["r2"] == pytest.approx(theirs.r2_score(y, p))


def test_calibration_by_hand():
    # two rows of certainty 0.9, one of them right; two of 0.6, both right
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert metrics.calibration_error(p, [0, 1, 0, 1]) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    assert metrics.reliability(p, [0, 1, 0, 1]) == [
        (pytest.approx(0.6), 1.0, 2),
        (pytest.approx(0.9), 0.5, 2),
    ]
    # 9/15 is the upper end of its bin
    assert len(metrics.reliability([[0.6, 0.4], [0.61, 0.39]], [0, 0])) == 2


def test_edges():
    one_class = np.array([[0.7, 0.3], [0.6, 0.4]])
    assert metrics.measured("classification", one_class, [0, 0])["roc_auc"] is None
    assert metrics.balanced_accuracy(one_class, [0, 0]) == 1.0
    assert metrics.by_class(one_class, [0, 0])[1] == {
        "precision": None, "recall": None, "f1": None, "support": 0,
    }  # fmt: skip
    assert math.isfinite(metrics.log_loss([[1.0, 0.0]], [1]))
    assert metrics.r2([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert metrics.r2([1.0, 2.0], [1.0, 1.0]) == 0.0
    assert metrics.measured("regression", [1.0], [2.0])["r2"] is None


def test_the_interval_holds_the_value_and_narrows_with_rows():
    rng = np.random.default_rng(3)
    widths = []
    for N in (50, 5000):
        y = rng.integers(2, size=N)
        p = softmax(rng.standard_normal((N, 2)) + np.eye(2)[y])
        low, high = metrics.bootstrap("accuracy", p, y, draws=1000)
        share = metrics.accuracy(p, y)
        assert low < share < high
        assert high - low == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / N), rel=0.1)
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
    assert metrics.bootstrap("accuracy", p, y, draws=50) == metrics.bootstrap(
        "accuracy", p, y, draws=50
    )


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: metrics.accuracy([0.5, 0.5], [0, 1]), ShapeError, r"p must be numbers \(N, C\)"),
        (lambda: metrics.accuracy(np.eye(2), [0, 2]), LabelError, r"integers in \[0, 2\)"),
        (lambda: metrics.accuracy(np.eye(2), [0]), ShapeError, r"y must have shape \(2,\)"),
        (lambda: metrics.top_k(np.eye(2), [0, 1], 3), OptionError, "k must be at most 2"),
        (lambda: metrics.macro_f1(np.eye(2), np.full((2, 2), 0.5)), LabelError, "0 and 1"),
        (lambda: metrics.r2([1, 2], [1, 2, 3]), ShapeError, "one shape"),
        (lambda: metrics.bootstrap("acc", np.eye(2), [0, 1]), OptionError, "metric must be one of"),
        (lambda: metrics.bootstrap("accuracy", np.eye(2), [0]), ShapeError, "as many rows"),
        (lambda: metrics.metrics_of("ranking"), OptionError, "task must be one of"),
        (
            lambda: metrics.as_metric("Solver", "mae", "classification"),
            OptionError,
            "'mae' is not for a classification; its metrics are loss, accuracy",
        ),
    ],
)
def test_wrong_calls(call, error, match):
    with pytest.raises(error, match=match):
        call()
