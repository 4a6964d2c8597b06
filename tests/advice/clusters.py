"""Advice of searches, and of trainings on several ranks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tomli_w
from advice.rows import follows, refused, said
from distributed import mpi
from tuning.small import CONFIG, SPACE, settings

from handgrad import environment
from handgrad.cli.app import run
from handgrad.optional import library
from handgrad.training import Solver
from handgrad.tuning.methods import check_finite, make_sampler
from handgrad.tuning.space import Space
from handgrad.tuning.storage import open_storage
from handgrad.tuning.trials import open_study

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@follows("get it with: pip install 'handgrad[{extra}]'")
def a_library_that_is_missing():
    text = refused(lambda: library("no_such_library", "this", "tune"))
    extra = said(text, r"pip install 'handgrad\[(\w+)\]'")
    assert extra in EXTRAS


@follows("; get it with: pip install 'handgrad[postgres]'")
def a_driver_that_is_missing(monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    text = refused(lambda: open_storage("postgresql://me@127.0.0.1:1/base"))
    extra = said(text, r"pip install 'handgrad\[(\w+)\]'")
    assert any("psycopg" in one for one in EXTRAS[extra])


@follows("; use postgresql:// or sqlite:///")
def a_database_that_optuna_cannot_use(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    text = refused(lambda: open_storage("redis://localhost"))
    storage = open_storage(said(text, r"or (sqlite:///)") + str(tmp_path / "study.db"))
    storage.engine.dispose()


@follows("give it a step, or make it a choice of values")
def a_grid_without_end():
    pytest.importorskip("optuna", reason="Optuna is not installed")
    rate = {"type": "float", "low": 0.1, "high": 0.5}
    refused(lambda: check_finite("grid", Space({"a": rate})))
    refused(lambda: check_finite("grid", Space({"a": {**rate, "type": "log"}})))
    check_finite("grid", Space({"a": {**rate, "step": 0.1}}))
    check_finite("grid", Space({"a": {"type": "choice", "values": [0.1, 0.5]}}))
    check_finite("random", Space({"a": rate}))


@follows("; did you mean {near}?")
def a_sampler_that_is_misspelt():
    pytest.importorskip("optuna", reason="Optuna is not installed")
    text = refused(lambda: make_sampler("randm", {}, 0))
    make_sampler(said(text, r"did you mean (\w+)\?"), {}, 0)


@follows("give this one another --name and another --out")
def a_study_of_another_search(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    open_study(settings(tmp_path / "a"))
    refused(lambda: open_study(settings(tmp_path / "a", seed=1)))
    open_study(settings(tmp_path / "b", seed=1, name="other"))


@follows(
    "use --workers {cores} or fewer",
    "; give --config run.toml and --space space.toml",
    "Stopped; checkpoints are saved. Continue with: handgrad tune --out {out}",
)
def searches(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    from handgrad.tuning.search import Search

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(tomli_w.dumps(CONFIG))
    (tmp_path / "space.toml").write_text(tomli_w.dumps(SPACE))
    assert run(["tune", "--trials", "1"]) == 2
    files = shlex.split(
        said(capsys.readouterr().err, r"give (--config .* space\.toml)").replace(" and", "")
    )
    words = ["tune", *files, "--trials", "1", "--quiet"]
    assert run([*words, "--workers", "1000"]) == 2
    fewer = said(capsys.readouterr().err, r"use --workers (\d+) or fewer")
    assert int(fewer) == environment.cores()
    with monkeypatch.context() as patch:
        patch.setattr(Search, "run", lambda self, tell=None: 2)  # Ctrl-C at once
        assert run([*words, "--workers", fewer]) == 130
    again = shlex.split(said(capsys.readouterr().out, r"Continue with: handgrad (.*)"))
    assert run([*again, "--quiet", "--workers", "1"]) == 0
    assert "trial 0" in capsys.readouterr().out


@follows("accumulate and shards both cut a batch; leave one of them out")
def two_ways_of_cutting():
    data = {"X_train": np.ones((8, 2)), "y_train": np.zeros(8, int)}
    data |= {"X_val": data["X_train"], "y_val": data["y_train"]}
    from handgrad import TwoLayerNet

    refused(lambda: Solver(TwoLayerNet(2, 3), data, batch_size=8, shards=2, accumulate=2))
    Solver(TwoLayerNet(2, 3), data, batch_size=8, shards=2, verbose=False)


class World:
    """As much of the ranks as the comparison looks at; rank 1 says what it is told to."""

    def __init__(self, other):
        self.other = other

    def share(self, own, what):
        return [own, self.other]


@follows("give all ranks the same")
def ranks_that_differ():
    from handgrad.distributed.agreement import check_agreement

    refused(lambda: check_agreement(World({"data": "b"}), {"data": "a"}))
    check_agreement(World({"data": "a"}), {"data": "a"})


@follows("; run at most {shards} ranks, or begin a run with --set training.shards={world.size}")
def more_ranks_than_shards():
    from handgrad.distributed.wire import Wire

    text = refused(lambda: Wire(SimpleNamespace(rank=0, size=9), 8))
    most, shards = said(text, r"at most (\d+) ranks"), said(text, r"training\.shards=(\d+)")
    Wire(SimpleNamespace(rank=0, size=int(most)), 8)
    Wire(SimpleNamespace(rank=0, size=9), int(shards))


SLOW = """
import sys, time
from handgrad.distributed.world import join
world = join(float(sys.argv[1]))
if world.rank:
    time.sleep(3)
try:
    world.share(0, "a test")
except Exception as error:
    text, code = world.end(str(error), 2)
    print(text, file=sys.stderr)
    sys.exit(code)
"""


@pytest.mark.thorough
@mpi.needs_mpi
@follows("; if it is only slow, raise training.rank_timeout")
def a_rank_that_is_slow(tmp_path):
    file = tmp_path / "slow.py"
    file.write_text(SLOW)
    late = mpi.run(2, file, 1)
    assert late.returncode != 0
    assert "raise training.rank_timeout" in late.stderr
    assert mpi.run(2, file, 60).returncode == 0


@follows(
    "use the mpirun of that one, or install mpi4py anew for yours",
    "get one with: pip install mpich, or load your cluster's module",
)
def another_mpi(tmp_path):
    if mpi.mpirun() is None:
        pytest.skip("mpi4py or mpirun is not installed")
    file = tmp_path / "join.py"
    file.write_text("from handgrad.distributed.world import join\nprint(join().size)\n")
    good = mpi.run(1, file)
    assert good.stdout.strip() == "1", good.stderr
    alone = {**mpi.environment(), "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, file], env=alone, capture_output=True, text=True, check=False
    )
    assert "use the mpirun of that one" in done.stderr
    none = {**os.environ, "MPI4PY_LIBMPI": str(tmp_path / "no.so")}
    done = subprocess.run(
        [sys.executable, file], env=none, capture_output=True, text=True, check=False
    )
    assert "get one with: pip install mpich" in done.stderr
