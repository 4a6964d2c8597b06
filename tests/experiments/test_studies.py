"""The studies on made-up results: each sentence says what the numbers say, each line shows them."""

import json

import numpy as np
import pytest

from handgrad.experiments import NAMES, Results, Setting, get_study
from handgrad.experiments.networks import StudyNet, build_network
from handgrad.experiments.page import trial_rows
from handgrad.gradcheck import eval_numerical_gradient, rel_error

DATASETS = ("digits", "shapes", "cifar10")


def results_of(name, val, train=0.9, loss=1.0, dataset="shapes"):
    """Made-up results of the study: val, train and loss are numbers or functions of a trial's name."""

    def of(value, trial):
        return value(trial) if callable(value) else value

    study, setting = get_study(name), Setting(dataset)
    trials = study.trials(setting)
    made = []
    for stage in range(2):
        for number, trial in enumerate(trials):
            record = {
                "loss": [2.3, of(loss, trial.name), of(loss, trial.name)],
                "train_acc": [0.1, of(train, trial.name)],
                "val_acc": [0.1, of(val, trial.name)],
                "steps": 2,
                "parameters": 1000 - number,
                "diverged": None,
            }
            made.append({"name": trial.name, "spec": trial.spec, "record": record})
        if stage == 0:
            trials = study.more(setting, Results(made))
    return Results(made)


def said(name, *arguments, **options):
    return get_study(name).sentences(results_of(name, *arguments, **options))


# what is to be computed


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", NAMES)
def test_trials_are_plain_and_have_names_of_their_own(name, dataset, quick):
    trials = get_study(name).trials(Setting(dataset, quick))
    for trial in trials:
        assert json.loads(json.dumps(trial.spec)) == trial.spec
    names = ["".join(c if c.isalnum() or c in "-." else "_" for c in t.name) for t in trials]
    assert len(set(names)) == len(names)
    assert [t.spec for t in trials] == [
        t.spec for t in get_study(name).trials(Setting(dataset, quick))
    ]


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


# sentences


def test_overfit_small():
    good = said("overfit-small", val=0.2, train=1.0)
    assert "classify every training image rightly" in good[0]
    assert "learnt the images, not the classes" in good[1]
    bad = said("overfit-small", val=0.2, train=lambda name: 0.5 if name == "ConvNet" else 1.0)
    assert "the three-layer net and the five-layer net classify" in bad[0].lower()
    assert "ConvNet only 50.0 %" in bad[0]
    assert "fault" in bad[0]
    none = said("overfit-small", val=0.2, train=0.4)
    assert "every training image" not in none[0]
    assert "carries over" in said("overfit-small", val=0.95, train=1.0)[1]


def test_update_rules():
    losses = {"SGD": 1.0, "momentum": 0.5, "Nesterov": 0.4, "Adam": 0.1}
    first, second = said("update-rules", val=0.5, loss=lambda name: losses.get(name, 0.8))
    assert first.startswith(
        "Adam has the lowest training loss of the last epoch, 0.10, then Nesterov"
    )
    assert "SGD has the highest, 1.00" in first
    assert "momentum and Nesterov get below its loss of 1.00" in second
    first, second = said("update-rules", val=lambda n: 0.6 if n == "AdaGrad" else 0.5,
                         loss=lambda name: 1.1 - losses.get(name, 0.8))  # fmt: skip
    assert first.startswith("SGD has the lowest")
    assert "neither momentum nor Nesterov gets below" in second
    assert "60.0 %, by AdaGrad" in second


def test_activations():
    first, second = said("activations", val=lambda n: 0.6 if n == "ReLU" else 0.2 if n == "sigmoid" else 0.5,
                         loss=lambda n: 2.3 if n == "sigmoid" else 0.5)  # fmt: skip
    assert first.startswith(
        "ReLU reaches the best validation accuracy, 60.0 %, and sigmoid the lowest, 20"
    )
    assert "40.0 points more validation accuracy than the sigmoid" in second
    assert "hardly reaches the first layers" in second
    _, second = said("activations", val=lambda n: 0.7 if n == "sigmoid" else 0.5)
    assert "20.0 points less validation accuracy than the sigmoid" in second
    assert "hardly" not in second


