"""Training of every task; metrics that decide; weights, accumulation, frozen parameters, plateaus."""

import json

import numpy as np
import pytest

from handgrad import nn, optim
from handgrad.errors import LabelError, NonFiniteError, OptionError, ShapeError
from handgrad.training import Callback, Solver, restore, save_checkpoint
from handgrad.training.weighting import loss_in_parts

rng = np.random.default_rng(0)
X = rng.standard_normal((120, 4))
W = rng.standard_normal((4, 3))
TARGETS = X @ W + 0.1 * rng.standard_normal((120, 3))
LABELS = TARGETS.argmax(axis=1)


def network(loss="softmax", outputs=3, **options):
    parts = [nn.Affine(8), nn.Tanh(), nn.Affine(outputs)]
    options = {"dtype": np.float64, "rng": 0, **options}
    return nn.Sequential(parts, input_shape=(4,), loss=loss, **options)


def data(y, **more):
    return {"X_train": X[:90], "y_train": y[:90], "X_val": X[90:], "y_val": y[90:], **more}


def solver(model=None, given=None, **options):
    options = {
        "update_rule": "adam", "optim_config": {"learning_rate": 0.02}, "num_epochs": 6,
        "batch_size": 30, "verbose": False, "rng": 1, **options,
    }  # fmt: skip
    return Solver(model or network(), given or data(LABELS), **options)


class Records(Callback):
    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, solver, record):
        json.dumps(record, allow_nan=False)
        self.epochs.append(record)


@pytest.mark.parametrize("loss", ["mse", "absolute", {"name": "huber", "delta": 0.5}, "quantile"])
def test_a_regression_is_learned(loss):
    records = Records()
    trained = solver(network(loss), data(TARGETS), num_epochs=30, callbacks=[records])
    trained.train()
    assert (trained.task, trained.metric) == ("regression", "r2")
    assert trained.val_metric_history[-1] > 0.8 > trained.val_metric_history[0]
    assert trained.val_loss_history[-1] < trained.val_loss_history[0] / 2
    assert trained.val_acc_history == []
    assert trained.best_metric == max(trained.val_metric_history)
    last = records.epochs[-1]
    assert last["metric"] == "r2"
    assert last["val_metric"] == trained.val_metric_history[-1]
    assert "val_acc" not in last


def test_a_single_target_may_be_flat_or_a_column():
    flat, column = (solver(network("mse", 1), data(y)) for y in (TARGETS[:, 0], TARGETS[:, :1]))
    flat.train()
    column.train()
    assert flat.loss_history == column.loss_history


def test_the_unit_of_the_targets_is_that_of_the_metric():
    trained = solver(network("mse"), data(TARGETS), metric="mae", unit=lambda y: 10 * y + 3)
    plain = solver(network("mse"), data(TARGETS), metric="mae")
    trained.train()
    plain.train()
    assert trained.val_metric_history == pytest.approx([10 * v for v in plain.val_metric_history])
    assert trained.best_metric == min(trained.val_metric_history)


def test_multilabel_is_learned():
    trained = solver(network("binary_cross_entropy"), data(TARGETS > 0), num_epochs=30)
    trained.train()
    assert trained.task == "multilabel"
    assert trained.val_acc_history[-1] > 0.85 > trained.val_acc_history[0]


def test_counts_are_learned():
    counts = np.random.default_rng(2).poisson(np.exp(np.clip(TARGETS[:, :1], -2, 2)))
    trained = solver(network("poisson", 1), data(counts), num_epochs=30)
    trained.train()
    assert trained.val_metric_history[-1] > 0.3 > trained.val_metric_history[0]


def test_validation_loss_is_that_of_the_rows_without_regularisation():
    records = Records()
    trained = solver(network(reg=0.1), callbacks=[records], restore_best=False)
    trained.train()
    scores = trained.model.loss(X[90:])
    expected = trained.model.loss_of(scores, LABELS[90:])
    assert trained.val_loss_history[-1] == pytest.approx(expected, rel=1e-12)
    assert records.epochs[-1]["val_loss"] == trained.val_loss_history[-1]
    assert "metric" not in records.epochs[-1]


@pytest.mark.parametrize(
    "metric", ["loss", "macro_f1", "log_loss", lambda p, y: -((p.argmax(1) != y).sum())]
)
def test_any_metric_decides_what_is_best(metric):
    trained = solver(metric=metric, optim_config={"learning_rate": 0.5}, num_epochs=8)
    trained.train()
    values = trained.val_metric_history
    best = min(values) if metric in ("loss", "log_loss") else max(values)
    assert trained.best_metric == best
    scores = trained.model.loss(X[90:])
    again = trained.looking.figures(scores, LABELS[90:], needs_loss=True)
    assert again.metric == pytest.approx(best)


