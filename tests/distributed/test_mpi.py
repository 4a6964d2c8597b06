"""Ranks of MPI: the same bits on any number of them, and one clear line for a mistake."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import goals
import pytest
from distributed import ends, mpi
from distributed.mpi import needs_mpi
from training.run_stops import outcome, run_in

from handgrad import engines
from handgrad.distributed import world
from handgrad.distributed.launch import Launched, launched
from handgrad.distributed.scaling import Inputs, efficiency, step_time

HERE = Path(__file__).parent
needs_native = pytest.mark.skipif(
    "native" not in engines.available(), reason="there are no compiled kernels"
)
QUICK = HERE / "quick_train.py"
CASES = [
    {"rule": "adam", "norm": "batchnorm", "dtype": "float32"},
    {"rule": "muon", "norm": "batchnorm", "dtype": "float64", "sync": True},
    {"rule": "sgd", "norm": None, "dtype": "float32", "sampling": "shuffled", "skip_easy": 0.3},
]


def hashes(ranks, cases):
    """Return the lines of matrix.py; by 0 ranks without mpirun."""
    words = [HERE / "matrix.py", json.dumps(cases)]
    env = {"PYTHONPATH": str(HERE.parent)}
    if ranks == 0:
        done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True,
                              env={**mpi.environment(), **env}, check=True)  # fmt: skip
    else:
        done = mpi.run(ranks, *words, env=env, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_mpi
def test_two_ranks_compute_the_same_bits_as_one_process():
    alone, two = hashes(0, CASES), hashes(2, CASES)
    assert [line["hash"] for line in two] == [line["hash"] for line in alone]
    assert len({line["hash"] for line in two}) == len(CASES)


@pytest.mark.long
@needs_mpi
def test_every_number_of_ranks_computes_the_same_bits():
    cases = [
        {"rule": rule, "norm": norm, "dtype": dtype, "sync": sync}
        for rule in ("sgd", "adam", "muon")
        for norm, sync in ((None, False), ("batchnorm", False), ("batchnorm", True))
        for dtype in ("float32", "float64")
    ]
    cases += [CASES[2], {**CASES[0], "epochs": 2, "dropout": 0.5}]
    expected = [line["hash"] for line in hashes(0, cases)]
    for ranks in (1, 2, 3, 4, 8):
        found = [line["hash"] for line in hashes(ranks, cases)]
        assert found == expected, ranks
    goals.record(
        21,
        f"{len(cases)} trainings (SGD, Adam, Muon; no, ghost and synchronised batch norm; float32 and "
        "float64) on 1, 2, 3, 4 and 8 ranks and in one process: all hashes equal",
    )


def train(ranks, *words, **options):
    return mpi.run(ranks, QUICK, "train", "--quiet", "--threads", "1", *words, **options)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "run.toml"
    file.write_text(ends.TEXT.replace("epochs = 6", "epochs = 1"))
    return file


@needs_mpi
def test_a_run_on_two_ranks_leaves_what_one_process_leaves(config, tmp_path):
    """Checkpoints, histories and the model; only rank 0 writes."""
    found = []
    for ranks in (2, 0):
        out = tmp_path / str(ranks)
        out.mkdir()
        if ranks:
            done = train(ranks, "--config", config, "--out", out)
        else:
            words = [QUICK, "train", "--quiet", "--config", config, "--out", out]
            done = subprocess.run([sys.executable, *map(str, words)], env=mpi.environment(),
                                  capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Accuracy on the test images") == 1
        assert len(list(out.iterdir())) == 1
        found.append(outcome(out))
        history = (run_in(out) / "history.jsonl").read_text().splitlines()
        steps = [r["iteration"] for r in map(json.loads, history) if r["kind"] == "step"]
        assert steps == sorted(set(steps))
    assert found[0] == found[1]


@needs_mpi
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--set", "training.shards=1"],
            "2 ranks, but training.shards is 1; run at most 1 ranks",
        ),
        pytest.param(
            ["--set", "training.batch_size=1"], "shards must be at most", marks=pytest.mark.long
        ),
        pytest.param(
            ["--set", "training.epochz=1"], 'unrecognized "epochz"', marks=pytest.mark.long
        ),
    ],
)
def test_a_mistake_is_one_line(words, text, config, tmp_path):
    done = train(2, "--config", config, "--out", tmp_path / "runs", *words)
    assert done.returncode == 2
    assert done.stderr.count("handgrad:") == 1, done.stderr
    assert text in done.stderr
    assert not (tmp_path / "runs").exists()


WRAPPER = """
import os, signal, sys
rank = int(os.environ["PMI_RANK"])
own = sys.argv[1 + rank]
if own == "no mpi4py":
    sys.modules["mpi4py"] = None
more = own.split() if own.startswith("--") else []
if own.startswith("HANDGRAD_"):
    os.environ.update([own.split("=")])
sys.argv = ["handgrad", "train", "--quiet", "--threads", "1", *sys.argv[3:], *more]
from handgrad.training import step
real = step.take_step
def dying(own, before):
    if own.iteration == 3:
        raise ZeroDivisionError("planted")
    return real(own, before)
def drifting(own, before):
    real(own, before)
    if own.iteration == 1:
        own.model.params["b2"][0] += 1e-7
from handgrad import report
def frozen(folder):
    os.kill(os.getpid(), signal.SIGSTOP)
