"""A layer through the training, and glimpses of it."""

import numpy as np
import pytest

from handgrad.errors import OptionError
from handgrad.lab.looking import network
from handgrad.lab.opened import Opened, weights_of
from handgrad.lab.through import BINS, through
from handgrad.training.checkpoint import load_model_arrays


@pytest.fixture(scope="module")
def run(trained):
    return Opened(trained)


def test_histograms_go_through_the_training(run, trained):
    moments = weights_of(trained)
    found = through(run, moments, "conv1")
    assert found["steps"] == [int(name.split("-")[1]) for name in moments]
    spreads = {spread["name"]: spread for spread in found["spreads"]}
    assert list(spreads) == ["outputs", "W1", "gradient of W1", "b1", "gradient of b1"]
    spread = spreads["W1"]
    for name, counts in zip(moments, spread["counts"], strict=True):
        path = next(trained.rglob(f"frame-{int(name.split('-')[1]):08d}.safetensors"))
        w = load_model_arrays(path).params["W1"].astype(float)
        expected = np.histogram(w, BINS, (spread["low"], spread["high"]))[0]
        assert counts == expected.tolist()
    assert len(found["dead"]) == len(found["zeros"]) == len(moments)


def test_dead_units_are_counted_at_each_moment(run, trained, monkeypatch):
    moments = weights_of(trained)
    choose = run.choose

    def dead(weights):  # the second and the fifth filter never fire
        step = choose(weights)
        gamma, beta = (run.model.params[name].copy() for name in ("gamma1", "beta1"))
        gamma[[1, 4]], beta[[1, 4]] = 0, -1
        run.model.params = {**run.model.params, "gamma1": gamma, "beta1": beta}
        return step

    before = through(run, moments, "relu1")["dead"]
    monkeypatch.setattr(run, "choose", dead)
    after = through(run, moments, "relu1")["dead"]
    monkeypatch.undo()
    run._chosen = None
    assert before == [0.0] * len(moments)
    assert after == [2 / 16] * len(moments)


def test_a_moment_that_is_gone_is_left_out(run, trained):
    moments = weights_of(trained)
    found = through(run, ["frame-99999999", *moments], "conv1")
    assert len(found["steps"]) == len(moments)
    with pytest.raises(OptionError, match="no such layer"):
        through(run, moments, "conv9")


def test_the_diagram_shows_what_goes_through_for_the_chosen_row(run):
    one, other = network(run, "best", 0), network(run, "best", 3)
    assert one["layers"][0]["shown"]["shape"] == [8, 8, 8]
    assert one["layers"][-1]["shown"]["shape"] == [10]
    assert one["input"] != other["input"]
    assert one["outputs"] != other["outputs"]
    assert sum(one["outputs"]) == pytest.approx(1, abs=1e-3)


def test_the_shown_rows_are_mixed_and_fewer_are_the_first_of_more(run):
    few, y_few = run.rows("val", 10)
    many, y_many = run.rows("val", 200)
    np.testing.assert_array_equal(few, many[:10])
    np.testing.assert_array_equal(y_few, y_many[:10])
    assert len(set(y_many.tolist())) == 10