def test_dropout():
    first, second = said("dropout", val=lambda n: 0.6 if n == "keep 0.5" else 0.5,
                         train=lambda n: 0.7 if n == "keep 0.25" else 1.0)  # fmt: skip
    assert "Dropout narrows the gap" in first
    assert "50.0 points without, and 20.0 with keep 0.25" in first
    assert "keep 0.5, reaches 10.0 points more" in second
    first, second = said("dropout", val=lambda n: 0.5 if n == "no dropout" else 0.3)
    assert "Dropout does not narrow the gap" in first
    assert "20.0 points less" in second


def test_batchnorm_depth():
    first, second = said("batchnorm-depth", val=lambda n: 0.5 if "with batch" in n else 0.2,
                         loss=lambda n: 0.5 if "with batch" in n else 2.3)  # fmt: skip
    assert first.startswith("At every depth")
    assert "30.0 points more" in second
    first, second = said("batchnorm-depth", val=lambda n: 0.2 if "with batch" in n else 0.5,
                         loss=lambda n: 0.5 if "without" in n else 2.3)  # fmt: skip
    assert first.startswith("At no depth")
    assert "30.0 points less" in second
    deep = said(
        "batchnorm-depth", val=0.3, loss=lambda n: 0.1 if n == "8 hidden, with batch norm" else 1.0
    )
    assert "at a depth of 8 only" in deep[0]


def test_batchnorm_init():
    def val(wide, narrow):
        def of(name):
            scale, _, label = name.partition(", ")
            return 0.5 if label == wide or (label == narrow and scale == "1") else 0.1

        return of

    with_, without = "with batch norm", "without"
    first, _ = said("batchnorm-init", val(with_, without))
    assert "20 of 20 scales" in first
    assert "more than without (1)" in first
    first, second = said("batchnorm-init", val(without, with_))
    assert "1 of 20 scales" in first
    assert "fewer than without (20)" in first
    assert "50.0 % with it, at a scale of 1," in second
    assert "as many as without" in said("batchnorm-init", 0.3)[0]


@pytest.mark.parametrize("kind", ["batch norm", "layer norm", "group norm"])
def test_batch_sizes(kind):
    name = f"{kind.replace(' ', '')}-batch-size"
    small = {"batch norm": "batch 3", "layer norm": "batch 3", "group norm": "batch 1"}[kind]

    def poor(trial):
        return 0.2 if trial == f"{kind}, {small}" else 0.5

    first, second = said(name, poor)
    size = small.removeprefix("batch ")
    assert (
        f"batches of {size} give 30.0 points less validation accuracy than batches of 50" in first
    )
    assert "reaches 30.0 points less validation accuracy than" in second
    first, second = said(name, lambda trial: 1 - poor(trial))
    assert "give 30.0 points more" in first
    assert "reaches 30.0 points more validation accuracy than" in second
    assert "about the same" in said(name, 0.5)[0]


def test_filter_size():
    first, second = said(
        "filter-size", val=lambda n: 0.6 if n == "3 x 3" else 0.2 if n == "9 x 9" else 0.5
    )
    assert "Filters of 3 x 3 reach the best validation accuracy, 60.0 %; those of 9 x 9" in first
    assert "overfit more" in second
    assert "overfit no more" in said("filter-size", val=lambda n: 0.2 if n == "1 x 1" else 0.5)[1]


def test_depth():
    first, second = said("depth", val=lambda n: 0.6 if n == "4 blocks" else 0.5)
    assert first.startswith("4 blocks reach 10.0 points more")
    assert "with 4 blocks" in first
    assert "fewer than the 1,000" in second
    assert "10.0 points less" in said("depth", val=lambda n: 0.4 if n == "4 blocks" else 0.5)[0]


def test_augmentation():
    first, second = said("augmentation", val=lambda n: 0.6 if n == "crop" else 0.5)
    assert "crop, reaches 10.0 points more" in first
    assert "It narrows the gap" in second
    first, second = said("augmentation", val=lambda n: 0.6 if n == "none" else 0.5)
    assert "10.0 points less" in first
    assert "does not narrow" in second


def test_coarse_to_fine():
    def val(trial):
        stage, number = trial.split()
        return 0.5 + 0.01 * int(number) if stage == "fine" else 0.1 + 0.01 * int(number)

    first, second = said("coarse-to-fine", val)
    assert "The coarse search found 40.0 %" in first
    assert "30.0 points more" in second
    assert "even its worst" in second
    second = said("coarse-to-fine", lambda trial: 0.6 if trial.startswith("coarse") else 0.4)[1]
    assert "20.0 points less" in second
    assert "even" not in second


