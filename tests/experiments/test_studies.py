"""The studies: what they compute, and figures and tables of made-up results."""

import json

import numpy as np
import pytest
from experiments.made_up import RANKING, results_of

from handgrad.experiments import NAMES, Setting, get_study
from handgrad.experiments.figures import draw_line
from handgrad.experiments.networks import StudyNet, build_network
from handgrad.experiments.studies_page import trial_rows
from handgrad.gradcheck import eval_numerical_gradient, rel_error
from handgrad.report.figures import new_figure

DATASETS = ("digits", "shapes", "cifar10")


# what is to be computed


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", NAMES)
def test_trials_are_plain_and_have_labels_of_their_own(name, dataset, quick):
    setting = Setting(dataset, quick, seeds=2)
    trials = get_study(name).trials(setting)
    for trial in trials:
        assert json.loads(json.dumps(trial.spec)) == trial.spec
    names = ["".join(c if c.isalnum() or c in "-." else "_" for c in t.label) for t in trials]
    assert len(set(names)) == len(names)
    assert trials == get_study(name).trials(setting)


@pytest.mark.parametrize("name", [n for n in NAMES if n in RANKING or n == "overfit-small"])
def test_seeds_repeat_every_trial_and_leave_the_first_as_it_was(name):
    study = get_study(name)
    if name == "coarse-to-fine":
        trials = [t for t in results_of(name, 0.5).trials if t["name"].startswith("best of")]
        seeds = {(t["name"], t["spec"]["seed"]) for t in trials}
        assert seeds == {(f"best of {s}", n) for s in ("coarse", "fine") for n in (1, 2, 3)}
        return
    one, three = (study.trials(Setting("shapes", seed=4, seeds=n)) for n in (1, 3))
    assert three[: len(one)] == one
    for number in range(3):
        part = three[number * len(one) : (number + 1) * len(one)]
        assert [t.name for t in part] == [t.name for t in one]
        assert [t.spec for t in part] == [{**t.spec, "seed": 4 + number} for t in one]
    last = study.trials(Setting("shapes", seed=2**32 - 1, seeds=2))[-1]
    assert last.spec["seed"] == 0  # numpy takes no larger one than 2^32 - 1


@pytest.mark.parametrize("name", NAMES)
def test_names_of_studies_are_right(name):
    assert get_study(name).name == name


def test_the_courses_settings():
    rules = [
        t.spec["solver"]["update_rule"] for t in get_study("update-rules").trials(Setting("shapes"))
    ]
    assert len(rules) == 7
    scales = {
        t.spec["model"]["weight_scale"]
        for t in get_study("batchnorm-init").trials(Setting("shapes"))
    }
    assert len(scales) == 20
    assert min(scales) == 1e-4
    assert max(scales) == 1


def test_the_choices_of_a_search_are_trained_as_long_as_each_other():
    results = results_of(
        "coarse-to-fine", lambda n: 0.01 * int(n.split()[-1]) if n[-1].isdigit() else 0.5
    )
    coarse, fine, again = (results.spec(n) for n in ("coarse 30", "fine 20", "best of coarse"))
    assert again == {**coarse, "seed": 1, "solver": {**coarse["solver"], "num_epochs": 6}}
    assert results.spec("best of fine") == {**fine, "seed": 1}


# figures

CURVES = ("overfit-small", "update-rules", "activations", "dropout", "augmentation")
SWEEPS = ("batchnorm-depth", "batchnorm-init", "batchnorm-batch-size", "layernorm-batch-size",
          "groupnorm-batch-size", "filter-size", "depth")  # fmt: skip


def accuracies(name):
    """A validation and a training accuracy of its own for each trial."""
    names = [t.name for t in get_study(name).trials(Setting("shapes"))]
    return {n: 0.2 + 0.5 * i / len(names) for i, n in enumerate(names)}


def ends(band, x):
    """Return the lower and the upper end of a band of ± one standard deviation at `x`."""
    heights = [y for at, y in band.get_paths()[0].vertices if at == pytest.approx(x)]
    return [min(heights), max(heights)]


@pytest.mark.parametrize("name", CURVES)
def test_curves_show_the_numbers(name):
    values = accuracies(name)
    results = results_of(
        name, values.get, lambda n: values[n] / 2, lambda n: values[n] + 1, spread=0.05
    )
    loss, train, val = get_study(name).draw(results).axes
    for axes, expected in ((train, lambda v: 50 * v), (val, lambda v: 100 * v)):
        shown = {line.get_label(): line.get_ydata()[-1] for line in axes.lines}
        assert shown == pytest.approx({n: expected(v) for n, v in values.items()})
    shown = {line.get_label(): line.get_ydata()[-1] for line in loss.lines}
    assert shown == pytest.approx({n: v + 1 for n, v in values.items()})
    for axes, scale in ((loss, 1), (train, 100), (val, 100)):
        for line, band in zip(axes.lines, axes.collections, strict=True):
            assert ends(band, line.get_xdata()[-1]) == pytest.approx(
                [line.get_ydata()[-1] - 0.05 * scale, line.get_ydata()[-1] + 0.05 * scale]
            )
    assert all(
        axes.get_title() and axes.get_xlabel() and axes.get_ylabel() for axes in (loss, train, val)
    )


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_show_the_numbers(name):
    values = accuracies(name)
    results = results_of(
        name, values.get, lambda n: values[n] / 2, lambda n: values[n] + 1, spread=0.05
    )
    figure = get_study(name).draw(results)
    expected = (lambda v: 100 * v, lambda v: 50 * v, lambda v: v + 1)
    for axes, of in zip(figure.axes, expected, strict=True):
        shown = sorted(y for line in axes.lines for y in line.get_ydata())
        assert shown == pytest.approx(sorted(of(v) for v in values.values()))
        for line, band in zip(axes.lines, axes.collections, strict=True):
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                move = abs(of(0.05) - of(0.0)) * (2 if axes is figure.axes[1] else 1)
                assert ends(band, x) == pytest.approx([y - move, y + move])
        assert axes.get_title()
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [line.get_label() for line in figure.axes[0].lines]


