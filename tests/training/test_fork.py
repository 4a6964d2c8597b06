"""Forks of a run at a checkpoint: what is kept, what changes, and that they repeat."""

import json

import numpy as np
import pytest

from handgrad.errors import CheckpointError, OptionError
from handgrad.training.checkpoint import ResumeWarning
from handgrad.training.config import RunConfig
from handgrad.training.fork import fork_run
from handgrad.training.run import resume_run, start_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig.default("digits").with_overrides(
        {"model.name": "TwoLayerNet", "model.hidden_dim": 8, "optimizer.learning_rate": 2e-3,
         "training.epochs": 3}
    )  # fmt: skip
    run = start_run(config, tmp_path_factory.mktemp("runs") / "first")
    run.train()
    return run


def trained(folder):
    run = resume_run(folder)
    run.train()
    return run


def test_a_fork_without_changes_ends_with_the_same_bits(run, tmp_path):
    fork_run(run.folder, tmp_path / "fork", 48)
    fork = trained(tmp_path / "fork")
    assert fork.solver.loss_history == run.solver.loss_history
    for name, w in run.model.params.items():
        np.testing.assert_array_equal(fork.model.params[name], w)


def test_a_changed_rate_counts_from_the_checkpoint_on_and_repeats(run, tmp_path):
    fork_run(run.folder, tmp_path / "fork", 48, rate=0.1, settings={"name": "slower"})
    fork = trained(tmp_path / "fork")
    assert fork.solver.loss_history[:48] == run.solver.loss_history[:48]
    assert fork.solver.loss_history[49:] != run.solver.loss_history[49:]
    config = RunConfig.from_toml(tmp_path / "fork" / "config.toml")
    assert config.training.steering == [{"iteration": 48, "rate": 0.1}]
    again = start_run(config, tmp_path / "again")
    again.train()
    assert again.solver.loss_history == fork.solver.loss_history


def test_the_fork_says_where_it_comes_from_and_leaves_the_first_as_it_is(run, tmp_path):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    fork_run(run.folder, tmp_path / "fork", settings={"training.epochs": 5})
    lines = (tmp_path / "fork" / "history.jsonl").read_text().splitlines()
    record = json.loads(lines[-1])
    assert (record["kind"], record["of"], record["iteration"]) == ("fork", "first", 72)
    with pytest.warns(ResumeWarning, match="num_epochs was 3, is 5"):
        assert trained(tmp_path / "fork").solver.epoch == 5
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}


def test_what_cannot_be_forked_leaves_nothing(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 7; it has \[48, 72\]"):
        fork_run(run.folder, tmp_path / "fork", 7)
    with pytest.raises(OptionError, match=r"data\.name cannot change in a fork"):
        fork_run(run.folder, tmp_path / "fork", settings={"data.name": "shapes"})
    with pytest.raises(OptionError, match="lr_decay"):
        fork_run(run.folder, tmp_path / "fork", settings={"training.lr_decay": -1})
    assert not (tmp_path / "fork").exists()