def test_patience_looks_at_the_metric():
    """The loss grows at a rate far too high, while the accuracy stays what it is."""
    trained = solver(metric="loss", patience=2, num_epochs=50, optim_config={"learning_rate": 1.0})
    trained.train()
    values = trained.val_loss_history[1:]
    assert trained.stop_reason == "patience"
    assert min(values[-2:]) >= min(trained.val_loss_history[:-2])


def test_a_plateau_takes_the_rate_back():
    schedule = optim.build_schedule({"name": "plateau", "factor": 0.5, "patience": 2, "least": 0.2})
    given = data(LABELS, y_val=np.zeros(30, int))
    trained = solver(
        network("svm"),
        given,
        schedule=schedule,
        num_epochs=9,
        metric=lambda p, y: 1.0,
        batch_size=90,
    )
    rates = []

    class Rates(Callback):
        def on_step_end(self, solver, record):
            rates.append(record["learning_rate"])

    trained.callbacks = [Rates()]
    trained.train()
    # nothing is ever better than the estimate after the first step
    assert rates == pytest.approx([0.02] * 3 + [0.01] * 2 + [0.005] * 2 + [0.004] * 2)


def test_a_plateau_has_no_warmup():
    with pytest.raises(OptionError, match="plateau: it has no warmup"):
        optim.build_schedule({"name": "plateau", "warmup": 3})


# weights


def test_sample_weights_are_repetitions_of_rows():
    weights = np.random.default_rng(5).integers(0, 3, 90)
    rows = np.repeat(np.arange(90), weights)
    weighted = solver(sample_weight=weights, batch_size=90, sampling="shuffled")
    given = data(LABELS)
    given |= {"X_train": X[:90][rows], "y_train": LABELS[:90][rows]}
    repeated = solver(given=given, batch_size=len(rows), sampling="shuffled")
    # a whole pass is one step
    weighted.batch_size, repeated.batch_size = len(weighted.X_train), len(rows)
    weighted.train()
    repeated.train()
    assert len(weighted.loss_history) == len(repeated.loss_history) == 6
    np.testing.assert_allclose(weighted.loss_history, repeated.loss_history, rtol=1e-10)


def test_class_weights_are_weights_of_rows():
    by_class = np.array([1.0, 5.0, 0.5])
    histories = []
    for options in (
        {"class_weight": by_class},
        {"class_weight": {0: 1.0, "1": 5.0, 2: 0.5}},
        {"sample_weight": by_class[LABELS[:90]]},
    ):
        trained = solver(**options)
        trained.train()
        histories.append(trained.loss_history)
    assert histories[0] == histories[1] == histories[2]
    plain = solver()
    plain.train()
    assert histories[0] != plain.loss_history


def test_balanced_weights_count_classes_alike():
    y = np.where(np.arange(120) % 10 == 0, 1, 0)
    weights = solver(network(outputs=2), data(y), class_weight="balanced").weights
    assert weights[y[:90] == 1].sum() == pytest.approx(weights[y[:90] == 0].sum())
    assert weights.mean() == pytest.approx(1.0)


# accumulation


def whole_numbers():
    given = np.random.default_rng(0).integers(-3, 4, (120, 4)).astype(float)
    return given, given + 1.0


@pytest.mark.parametrize("parts", [2, 3, 4, 30])
def test_a_batch_in_parts_has_the_bits_of_the_batch_where_sums_are_exact(parts):
    """Whole numbers, shares that are powers of two or rows alike: no sum is rounded."""
    inputs, targets = whole_numbers()
    model = nn.Sequential([nn.Affine(4)], input_shape=(4,), loss="mse", dtype=np.float64, rng=0)
    model.params = {name: np.rint(4 * w) for name, w in model.params.items()}
    rows = slice(0, 16) if parts in (2, 4) else slice(0, 30)
    loss, grads = loss_in_parts(model, inputs[rows], targets[rows], None, parts)
    expected, once = model.loss(inputs[rows], targets[rows])
    if parts in (2, 4):
        assert loss == expected
        for name, gradient in once.items():
            np.testing.assert_array_equal(grads[name], gradient)
    assert loss == pytest.approx(expected, rel=1e-14)
    for name, gradient in once.items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"sample_weight": 0.1 + np.arange(90) / 90}])
def test_training_in_parts_is_that_of_the_batch(options):
    whole, parts = (
        solver(network(reg=0.1), **options),
        solver(network(reg=0.1), accumulate=4, **options),
    )
    sizes = []
    original = parts.model.loss

    def watched(X, y=None, **more):
        sizes.append(len(X))
        return original(X, y, **more)

    parts.model.loss = watched if not options else parts.model.loss
    whole.train()
    parts.train()
    np.testing.assert_allclose(parts.loss_history, whole.loss_history, rtol=1e-9)
    for name, w in whole.model.params.items():
        np.testing.assert_allclose(parts.model.params[name], w, rtol=1e-7, atol=1e-9)
    if sizes:
        assert sizes[:4] == [8, 8, 7, 7]


def test_parts_repeat_their_bits():
    runs = [solver(accumulate=3) for _ in range(2)]
    for run in runs:
        run.train()
    assert runs[0].loss_history == runs[1].loss_history