def test_image_filters():
    flat = {
        "image": [[[10, 10], [10, 10]]] * 3,
        "grey": [[10, 10], [10, 10]],
        "edges": [[129, 129], [129, 129]],
    }
    study = get_study("image-filters")

    def of(**changes):
        trial = {"name": "p.png", "spec": {}, "record": {**flat, **changes}}
        return study.sentences(Results([trial]))

    assert "output is the weighted mean" in of()[0]
    assert "output is not the weighted mean" in of(grey=[[10, 10], [10, 50]])[0]
    assert "so there are no clear edges" in of()[1] or "25 %" in of()[1]
    assert "100 % of its response, the edges" in of(edges=[[128, 128], [128, 190]])[1]


def test_naive_against_fast():
    study = get_study("naive-against-fast")

    def of(seconds, error):
        trials = [
            {"name": t.name, "spec": t.spec,
             "record": {"seconds": seconds(t.spec["engine"]), "calls": 1, "error": error}}
            for t in study.trials(Setting("shapes"))
        ]  # fmt: skip
        return study.sentences(Results(trials))

    first, second = of(lambda engine: 1.0 if engine == "naive" else 0.001, 1e-15)
    assert "The vectorized engine is 1,000 to 1,000 times as fast" in first
    assert "All give the same results" in second
    first, second = of(lambda engine: 0.001 if engine == "naive" else 0.01, 0.5)
    assert "0.1 to 0.1 times as fast" in first
    assert "NOT the same" in second


# figures

CURVES = ("overfit-small", "update-rules", "activations", "dropout", "augmentation")
SWEEPS = ("batchnorm-depth", "batchnorm-init", "batchnorm-batch-size", "layernorm-batch-size",
          "groupnorm-batch-size", "filter-size", "depth")  # fmt: skip


def accuracies(name):
    """A validation and a training accuracy of its own for each trial."""
    names = [t.name for t in get_study(name).trials(Setting("shapes"))]
    return {n: 0.2 + 0.5 * i / len(names) for i, n in enumerate(names)}


@pytest.mark.parametrize("name", CURVES)
def test_curves_show_the_numbers(name):
    values = accuracies(name)
    results = results_of(
        name, val=values.get, train=lambda n: values[n] / 2, loss=lambda n: values[n] + 1
    )
    loss, train, val = get_study(name).draw(results).axes
    for axes, expected in ((train, lambda v: 50 * v), (val, lambda v: 100 * v)):
        shown = {line.get_label(): line.get_ydata()[-1] for line in axes.lines}
        assert shown == pytest.approx({n: expected(v) for n, v in values.items()})
    shown = {line.get_label(): line.get_ydata()[-1] for line in loss.lines}
    assert shown == pytest.approx({n: v + 1 for n, v in values.items()})
    assert all(
        axes.get_title() and axes.get_xlabel() and axes.get_ylabel() for axes in (loss, train, val)
    )


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_show_the_numbers(name):
    values = accuracies(name)
    results = results_of(
        name, val=values.get, train=lambda n: values[n] / 2, loss=lambda n: values[n] + 1
    )
    figure = get_study(name).draw(results)
    expected = (lambda v: 100 * v, lambda v: 50 * v, lambda v: v + 1)
    for axes, of in zip(figure.axes, expected, strict=True):
        shown = sorted(y for line in axes.lines for y in line.get_ydata())
        assert shown == pytest.approx(sorted(of(v) for v in values.values()))
        assert axes.get_title()
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [line.get_label() for line in figure.axes[0].lines]


def test_the_search_is_drawn_where_it_was():
    results = results_of("coarse-to-fine", lambda trial: 0.2 + 0.01 * int(trial.split()[1]))
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
    record = results[next(iter(results))]
    record |= {"loss": [], "train_acc": [], "val_acc": [], "diverged": "the loss is inf"}
    if name == "dropout":
        return  # nothing to compare with is left: not a result of the study
    study = get_study(name)
    study.draw(results)
    rows = trial_rows({"trials": results.trials}, study.columns)
    assert rows[1][-1] == "diverged"


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
