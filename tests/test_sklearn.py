"""The estimators: scikit-learn's own checks, and what people use estimators for."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from handgrad.errors import HandgradError, OptionError
from handgrad.sklearn import HandgradClassifier, HandgradRegressor

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
XD, YD = load_diabetes(return_X_y=True)
FAST = {"hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}


@pytest.mark.thorough
@pytest.mark.parametrize("make", [HandgradClassifier, HandgradRegressor])
def test_scikit_learns_own_checks_pass(make):
    """All of them; those that scikit-learn itself skips need a setting of the process."""
    results = check_estimator(make(), on_skip=None, on_fail="raise")
    assert len(results) > 50
    skipped = [result["check_name"] for result in results if result["status"] != "passed"]
    assert skipped in ([], ["check_array_api_input"])
    assert not [result for result in results if result["expected_to_fail"]]


def test_pipelines_grids_and_clones():
    pipeline = make_pipeline(StandardScaler(), HandgradClassifier(**FAST))
    assert cross_val_score(pipeline, X, NAMES, cv=3).mean() > 0.8
    grid = {"handgradclassifier__alpha": [1e-4, 1.0], "handgradclassifier__dropout": [0.0, 0.2]}
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=3).fit(X, NAMES)
    assert search.best_score_ > 0.8
    again = clone(search.best_estimator_).fit(X, NAMES)
    np.testing.assert_array_equal(again.predict_proba(X), search.best_estimator_.predict_proba(X))


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (HandgradClassifier(batch_norm=True, dropout=0.2, **FAST), (X, NAMES)),
        (HandgradRegressor(**FAST), (XD, YD)),
        (HandgradRegressor(**FAST), (XD, np.column_stack([YD, -YD]))),
    ],
)
def test_pickles_and_copies_say_the_same_and_train_on_alike(estimator, data):
    estimator = clone(estimator).fit(*data)
    expected = estimator.predict(data[0])
    for other in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        np.testing.assert_array_equal(other.predict(data[0]), expected)
        assert other.loss_curve_ == estimator.loss_curve_
        assert other.n_iter_ == estimator.n_iter_
    there = pickle.loads(pickle.dumps(estimator))
    estimator.partial_fit(*data)
    there.partial_fit(*data)
    np.testing.assert_array_equal(there._outputs_of(data[0]), estimator._outputs_of(data[0]))


def test_a_pickle_is_opened_in_another_process(tmp_path):
    estimator = HandgradRegressor(**FAST).fit(XD, YD)
    (tmp_path / "it").write_bytes(pickle.dumps(estimator))
    np.save(tmp_path / "x.npy", XD)
    code = (
        "import pickle, sys, numpy as np; e = pickle.load(open(sys.argv[1] + '/it', 'rb'));"
        "np.save(sys.argv[1] + '/said.npy', e.predict(np.load(sys.argv[1] + '/x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "said.npy"), estimator.predict(XD))


def test_a_pickle_holds_no_object_of_the_library_but_its_bytes():
    """What is learned is a safetensors file; only the function that opens it is named."""
    import pickletools

    found = set()
    for opcode, argument, _ in pickletools.genops(
        pickle.dumps(HandgradClassifier(**FAST).fit(X, NAMES), 2)
    ):
        if opcode.name == "GLOBAL" and argument.startswith("handgrad"):
            found.add(argument)
    assert found == {"handgrad.sklearn.bytes restored", "handgrad.sklearn HandgradClassifier"}


def test_the_seed_decides_all():
    a, b, c = (
        HandgradClassifier(**{**FAST, "random_state": seed}).fit(X, NAMES) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    assert not np.array_equal(a.predict_proba(X), c.predict_proba(X))


def test_warm_start_goes_on():
    """Two calls of 5 epochs are one of 10, but for the order of rows."""
    options = {**FAST, "max_iter": 5, "tol": 0.0, "n_iter_no_change": 100}
    twice = HandgradClassifier(warm_start=True, **options).fit(X, NAMES)
    first = twice.loss_
    twice.fit(X, NAMES)
    once = HandgradClassifier(**{**options, "max_iter": 10}).fit(X, NAMES)
    assert twice.n_iter_ == once.n_iter_ == 10
    assert twice.loss_ < first
    assert twice.loss_curve_[:5] == once.loss_curve_[:5]
    np.testing.assert_allclose(twice.loss_curve_[5:], once.loss_curve_[5:], rtol=0.1)
    cold = HandgradClassifier(**options).fit(X, NAMES).fit(X, NAMES)
    assert cold.n_iter_ == 5


def test_partial_fit_takes_classes_that_come_later():
    estimator = HandgradClassifier(**FAST, learning_rate_init=0.02)
    order = np.random.default_rng(0).permutation(len(X))
    rows = X[order]
    estimator.partial_fit(X[:50], NAMES[:50], classes=np.unique(NAMES))
    for _ in range(200):
        estimator.partial_fit(rows, NAMES[order])
    assert estimator.score(X, NAMES) > 0.9
    assert estimator.n_iter_ == 201
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        estimator.partial_fit(X, NAMES, classes=["a"])
    with pytest.raises(ValueError, match="which is not among classes_"):
        estimator.partial_fit(X[:3], ["a", "b", "c"])


def test_early_stopping_ends_with_the_best_network():
    noise = np.random.default_rng(0).permutation(NAMES)
    options = {**FAST, "max_iter": 500, "learning_rate_init": 0.05, "hidden_layer_sizes": (64,)}
    estimator = HandgradClassifier(early_stopping=True, n_iter_no_change=5, **options).fit(X, noise)
    assert estimator.n_iter_ < 500
    patient = HandgradClassifier(early_stopping=True, n_iter_no_change=499, **options).fit(X, noise)
    assert patient.best_loss_ <= estimator.best_loss_


def test_weights_of_classes():
    rare = np.r_[np.arange(50), np.arange(50, 56)]
    rng = np.random.default_rng(0)
    noisy = X[rare] + 2.0 * rng.standard_normal((len(rare), 4))
    plain, balanced, given = (
        HandgradClassifier(class_weight=weight, **FAST).fit(noisy, NAMES[rare])
        for weight in (None, "balanced", {"setosa": 1.0, "versicolor": 50.0})
    )
    share = [(e.predict(noisy) == "versicolor").mean() for e in (plain, balanced, given)]
    assert share[0] < share[1] <= share[2]
    with pytest.raises(OptionError, match="class_weight has 'rose', which is no class"):
        HandgradClassifier(class_weight={"rose": 2}, **FAST).fit(X, NAMES)


def test_outliers_pull_less_with_a_huber_loss():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((200, 2))
    true = inputs[:, 0]
    y = true.copy()
    y[:10] = 100.0
    options = {**FAST, "max_iter": 300, "hidden_layer_sizes": (8,)}
    missed = {
        str(loss): np.abs(
            HandgradRegressor(loss=loss, **options).fit(inputs, y).predict(inputs) - true
        )
        for loss in ("mse", {"name": "huber", "delta": 0.05})
    }
    squared, huber = (np.median(values) for values in missed.values())
    assert huber < squared / 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"activation": "swish"}, "activation must be one of 'relu'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"hidden_layer_sizes": (10, -1)}, "hidden_layer_sizes must be at least 1"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"batch_size": "all"}, "batch_size .* must be an integer"),
        ({"update_rule": "lion"}, "Invalid update_rule"),
        ({"loss": "mse"}, "the model's loss is for a regression|y_train must have shape"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(HandgradError, match=match):
        HandgradClassifier(**options).fit(X, NAMES)