report.write_report = frozen if own == "freezes in the report" else lambda folder: folder
step.take_step = {"dies": dying, "drifts": drifting}.get(own, real)
from handgrad.distributed import wire
init = wire.Wire.__init__
wire.Wire.__init__ = lambda self, world, shards, every=2: init(self, world, shards, every)
from handgrad.cli import main
main()
"""


@pytest.mark.thorough(keep=5)
@pytest.mark.skipif(os.name != "posix", reason="the variables are MPICH's")
@needs_mpi
@pytest.mark.parametrize(
    ("first", "second", "code", "text"),
    [
        ("", "--seed=3", 2, "rank 1 has another configuration"),
        pytest.param(
            "",
            "HANDGRAD_CONV=exact",
            2,
            "rank 1 has another way to convolve (HANDGRAD_CONV)",
            marks=[pytest.mark.long, needs_native],
        ),
        ("no mpi4py", "no mpi4py", 2, "pip install 'handgrad[mpi]'"),
        ("", "dies", 1, "ZeroDivisionError: planted"),
        pytest.param("dies", "", 1, "ZeroDivisionError: planted", marks=pytest.mark.long),
        ("", "no mpi4py", 2, "rank 1: training with mpirun needs the package mpi4py"),
        pytest.param(
            "freezes in the report",
            "",
            2,
            "rank 0 has not answered for 5 s (the test and the report)",
            marks=pytest.mark.long,
        ),
        ("", "drifts", 2, "rank 1 holds other numbers in b2 than rank 0 after step 2"),
    ],
)
def test_ranks_that_differ_or_fail_end_the_job(first, second, code, text, config, tmp_path):
    file = tmp_path / "wrapper.py"
    file.write_text(WRAPPER)
    started = time.monotonic()
    words = ["--config", config, "--out", tmp_path / "runs"]
    words += ["--set", "training.rank_timeout=5"] if "freezes" in first else []
    done = mpi.run(2, file, first, second, *words)
    assert done.returncode == code, done.stderr
    assert done.stderr.count(text) == 1, done.stderr
    assert time.monotonic() - started < 100
    assert "BAD TERMINATION" not in done.stderr  # they end by themselves
    if code == 2:
        assert done.stderr.count("handgrad:") == 1


def test_launchers():
    assert launched({}) is None
    assert launched({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}) == Launched(2, 4)
    assert launched({"PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "2"}) == Launched(1, 2)
    assert launched({"PMI_RANK": "x", "PMI_SIZE": "4"}) is None


def test_the_time_that_a_process_was_stopped_is_not_waited(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(world.time, "monotonic", lambda: now[0])
    patience = world.Patience(5.0)
    now[0] = 1000.0  # it was stopped meanwhile
    assert not patience.is_over()
    for _ in range(39):
        now[0] += 0.1
        assert not patience.is_over()
    now[0] += 0.5
    assert patience.is_over()


# bytes, and the model of the speed


@pytest.mark.long
@needs_mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_bytes_on_the_wire(ranks):
    """The gradients, the losses, the running statistics and the scores: within 5 % of 2 M (R - 1) / R."""
    case = {"rule": "sgd", "norm": "batchnorm", "dtype": "float32", "big": True}
    (line,) = hashes(ranks, [case])
    ideal = 2 * line["bytes"] * (ranks - 1) / ranks
    a_step = line["sent"] / line["steps"]
    assert 0.95 * ideal < a_step < 1.05 * ideal, (a_step, ideal)


def test_the_model_of_the_speed():
    free = Inputs(0.1, 0.0, 10**6, 0.0, 1e30, message=0.0)
    assert [efficiency(free, n) for n in (1, 2, 4, 8)] == pytest.approx([1] * 4)
    assert efficiency(free, 5) == pytest.approx(8 / 10)
    slow = free._replace(bandwidth=1e6, bucket=10**7)  # one bucket: nothing is hidden
    assert step_time(slow, 2) == pytest.approx(0.4 + 1.0)
    late = free._replace(latency=0.01, bucket=10**7)
    assert step_time(late, 4) == pytest.approx(0.2 + 2 * 0.01)  # to three others at once
    busy = free._replace(message=0.01, bucket=10**7)
    assert step_time(busy, 4) == pytest.approx(0.2 + 2 * 3 * 0.01)
    several = busy._replace(
        bucket=10**5
    )  # ten buckets: 0.6 s, of which 9/10 of a backward are hidden
    assert step_time(several, 4) == pytest.approx(0.2 + 0.6 - 0.9 * 0.1 * 2 / 3)
    assert efficiency(free._replace(rest=0.1), 8) < 1
    for ranks in (2, 16, 256):
        assert efficiency(free, ranks, weak=True) == pytest.approx(1)


# jobs that end


@pytest.mark.long
@needs_mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="it looks for orphans in /proc")
@pytest.mark.parametrize(("how", "count"), [("kill", 50), ("hang", 6), ("signal", 10), ("lost", 6)])
def test_a_job_that_ends_leaves_nothing_behind_and_resumes(how, count, tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "ends.py"), str(tmp_path), how, str(count), "1", "2"],
        capture_output=True, text=True, check=True, env={**mpi.environment(), "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["ends"] == count
    assert found["slowest"] < 30
    if how == "signal":
        assert set(found["codes"]) <= {"143", "130", "2", "15"}
    what = {"kill": "SIGKILL of a rank", "hang": "SIGSTOP of a rank", "signal": "SIGTERM or SIGINT of mpirun",
            "lost": "SIGKILL of mpirun"}[how]  # fmt: skip
    goals.record(
        22,
        f"{count} times {what}: the job ended within {found['slowest']} s, 0 orphans, "
        f"{found['finished']} resumed runs equal bit by bit",
    )
