"""``handgrad verify-resume``: right runs are proven; what is lost on the way is named."""

import json

import numpy as np
import pytest

from handgrad.cli.app import run
from handgrad.training import checkpoint

SMALL = ["--epochs", "2", "--set", "model.hidden_dims=[4]",
         "--set", "model.conv_params=[{num_filters=2, filter_size=3}]"]  # fmt: skip
RANDOM = ["--set", "model.dropout_keep_ratio=0.8", "--set", "training.augment={crop=1}"]


def verify(capsys, *arguments):
    code = run(["verify-resume", *SMALL, *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_with_everything_random_is_exact(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = verify(capsys, *RANDOM, "--rule", "adamw", "--stop-at", "29")
    assert code == 0
    assert "Trained 48 steps through, and once more with a stop after 29." in out
    assert "states are the same, bit by bit" in out
    assert list(tmp_path.iterdir()) == []
    code, out, _ = verify(capsys, "--json", "--keep", "kept")
    report = json.loads(out)
    assert (code, report["same"], report["steps"], report["stopped_at"]) == (0, True, 48, 32)
    names = [part["name"] for part in report["parts"]]
    for name in ("parameters W1", "update rule's state of W1", "random stream of NumPy",
                 "history loss_history", "running statistics running_mean1",
                 "records of history.jsonl"):  # fmt: skip
        assert name in names
    assert all(len(part["whole"]) == 64 for part in report["parts"])
    (kept,) = (tmp_path / "kept").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == ["resumed", "whole"]


def forget_streams(stream, state):
    """In place of set_state: restore nothing."""


def forget_rule(solver, found):
    REAL(solver, found)
    for config in solver.optim_configs.values():
        config["m"] = np.zeros_like(config["m"])


def forget_statistics(solver, found):
    REAL(solver, found)
    solver.model.bn_params[0]["running_mean"][:] = 0


REAL = checkpoint.take_up
BUGS = {
    "random stream of NumPy": ("set_state", forget_streams),
    "update rule's state of W1": ("take_up", forget_rule),
    "running statistics running_mean1": ("take_up", forget_statistics),
}


@pytest.mark.parametrize("name", BUGS)
def test_what_a_resume_loses_is_named(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, *BUGS[name])
    code, out, _ = verify(capsys, *RANDOM, "--set", "training.restore_best=false")
    assert code == 1
    assert f"DIFFERS  {name}: " in out
    assert "a resume of this run is not exact" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stop-at", "48"], "the run has 48 steps, and must have more than stop_at; got 48"),
        (["--stop-at", "0"], "stop_at must be at least 1, got 0"),
        (["--rule", "lion"], 'Invalid update_rule "lion"'),
        (["--set", "x=1"], 'config: unrecognized "x"'),
        (["--keep", ""], "'--keep': '' is no path"),
        (["extra"], "unexpected extra argument (extra)"),
    ],
)
def test_wrong_commands(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = verify(capsys, *arguments)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []
