"""The learning-rate range test: its curve, its suggestion, and that it leaves no trace."""

import numpy as np
import pytest
from click.testing import CliRunner

from handgrad import FullyConnectedNet, Solver
from handgrad.cli.app import cli
from handgrad.data import load_digits
from handgrad.errors import OptionError
from handgrad.training import lr_find
from handgrad.training.step import take_step
from handgrad.training.undo import Before

DATA = load_digits()


def solver(rule="adam", **options):
    model = FullyConnectedNet([50], input_dim=64, weight_scale="kaiming", rng=0, reg=1e-3)
    return Solver(model, DATA, update_rule=rule, num_epochs=2, verbose=False, rng=0, **options)


def test_the_rates_grow_and_the_suggestion_is_before_the_least_loss():
    found = lr_find(solver(), 1e-6, 10.0, 80)
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 79)
    least = found.rates[found.smoothed.argmin()]
    assert 1e-4 < found.suggestion < least
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 80
    assert "grown fourfold" in found.reason


def test_training_at_the_suggestion_does_better_than_far_from_it():
    suggestion = lr_find(solver()).suggestion
    reached = []
    for rate in (suggestion, suggestion / 300):
        trained = solver(optim_config={"learning_rate": rate})
        trained.train()
        reached.append(trained.best_val_acc)
    assert reached[0] > reached[1] + 0.1


@pytest.mark.parametrize("rule", ["sgd_momentum", "adam"])
def test_nothing_is_left_of_it(rule):
    plain, tried = solver(rule), solver(rule)
    lr_find(tried, 1e-5, 1e3, 40)
    assert tried.loss_history == []
    assert (tried.iteration, tried.epoch, tried.schedule) == (0, 0, None)
    plain.train()
    tried.train()
    assert tried.loss_history == plain.loss_history
    for name, w in plain.model.params.items():
        np.testing.assert_array_equal(tried.model.params[name], w)


def test_an_error_leaves_nothing_either(monkeypatch):
    tried = solver()
    before = {name: w.copy() for name, w in tried.model.params.items()}
    calls = []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        take_step(self, Before(self))
        return 1.0

    monkeypatch.setattr(Solver, "try_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lr_find(tried)
    for name, w in before.items():
        np.testing.assert_array_equal(tried.model.params[name], w)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"low": 0}, "low must be a finite number above 0"),
        ({"low": 1.0, "high": 0.1}, "high must be"),
        ({"steps": 3}, "steps must be at least 10"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(OptionError, match=match):
        lr_find(solver(), **options)


def test_a_rule_without_a_rate_is_refused():
    def halved(w, dw, config):
        return w - 0.1 * dw, config

    with pytest.raises(OptionError, match="has no learning_rate"):
        lr_find(solver(halved))


def test_the_command_draws_a_curve_and_writes_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["lr-find", "--steps", "30", "--out", "rates.png"])
    assert result.exit_code == 0, result.output
    assert "Suggested learning rate: " in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["rates.png"]
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