def test_skip_easy_needs_whole_batches():
    with pytest.raises(OptionError, match="skip_easy needs the scores of a whole batch"):
        solver(accumulate=2, sampling="shuffled", skip_easy=0.5)


# freezing


def test_frozen_parameters_stay():
    model = network()
    before = {name: w.copy() for name, w in model.params.items()}
    trained = solver(model, freeze=["affine1.*"], clip_norm=1e9)
    trained.train()
    for name, w in model.params.items():
        assert np.array_equal(w, before[name]) == name.startswith("affine1."), name
    norm = np.sqrt(
        sum((g**2).sum() for n, g in trained.model.loss(X, LABELS)[1].items() if "2" in n)
    )
    assert norm > 0
    assert not any("does not move" in text for text in trained.warnings.values())


@pytest.mark.parametrize(
    ("freeze", "match"),
    [
        (["conv*"], "no parameter is called 'conv.'"),
        ("*", "leaves no parameter"),
        (3, "freeze must be a list"),
    ],
)
def test_wrong_patterns_are_refused(freeze, match):
    with pytest.raises(OptionError, match=match):
        solver(freeze=freeze)


# a stop leaves no trace


@pytest.mark.parametrize(
    ("loss", "y", "options"),
    [
        ("mse", TARGETS, {"metric": "rmse"}),
        ("softmax", LABELS, {"metric": "loss", "class_weight": "balanced", "accumulate": 3}),
        ("softmax", LABELS, {"schedule": optim.build_schedule({"name": "plateau", "patience": 1})}),
        (
            "binary_cross_entropy",
            TARGETS > 0,
            {"freeze": ["affine1.W"], "sample_weight": np.arange(90)},
        ),
    ],
)
def test_a_resumed_training_has_the_bits_of_one_never_stopped(tmp_path, loss, y, options):
    whole = solver(network(loss), data(y), **options)
    whole.train()

    class Stop(Callback):
        def on_step_end(self, solver, record):
            if record["iteration"] == 8:
                solver.stop()

    first = solver(network(loss), data(y), callbacks=[Stop()], **options)
    first.train()
    save_checkpoint(first, tmp_path / "x")
    second = solver(network(loss), data(y), **options)
    restore(second, tmp_path / "x")
    second.train()
    assert second.loss_history == whole.loss_history
    assert second.val_metric_history == whole.val_metric_history
    assert second.val_loss_history == whole.val_loss_history
    for name, w in whole.model.params.items():
        np.testing.assert_array_equal(second.model.params[name], w)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: solver(network("mse"), data(TARGETS[:, :2])),
            ShapeError,
            r"have shape \(90, 3\)",
        ),
        (
            lambda: solver(network("mse"), data(TARGETS.astype(str))),
            LabelError,
            "y_train must hold numbers",
        ),
        (
            lambda: solver(network("mse"), data(np.where(X[:, :3] > 2, np.nan, 1.0))),
            NonFiniteError,
            "y_train must be finite, but row",
        ),
        (
            lambda: solver(network("binary_cross_entropy"), data(TARGETS)),
            LabelError,
            "must hold 0 and 1",
        ),
        (lambda: solver(metric="r2"), OptionError, "'r2' is not for a classification"),
        (
            lambda: solver(metric="best"),
            OptionError,
            "metric .* must be one of 'loss', 'accuracy'",
        ),
        (
            lambda: solver(task="regression"),
            OptionError,
            "task is 'regression', but the model's loss",
        ),
        (lambda: solver(task="ranking"), OptionError, "task must be one of"),
        (
            lambda: solver(class_weight="even"),
            OptionError,
            "class_weight .* must be one of 'balanced'",
        ),
        (lambda: solver(class_weight={7: 1}), OptionError, r"labels in \[0, 3\), got 7"),
        (lambda: solver(class_weight=[1, 2]), ShapeError, r"class_weight must have shape \(3,\)"),
        (
            lambda: solver(sample_weight=[1, 2]),
            ShapeError,
            r"sample_weight must have shape \(90,\)",
        ),
        (lambda: solver(sample_weight=-np.ones(90)), OptionError, "finite numbers of at least 0"),
        (lambda: solver(sample_weight=np.zeros(90)), OptionError, "must not all be zero"),
        (
            lambda: solver(network("svm"), class_weight="balanced"),
            OptionError,
            "its loss 'svm' does not",
        ),
        (
            lambda: solver(network("mse"), data(TARGETS), class_weight="balanced"),
            OptionError,
            "class_weight is for a classification",
        ),
        (lambda: solver(accumulate=0), OptionError, "accumulate must be at least 1"),
        (
            lambda: solver(network("mse"), data(TARGETS)).check_accuracy(X, TARGETS),
            OptionError,
            "a regression has no accuracy",
        ),
    ],
)
def test_wrong_calls(call, error, match):
    with pytest.raises(error, match=match):
        call()
