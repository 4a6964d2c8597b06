"""``handgrad tune``: the command, its page, and what it refuses."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import goals
import pytest
import tomli_w
from tuning.postgres import server
from tuning.small import CONFIG, SPACE

from handgrad import environment
from handgrad.cli.app import run
from handgrad.training.config import RunConfig

pytest.importorskip("optuna", reason="Optuna is not installed")
from handgrad.tuning.search import kept_inputs, shares
from handgrad.tuning.trials import open_study


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text(tomli_w.dumps(CONFIG))
    (tmp_path / "space.toml").write_text(tomli_w.dumps(SPACE))
    monkeypatch.chdir(tmp_path)
    return ["tune", "--config", "run.toml", "--space", "space.toml"]


def test_a_search_from_one_command(files, tmp_path, capsys):
    assert run([*files, "--trials", "2", "--workers", "1"]) == 0
    first = capsys.readouterr().out
    assert "2 trials of small, judged by validation accuracy, on 1 workers of" in first
    assert run(["tune", "--trials", "3", "--workers", "1"]) == 0
    second = capsys.readouterr().out
    assert [line.split()[1] for line in second.splitlines() if line.startswith("trial")] == ["2"]
    out = tmp_path / "tune"
    page = (out / "study.html").read_text()
    for text in (
        "What mattered",
        "The best configuration",
        "TPESampler",
        "hidden_dims",
        "default-src",
    ):
        assert text in page
    study = open_study(kept_inputs(out))
    best = study.best_trial
    made = RunConfig.from_toml(out / "best.toml")
    assert made.optimizer["learning_rate"] == best.params["optimizer.learning_rate"]
    assert made.training.batch_size == best.params["training.batch_size"]
    config = tomllib.loads((out / f"trial-{best.number:04d}/config.toml").read_text())
    assert config["optimizer"]["learning_rate"] == made.optimizer["learning_rate"]
    assert f"trial {best.number}, validation accuracy {best.value:.4f}" in second


def test_a_search_over_a_table_of_ones_own(tmp_path, monkeypatch, capsys):
    """A configuration that names data and no network gets the network that train would choose."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{k % 7},{k % 5},{k % 7 * 2.5}" for k in range(70)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,price", *rows]))
    (tmp_path / "run.toml").write_text(
        '[data]\npath = "t.csv"\ntarget = "price"\n[training]\nepochs = 1\n'
    )
    (tmp_path / "space.toml").write_text(
        'optimizer.learning_rate = {type = "log", low = 1e-4, high = 1e-2}\n'
    )
    line = ["tune", "--config", "run.toml", "--space", "space.toml", "--trials", "1"]
    assert run([*line, "--workers", "1"]) == 0
    assert "judged by validation r2" in capsys.readouterr().out
    made = RunConfig.from_toml(tmp_path / "tune" / "best.toml")
    assert (
        made.model["loss"] == "mse"
    )  # ConvNet, the network of a file that names none, has no such loss


def test_cores_are_shared_out():
    assert [sum(shares(8, n)) for n in range(1, 9)] == [8] * 8
    assert max(shares(8, 3)) - min(shares(8, 3)) == 1


def refused(capsys, arguments, text):
    assert run(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert text in said
    assert "Traceback" not in said
    assert len(said.removesuffix("Try: handgrad tune --help").splitlines()) == 1


def test_wrong_use(files, tmp_path, capsys, monkeypatch):
    refused(capsys, ["tune"], "there is no search in tune; give --config run.toml")
    refused(capsys, files[:3], "--config and --space go together")
    refused(capsys, [*files, "--storage", "nowhere"], "--storage must be a URL")
    closed = "postgresql://me:secret@127.0.0.1:1/base"
    refused(
        capsys, [*files, "--storage", closed], "the storage postgresql://me:***@127.0.0.1:1/base"
    )
    refused(capsys, [*files, "--storage", "sqlite:////nowhere/at/all.db"], "does not answer")
    refused(capsys, [*files, "--workers", "1000"], f"use --workers {environment.cores()} or fewer")
    refused(capsys, [*files, "--sampler", "best"], "sampler must be one of tpe")
    refused(capsys, [*files, "--sampler-set", "seed"], "--sampler-set takes KEY=VALUE")
    for space, text in (
        ({"training": {"batch_size": {"type": "int", "low": -1, "high": 9}}}, "batch_size must be at least"),
        ({"optimizer": {"rate": {"type": "log", "low": 1, "high": 9}}}, 'unrecognized "rate"'),
        ({"model": {"width": {"type": "int", "low": 1, "high": 9}}}, "width"),
        ({"reg": 1}, "reg must be a table with a type"),
    ):  # fmt: skip
        (tmp_path / "space.toml").write_text(tomli_w.dumps(space))
        refused(capsys, files, text)
    (tmp_path / "tune").mkdir(exist_ok=True)
    (tmp_path / "tune/study.journal").write_text("hello\n")
    (tmp_path / "space.toml").write_text(tomli_w.dumps(SPACE))
    refused(capsys, files, "is no journal of Optuna")
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(capsys, files, "pip install 'handgrad[tune]'")


KILLS, TRIALS = 50, 24


@pytest.mark.long
@pytest.mark.parametrize("where", ["journal", "PostgreSQL"])
def test_kills_of_workers_lose_nothing(where, tmp_path):
    """Four workers of separate processes, killed at random moments, against a search left alone."""

    def killed(*url):
        words = [
            sys.executable,
            Path(__file__).with_name("kills.py"),
            tmp_path,
            KILLS,
            TRIALS,
            7,
            *url,
        ]
        done = subprocess.run(
            list(map(str, words)), check=True, capture_output=True, text=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        return json.loads(done.stdout)

    if where == "journal":
        found = killed()
    else:
        with server() as url:
            found = killed(url)
    assert found["kills"] == KILLS
    assert found["codes"] == [0, 0, 0, 0]
    for wrong in ("lost", "more", "unfinished", "different"):
        assert found[wrong] == [], wrong
    assert found["from_a_checkpoint"] > 0
    goals.record(
        23,
        f"{KILLS} kills of workers and commands against a {where} storage: {found['trials']} trials, 0 lost, "
        f"0 counted twice, all values those of a search left alone; {found['from_a_checkpoint']} went on "
        "from a checkpoint",
    )
