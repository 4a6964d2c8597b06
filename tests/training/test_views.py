"""How things show themselves: one line at the prompt, HTML in notebooks, figures by handgrad.plot."""

import numpy as np
import pytest

import handgrad
from handgrad import data, nn
from handgrad.errors import OptionError
from handgrad.training import Evaluation, evaluate
from handgrad.training.config import RunConfig
from handgrad.training.run import start_run

DIGITS = data.load("digits")


def trained(epochs=2, **options):
    model = nn.Sequential(
        [nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.Affine(10)], input_shape=(1, 8, 8), rng=0
    )
    options = {"num_epochs": epochs, "verbose": False, "rng": 0, "update_rule": "adam", **options}
    solver = handgrad.Solver(model, DIGITS.arrays, **options)
    solver.train()
    return solver


@pytest.fixture(scope="module")
def solver():
    return trained()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig.default("digits").with_overrides({"training.epochs": 2})
    made = start_run(config, tmp_path_factory.mktemp("runs") / "mine")
    made.train()
    made.evaluate()
    return made


def things(solver, run):
    return {
        "solver": solver,
        "data": DIGITS,
        "evaluation": evaluate(solver.model, DIGITS.arrays["X_test"], DIGITS.arrays["y_test"]),
        "trained": handgrad.load(run.folder),
        "model": solver.model,
    }


def test_texts_are_one_line_without_arrays(solver, run):
    for name, thing in [*things(solver, run).items(), ("run", run)]:
        text = repr(thing)
        assert "array(" not in text, name
        assert "\n" not in text, name
        assert len(text) < 200, name
    assert "1,198 train" in repr(DIGITS) or "train" in repr(DIGITS)
    assert f"best accuracy {solver.best_val_acc:.4g}" in repr(solver)
    assert "not yet" not in repr(handgrad.Solver(solver.model, DIGITS.arrays, num_epochs=3))


def test_pages_are_html_and_escaped(solver, run):
    for name, thing in things(solver, run).items():
        page = thing._repr_html_()
        assert page.startswith("<"), name
        assert page.count("<div") == page.count("</div>"), name
        assert len(page) < 60_000, name
    names = ("<script>", "b")
    evaluation = Evaluation(0.5, 0.7, np.array([[1, 0], [1, 0]]), (1.0, 0.0), names, 2)
    assert "<script>" not in evaluation._repr_html_()


def test_a_data_set_shows_sixteen_images_and_its_classes():
    page = DIGITS._repr_html_()
    assert page.count("<img ") == 16
    assert page.count("<tr>") == 1 + 10


def test_one_history_is_drawn_with_the_filters(solver):
    figure = handgrad.plot(solver)
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook without pyplot shows
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Accuracy", "Filters of conv1.W"]
    losses = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(losses, solver.loss_history)
    accuracies = next(line for line in figure.axes[1].lines if line.get_label() == "validation")
    np.testing.assert_allclose(accuracies.get_ydata(), 100 * np.array(solver.val_acc_history))
    figure.canvas.draw()


def test_several_histories_are_compared(solver, run):
    opened = handgrad.load(run.folder)
    for runs in (
        [solver, opened],
        {"first": solver, "second": run.folder},
        [opened.history, solver],
    ):
        figure = handgrad.plot(runs)
        losses, metrics = figure.axes
        assert len(losses.lines) == len(metrics.lines) == 2
    assert [
        line.get_label() for line in handgrad.plot({"a": solver, "b": opened}).axes[0].lines
    ] == ["a", "b"]
    np.testing.assert_allclose(
        handgrad.plot([opened, solver]).axes[1].lines[1].get_ydata(), solver.val_acc_history
    )


@pytest.mark.parametrize("runs", [None, 3, [], [3], {}, handgrad.TwoLayerNet(4, 3, 2)])
def test_what_has_no_history_is_refused(runs):
    with pytest.raises(OptionError, match="plot: runs must be a Solver"):
        handgrad.plot(runs)


def test_an_untrained_solver_is_refused(solver):
    with pytest.raises(OptionError, match="has not been trained yet"):
        handgrad.plot(handgrad.Solver(solver.model, DIGITS.arrays))


def test_health_is_looked_after_without_callbacks(capsys):
    """Weights far too large: the initial loss is far from ln(10)."""
    model = nn.Sequential([nn.Affine(10)], input_shape=(1, 8, 8), rng=0, init=3.0)
    solver = handgrad.Solver(model, DIGITS.arrays, num_epochs=1, verbose=True, print_every=1000)
    solver.train()
    assert "far from ln(10)" in solver.warnings["initial loss"]
    assert "warning: the initial loss" in capsys.readouterr().err


def test_dead_units_are_found_without_callbacks():
    model = nn.Sequential([nn.Affine(20), nn.ReLU(), nn.Affine(10)], input_shape=(1, 8, 8), rng=0)
    model.params["affine1.b"] = np.full(20, -1e3, np.float32)
    solver = handgrad.Solver(model, DIGITS.arrays, num_epochs=1, verbose=False)
    solver.train()
    assert any("dead ReLUs" in text for text in solver.warnings.values())


def test_public_names_are_listed():
    assert {"load", "plot", "Solver", "sklearn", "data"} <= set(dir(handgrad))
    for name in handgrad.__all__:
        assert getattr(handgrad, name) is not None