def test_the_search_is_drawn_where_it_was():
    results = results_of(
        "coarse-to-fine", lambda trial: 0.2 + 0.01 * int(trial.split()[1]), seeds=1
    )
    coarse = get_study("coarse-to-fine").draw(results).axes[0]
    offsets = coarse.collections[0].get_offsets()
    expected = [results.spec(n) for n in results if n.startswith("coarse")]
    assert np.array_equal(
        offsets,
        [[s["solver"]["optim_config"]["learning_rate"], s["model"]["reg"]] for s in expected],
    )
    assert np.allclose(coarse.collections[0].get_array(), 20.0 + np.arange(1, 31))


@pytest.mark.parametrize("name", [*CURVES, "batchnorm-init", "filter-size"])
def test_a_training_that_blew_up_at_once_is_shown_and_said(name):
    results = results_of(name, 0.5)
    record = results[next(iter(results))][0]
    record |= {"loss": [], "train_acc": [], "val_acc": [], "diverged": "the loss is inf"}
    if name == "dropout":
        return  # nothing to compare with is left: not a result of the study
    study = get_study(name)
    study.draw(results)
    rows = trial_rows({"trials": results.trials}, study.columns)
    assert rows[1][-1] == "1 of 3 diverged"


def test_a_line_goes_on_with_the_seeds_that_are_left():
    axes = new_figure(3, 3).subplots()
    draw_line(axes, range(3), [[1.0, 2.0, 3.0], [3.0]], "a", {"color": "black"})
    assert axes.lines[0].get_ydata() == pytest.approx([2, 2, 3])


def test_one_seed_is_drawn_without_a_band_and_tables_show_mean_and_spread():
    one, three = (results_of("dropout", 0.5, seeds=n, spread=0.01) for n in (1, 3))
    study = get_study("dropout")
    assert not study.draw(one).axes[0].collections
    assert "seeds" not in study.draw(one).get_suptitle()
    assert "mean of 3 seeds" in study.draw(three).get_suptitle()
    rows = trial_rows({"trials": three.trials}, study.columns)
    assert rows[0] == ["trial", "seeds", "final loss", "training", "best validation"]
    assert rows[1] == ["no dropout", "3", "1.000 ± 0.010", "90.0 ± 1.0 %", "50.0 ± 1.0 %"]
    assert trial_rows({"trials": one.trials}, study.columns)[1] == [
        "no dropout",
        "1.000",
        "90.0 %",
        "50.0 %",
    ]


# networks


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu"])
def test_activations_of_the_network(activation):
    model = StudyNet(activation=activation, input_dim=(1, 3, 3), conv_params=[], hidden_dims=[5, 4],
                     num_classes=3, dtype=np.float64, rng=0)  # fmt: skip
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 1, 3, 3)), np.array([0, 1, 2, 1])
    scores = model.loss(X)
    h = X.reshape(4, 9)
    functions = {
        "relu": lambda v: np.maximum(v, 0), "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "tanh": np.tanh,
        "leaky_relu": lambda v: np.where(v > 0, v, 0.01 * v),
        "elu": lambda v: np.where(v > 0, v, np.expm1(v)),
    }  # fmt: skip
    if activation != "gelu":
        for i in (1, 2):
            h = functions[activation](h @ model.params[f"W{i}"] + model.params[f"b{i}"])
        assert np.allclose(scores, h @ model.params["W3"] + model.params["b3"], rtol=1e-12)
    _, grads = model.loss(X, y)
    for name, w in model.params.items():
        numerical = eval_numerical_gradient(lambda _: model.loss(X, y)[0], w, verbose=False)
        assert rel_error(numerical, grads[name]) < 1e-6


def test_groups_of_the_network():
    options = {"name": "StudyNet", "conv_params": [{"num_filters": 4, "filter_size": 3}],
               "hidden_dims": [], "normalization": "layernorm", "dtype": "float64"}  # fmt: skip
    X = np.random.default_rng(0).standard_normal((2, 1, 4, 4))
    np.random.seed(0)
    one = build_network(options, (1, 4, 4), 3).loss(X)
    np.random.seed(0)
    two = build_network({**options, "groups": 2}, (1, 4, 4), 3).loss(X)
    assert not np.allclose(one, two)
    with pytest.raises(ValueError, match="G"):
        build_network({**options, "groups": 3}, (1, 4, 4), 3).loss(X)
