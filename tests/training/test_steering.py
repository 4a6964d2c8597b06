"""Acts of steering: done at their steps, written down, repeated bit by bit."""

import json

import numpy as np
import pytest

from handgrad.errors import OptionError
from handgrad.training.callback import Callback
from handgrad.training.config import RunConfig
from handgrad.training.proof import verify_resume
from handgrad.training.run import resume_run, start_run
from handgrad.training.steering import as_acts

SMALL = {
    "model.name": "TwoLayerNet",
    "model.hidden_dim": 8,
    "optimizer.learning_rate": 2e-3,
    "training.epochs": 2,
}


@pytest.fixture
def config():
    return RunConfig.default("digits").with_overrides(SMALL)


class SteerAt(Callback):
    def __init__(self, run, iteration, rate):
        self.run, self.iteration, self.rate = run, iteration, rate

    def on_step_end(self, solver, record):
        if solver.iteration == self.iteration:
            self.run.steer(self.rate)


def steered(config, folder, iteration=7, rate=0.3):
    run = start_run(config, folder)
    run.train([SteerAt(run, iteration, rate)])
    return run


def records(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_an_act_changes_the_rate_from_the_next_step_on(config, tmp_path):
    plain = start_run(config, tmp_path / "plain")
    plain.train()
    steered(config, tmp_path / "steered")
    rates = [
        {
            r["iteration"]: r["learning_rate"]
            for r in records(tmp_path / name)
            if r["kind"] == "step"
        }
        for name in ("plain", "steered")
    ]
    assert rates[0][7] == rates[1][7]
    for i in range(8, 49):
        assert rates[1][i] == pytest.approx(0.3 * rates[0][i], rel=1e-12)


def test_it_stands_in_the_history_and_the_configuration(config, tmp_path):
    steered(config, tmp_path / "run")
    (act,) = [r for r in records(tmp_path / "run") if r["kind"] == "steer"]
    assert (act["iteration"], act["rate"]) == (7, 0.3)
    written = RunConfig.from_toml(tmp_path / "run" / "config.toml")
    assert written.training.steering == [{"iteration": 7, "rate": 0.3}]


def test_the_configuration_alone_repeats_the_steered_run(config, tmp_path):
    first = steered(config, tmp_path / "run", rate=1 / 3)
    again = start_run(RunConfig.from_toml(tmp_path / "run" / "config.toml"), tmp_path / "again")
    again.train()
    assert again.solver.loss_history == first.solver.loss_history
    for name, w in first.model.params.items():
        np.testing.assert_array_equal(again.model.params[name], w)


@pytest.mark.parametrize("stop_at", [5, 7, 8])
def test_a_stop_before_at_or_after_the_act_leaves_no_trace(config, tmp_path, stop_at):
    acts = [{"iteration": 7, "rate": 0.3}, {"iteration": 7, "rate": 2.5}]
    config = config.with_overrides({"training.steering": acts})
    assert verify_resume(config, tmp_path, stop_at).differing == []


def test_an_act_after_the_last_checkpoint_is_done_again(config, tmp_path):
    whole = steered(config, tmp_path / "whole", iteration=30)

    class Killed(Exception):
        pass

    class KillAt(Callback):
        def on_step_end(self, solver, record):
            if solver.iteration == 40:
                raise Killed

    run = start_run(config, tmp_path / "killed")
    with pytest.raises(Killed):
        run.train([SteerAt(run, 30, 0.3), KillAt()])
    resumed = resume_run(tmp_path / "killed")
    assert resumed.solver.iteration == 24
    resumed.train()
    assert resumed.solver.loss_history == whole.solver.loss_history


def test_acts_that_were_done_before_a_resume_hold_nothing_up(config, tmp_path):
    acts = [{"iteration": 7, "rate": 0.3}]
    run = start_run(config.with_overrides({"training.steering": acts}), tmp_path / "run")

    class Stop(Callback):
        def on_step_end(self, solver, record):
            if solver.iteration == 30:
                solver.stop()

    assert run.train([Stop()]) is None
    resumed = resume_run(tmp_path / "run")
    assert resumed.steering.needs_each_step
    resumed.train()
    assert not resumed.steering.needs_each_step


def test_acts_are_sorted_and_checked():
    acts = [{"iteration": 9, "rate": 2}, {"iteration": 3, "rate": 0.5}]
    assert as_acts(acts) == [{"iteration": 3, "rate": 0.5}, {"iteration": 9, "rate": 2.0}]
    for wrong in (
        [{"iteration": 3}],
        [{"rate": 3.0}],
        [{"iteration": -1, "rate": 1.0}],
        [{"iteration": 1, "rate": 0.0}],
        [{"iteration": 1, "rate": float("nan")}],
        [{"iteration": 1, "rate": 1.0, "reg": 1.0}],
        [7],
        "rate",
    ):
        with pytest.raises(OptionError, match=r"steering|iteration"):
            as_acts(wrong)
